"""SL504: properties of the picture or its file that tell its class, tested against chance.

Everything is computed of one table a property: how many pictures each class has in each bin. So it costs the same
for a thousand pictures and a billion.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.classes.properties import MEASURES
from secondlook.pipeline.core.rules import Finding
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import wilson

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

GROUPS = 32  # bins of a property after merging
RARE = 5  # pictures: a value that fewer have is merged with other rare ones, so that ids say nothing
DRAWS = 1999  # random tables: the smallest p is 1 / 2000
CELLS = 2**22  # of random tables that are held at once
SEED = 7
NAMED = 3  # values or further properties that a message names
LONGEST = 60  # letters of a value that are shown


@dataclass(frozen=True)
class Property:
    """Counts (K, B) of one property by class: `values` are its bins' numbers (a MEASURE's) or its values, in order."""

    name: str
    counts: Ints
    values: tuple[int, ...] | tuple[str, ...]

    @property
    def ordered(self) -> bool:
        """Whether neighboring bins are alike."""
        return self.name in MEASURES


@dataclass(frozen=True)
class Gap:
    """For K classes: `chosen` (K, B) the bins that tell each from the others best, `size` (K,) how well, 0 to 1.

    `size` is the share of the class in these bins minus the share of the others in them.
    """

    chosen: Flags
    size: Reals


def gap(counts: Ints, *, ordered: bool) -> Gap:
    """The bins that hold most of a class and least of the others, and the difference; counts: (K, B).

    Ordered bins: those between two edges (Kuiper 1960). Else: all that the class has more of (total variation). A
    classifier that looks at this property only and answers "this class" or "another" has the true positive rate minus
    the false positive rate of `size` at best. Where all pictures are of one class, it is 0.
    """
    difference = _difference(counts, counts.sum(axis=1), counts.sum(axis=0))
    size = _size(difference, ordered=ordered)
    if not ordered:
        return Gap(difference > 0, size)
    sums = np.concatenate([np.zeros((len(counts), 1)), difference.cumsum(axis=1)], axis=1)
    low, high = sums.argmin(axis=1)[:, None], sums.argmax(axis=1)[:, None]
    place = np.arange(counts.shape[1])
    # Both sums end at 0: bins from the high to the low are the complement of an interval, and one tells as much as the other.
    inside = (place >= np.minimum(low, high)) & (place < np.maximum(low, high))
    return Gap(np.where(low < high, inside, ~inside), size)


def _difference(counts: Ints, of_class: Ints, of_bin: Ints) -> Reals:
    """Share of a class in a bin minus the share of the others, (..., K, B), for counts with these sums (K,), (B,)."""
    rest = of_class.sum() - of_class
    others = np.where(rest > 0, 1 / np.maximum(rest, 1), 0.0)
    own = np.where(rest > 0, 1 / np.maximum(of_class, 1), 0.0)
    return np.asarray(counts * (own + others)[:, None] - of_bin * others[:, None], np.float64)


def _size(difference: Reals, *, ordered: bool) -> Reals:
    if not ordered:
        return np.asarray(np.maximum(difference, 0.0).sum(axis=-1), np.float64)
    sums = difference.cumsum(axis=-1)
    return np.asarray(np.maximum(sums.max(axis=-1), 0.0) - np.minimum(sums.min(axis=-1), 0.0), np.float64)


@dataclass(frozen=True)
class Tested:
    """For K classes: `p` (K,), corrected for the number of classes, and `effect` (K,), the gap beyond chance, 0 to 1."""

    gap: Gap
    p: Reals
    effect: Reals


def against_chance(counts: Ints, rng: np.random.Generator, *, ordered: bool, draws: int = DRAWS) -> Tested:
    """The gaps of a table (K, B) against those of random tables with the same sums, as if labels were dealt out at random.

    A class's p is the share of tables in which any class has as large a gap, in units of its standard deviation
    (the max-T of Westfall and Young 1993): with chance alone, the probability of one p <= a among all classes is at
    most a. `effect` is (gap - its mean by chance) / (1 - that mean), as kappa corrects agreement.
    """
    from scipy.stats import random_table  # noqa: PLC0415 - half a second, and rarely needed

    found = gap(counts, ordered=ordered)
    n, bins = counts.sum(axis=1), counts.sum(axis=0)
    unit = np.sqrt(n * (n.sum() - n) / max(n.sum(), 1))
    dealt = random_table(n, bins)
    step = max(1, CELLS // counts.size)
    above, mean = np.zeros(len(n)), np.zeros(len(n))
    for start in range(0, draws, step):
        drawn = dealt.rvs(min(step, draws - start), random_state=rng)
        sizes = _size(_difference(drawn, n, bins), ordered=ordered)
        largest = (sizes * unit).max(axis=1, keepdims=True)
        above += (largest >= found.size * unit - 1e-9).sum(axis=0)
        mean += sizes.sum(axis=0) / draws
    effect = (found.size - mean) / np.maximum(1 - mean, 1e-9)
    return Tested(found, (1 + above) / (1 + draws), np.clip(effect, 0.0, 1.0))


def merged(table: Property) -> Property:
    """The same with at most GROUPS bins: neighbors of ordered ones together, rare values of others as "another".

    Bins are merged by how many pictures they hold, whatever their classes: so the test stays what it is.
    """
    total = table.counts.sum(axis=0)
    if table.ordered:
        group = ((total.cumsum() - total / 2) * GROUPS // max(int(total.sum()), 1)).astype(np.int64)
        first = np.flatnonzero(np.diff(group, prepend=-1))
        return Property(table.name, np.add.reduceat(table.counts, first, axis=1), tuple(table.values[i] for i in first))
    order = np.argsort(-total, kind="stable")[: GROUPS - 1]
    kept = np.sort(order[total[order] >= RARE])
    rare = np.setdiff1d(np.arange(len(total)), kept)
    values = tuple(str(table.values[i]) for i in kept)
    counts = table.counts[:, kept]
    if len(rare):
        counts, values = np.column_stack([counts, table.counts[:, rare].sum(axis=1)]), (*values, "another")
    return Property(table.name, counts, values)


def giveaways(
    tables: Sequence[Property], names: Sequence[str], *, effect: float, alpha: float, least: int, draws: int = DRAWS
) -> Iterator[Finding]:
    """SL504: each class that a property gives away, with all properties that do, in the order of `names`.

    `names`: (K,) the classes of the tables' rows. Classes with fewer than `least` pictures are left out. The p of a
    property is multiplied by the number of properties that vary (Bonferroni). Only where some class's gap is as large as
    `effect` random tables are drawn: no other could be flagged.
    """
    size = np.max([table.counts.sum(axis=1) for table in tables], axis=0, initial=0) if tables else np.zeros(len(names))
    classes = np.flatnonzero(size >= least)
    varying = [table for table in map(merged, tables) if table.counts.shape[1] > 1] if len(classes) > 1 else []
    said: dict[int, list[dict[str, object]]] = {}
    for table in varying:
        counts = table.counts[classes]
        if not (gap(counts, ordered=table.ordered).size >= effect).any():
            continue
        result = against_chance(counts, generator(SEED, "SL504", table.name), ordered=table.ordered, draws=draws)
        p = np.minimum(result.p * len(varying), 1.0)
        for k in np.flatnonzero((result.effect >= effect) & (p <= alpha)).tolist():
            told = _told(table, counts, result.gap.chosen[k], k)
            told |= {"effect": round(float(result.effect[k]), 4), "p": round(float(p[k]), 6)}
            said.setdefault(int(classes[k]), []).append(told)
    for k in sorted(said):
        yield _finding(names[k], sorted(said[k], key=lambda told: (-float(str(told["effect"])), str(told["property"]))))


def _told(table: Property, counts: Ints, chosen: Flags, k: int) -> dict[str, object]:
    own, rest = counts[k], counts.sum(axis=0) - counts[k]
    inside, outside = int(own[chosen].sum()), int(rest[chosen].sum())
    n, others = int(own.sum()), int(rest.sum())
    intervals = {name: wilson(*of) for name, of in (("share_95", (inside, n)), ("others_95", (outside, others)))}
    return {
        "property": table.name,
        "values": _words(table, chosen),
        "share": round(inside / n, 4),
        "n": n,
        "others_share": round(outside / others, 4),
        "others_n": others,
        **{name: [round(interval.low, 4), round(interval.high, 4)] for name, interval in intervals.items()},
    }


def _words(table: Property, chosen: Flags) -> str:
    """The chosen bins for people: `0.40 to 0.62`, `PNG or GIF`."""
    places = np.flatnonzero(chosen).tolist()
    if not table.ordered:
        named = [str(table.values[i]) for i in places]
        named.sort(key=lambda value: -int(table.counts[:, table.values.index(value)].sum()))
        return " or ".join(value[:LONGEST] for value in named[:NAMED]) + (" …" if len(named) > NAMED else "")
    low = MEASURES[table.name].low
    edges = [*table.values[1:], None]
    runs = np.split(np.array(places), np.flatnonzero(np.diff(places) > 1) + 1)
    return " or ".join(
        _span(
            None if run[0] == 0 else low(int(table.values[run[0]])),
            None if edges[run[-1]] is None else low(int(edges[run[-1]])),
        )
        for run in runs
    )


def _span(low: str | None, high: str | None) -> str:
    if low is None:
        return f"below {high}"
    return f"{low} or more" if high is None else f"{low} to {high}"


def _finding(name: str, told: Sequence[Mapping[str, object]]) -> Finding:
    first = told[0]
    also = [str(one["property"]) for one in told[1:]]
    more = f" (also {', '.join(also[:NAMED])}{' …' if len(also) > NAMED else ''})" if also else ""
    message = (
        f"{first['property']} gives it away: {first['values']} for {first['share']:.0%} of its {first['n']:,} pictures, "
        f"for {first['others_share']:.0%} of the other {first['others_n']:,} (p = {first['p']:.2g}){more}"
    )
    evidence = {"properties": [dict(one) for one in told]}
    return Finding("SL504", "class", name, name, float(str(first["effect"])), message, evidence=evidence)
