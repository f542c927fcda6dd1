"""Whether a person answers otherwise than the others do on some groups more than elsewhere, among pictures that are alike (SL405)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.members import members
from secondlook.pipeline.bias.power import smallest_gap
from secondlook.pipeline.bias.stratified import Ints, Reals, Strata, difference, p_value
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.statistics import share

SILENT = ("unsure", "bad picture")  # answers that say nothing of the class
FEWEST_OTHERS = 2  # people who answered a picture too, for there to be a "most of the others"
MOST_PEOPLE = 20  # that are compared, those with the most answers: each is a family of comparisons more
METHOD = (
    "exact test of Cochran, Mantel and Haenszel in strata of the class that most others named and of whether they agree"
)


class Answer(NamedTuple):
    """One person's answer beside the others': which stratum of pictures it is in, and whether most of the others said otherwise."""

    item: int
    stratum: tuple[str, bool]
    differs: bool


def first_two_differ(said: Mapping[str, str]) -> bool | None:
    """Whether the first two people contradict each other, of what people said in order; None where only one spoke.

    Whoever is unsure agrees with nobody. Of more people only the first two count: a picture with more answers is not more disputed for it.

    >>> first_two_differ({"ada": "cat", "bob": "cat", "eve": "dog"})
    False
    """
    if len(said) < 2:
        return None
    one, other = list(said.values())[:2]
    return one != other or one == "unsure"


def against_the_others(items: Sequence[Mapping[str, str]]) -> dict[str, list[Answer]]:
    """By person, the answers that most of at least two others can be held against. items: who said what of each picture."""
    found: dict[str, list[Answer]] = {}
    for item, said in enumerate(items):
        spoken = {name: what for name, what in said.items() if what not in SILENT}
        for name, what in spoken.items():
            others = [one for other, one in spoken.items() if other != name]
            if len(others) < FEWEST_OTHERS:
                continue
            counted = sorted(((others.count(one), one) for one in set(others)), reverse=True)
            if len(counted) == 1 or counted[0][0] > counted[1][0]:
                most = counted[0][1]
                found.setdefault(name, []).append(Answer(item, (most, len(counted) == 1), what != most))
    return found


def differing(counts: Counts, settings: BiasSettings) -> Comparison:
    """One person, group by group. Outcomes of `counts` are strata in pairs: 2 s agrees with most of the others, 2 s + 1 differs."""
    everything = members(counts.grouping, counts.cells, settings.depth)
    by_group = np.asarray(everything.matrix @ counts.n, np.int64)
    whole = counts.n.sum(axis=0)
    n, total = by_group.sum(axis=1), int(whole.sum())
    large = (n >= settings.min_cell) & (total - n >= settings.min_cell)
    rows = np.flatnonzero(large)
    groups = everything.take(rows).groups()
    compared: list[Compared] = []
    tests: dict[bytes, int] = {}
    number: list[int] = []
    for row, group in zip(rows.tolist(), groups, strict=True):
        its = by_group[row]
        strata = _strata(its, whole - its)
        number.append(tests.setdefault(_sides(everything.matrix[[row]].toarray()[0]), len(tests)))
        effect, interval = difference(strata, settings.confidence)
        if np.isnan(effect):
            effect = 0.0
        hits, others = int(strata.hits.sum()), int(strata.other_hits.sum())
        size, rest = int(n[row]), total - int(n[row])
        compared.append(
            Compared(
                group, size, hits, _share(hits, size, settings), _share(others, rest, settings),
                Estimate(effect, interval), p_value(strata),
            )
        )  # fmt: skip
    hits = int(whole[1::2].sum())
    return Comparison(
        tuple(compared), total, hits, _share(hits, total, settings) if total else None, int((~large).sum()),
        method=METHOD, tests=tuple(number), gaps=lambda p: _gaps(n[rows], by_group[rows, 1::2].sum(axis=1), total, hits, p, settings),
    )  # fmt: skip


def _gaps(n: Ints, k: Ints, total: int, hits: int, p: float, settings: BiasSettings) -> Reals:
    """The smallest gap of each group as if all pictures were alike, which strata hardly change."""
    rest = (hits - k) / (total - n)
    return smallest_gap(n, total - n, rest, p, settings.power, worse="higher", least=settings.least_gap)


def _strata(its: Ints, rest: Ints) -> Strata:
    return Strata(its[1::2], its[0::2] + its[1::2], rest[1::2], rest[0::2] + rest[1::2])


def _sides(row: Ints) -> bytes:
    """The two sets of cells that are compared, whichever of them is the group."""
    return min(row.astype(np.uint8).tobytes(), (1 - row).astype(np.uint8).tobytes())


def _share(k: int, n: int, settings: BiasSettings) -> Estimate:
    found = share(k, n, settings.confidence)
    return Estimate(found.value, found.interval)
