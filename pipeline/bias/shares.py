"""A share by groups: how often something happens in each group, beside how often it does outside of it.

Each group is held against the rest of the pictures, not against all: a group that is half of all would else be held against
itself. Nothing but counts by cell is looked at, so that a million pictures cost what a thousand do.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from secondlook.pipeline.bias import resampling
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.members import Members, members
from secondlook.pipeline.bias.permutation import within
from secondlook.pipeline.bias.power import smallest_gap
from secondlook.pipeline.bias.tails import Tails
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate, Worse
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import EXACT_BELOW, Ends, Interval, differences, intervals

PAIRS = 1000  # groups of one kind at each end, of which the pair with the largest gap is looked for
SEED_OF_SETS = 0x5EC0  # sets of cells are told apart by random numbers that are always the same

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


class Figures(NamedTuple):
    """G groups, (G,) each: pictures and hits in the group and in the rest, and how many independent pictures these amount to."""

    n: Ints
    k: Ints
    rest: Ints
    rest_hits: Ints
    sure: Floats
    rest_sure: Floats

    @property
    def share(self) -> Floats:
        """Of the groups."""
        return self.k / self.n

    @property
    def rest_share(self) -> Floats:
        """Of the rest of each."""
        return self.rest_hits / self.rest


def compare(
    counts: Counts,
    hit: npt.ArrayLike,
    *,
    among: npt.ArrayLike | None = None,
    settings: BiasSettings,
    rng: np.random.Generator,
    worse: Worse = "either",
) -> Comparison:
    """All groups of a measure: of the pictures whose outcome is `among` (M,), the share whose outcome is a `hit` (M,).

    Groups of fewer than `min_cell` pictures, or with fewer outside of them, are left out and counted.
    """
    hits = np.asarray(hit, bool)
    could = np.ones(len(counts.outcomes), bool) if among is None else np.asarray(among, bool)
    whole = resampling.table(counts, hits, could)
    n, k = int(whole.n.sum()), int(whole.k.sum())
    if not n:
        return Comparison()
    known, figures, untested = _shown(counts, hits, could, settings)
    single = resampling.distinct(counts, hits, could, rng)
    separate = np.asarray(known.matrix @ single.n)
    tests, first = _tests(known.matrix, whole.n)
    p = _p(known, single, figures)
    draws = settings.permutations if settings.correction == "permutation" else 0
    inside = within(single.n, int(single.k.sum()), known.matrix[first], p[first], rng, draws) if draws else None
    groups = _compared(known, figures, p, settings)
    gap, between = _gap(known, figures, settings.confidence)
    return Comparison(
        groups=groups,
        n=n,
        k=k,
        overall=_overall(counts, hits, could, k / n, settings.confidence),
        untested=untested,
        gap=gap,
        between=between,
        worst=_worst(groups, worse),
        method=_method(counts, inside.drawn if inside else "", settings),
        tests=tuple(tests.tolist()),
        within=tuple(inside.adjusted[tests].tolist()) if inside else None,
        level=inside.level if inside else None,
        gaps=lambda needed: smallest_gap(
            separate,
            single.n.sum() - separate,
            figures.rest_share,
            needed,
            settings.power,
            worse=worse,
            least=settings.least_gap,
        ),
    )


def _shown(counts: Counts, hit: Flags, among: Flags, settings: BiasSettings) -> tuple[Members, Figures, int]:
    """The groups that are large enough and leave enough others, their figures, and how many groups are not."""
    whole = resampling.table(counts, hit, among)
    every = members(counts.grouping, counts.cells, settings.depth)
    n, size = int(whole.n.sum()), np.asarray(every.matrix @ whole.n)
    large = (size >= settings.min_cell) & (n - size >= max(settings.min_cell, 1))
    untested = int(((size > 0) & ~large).sum())
    known = every.take(np.flatnonzero(large))
    size, right = size[large], np.asarray(known.matrix @ whole.k)
    units = resampling.effective(counts, hit, among, known.matrix)
    figures = Figures(size, right, n - size, int(whole.k.sum()) - right, units.n, units.rest)
    return known, figures, untested


def _overall(counts: Counts, hit: Flags, among: Flags, share: float, level: float) -> Estimate:
    everything = sp.csr_array(np.ones((1, len(counts.cells)), np.int64))
    units = resampling.effective(counts, hit, among, everything).n
    return _estimates(np.array([share]), intervals(share * units, units, level))[0]


def _tests(matrix: "sp.csr_array", n: Ints) -> tuple[Ints, Ints]:
    """For each group the number of its test (G,), and for each test a group (T,).

    A group and another of the same pictures, or of all the others, are one test.
    """
    drawn = np.random.default_rng(SEED_OF_SETS).integers(0, 2**63, len(n), dtype=np.uint64)
    name = np.where(n > 0, drawn, np.uint64(0))
    own = np.asarray(matrix.astype(np.uint64) @ name)
    rest = name.sum(dtype=np.uint64) - own
    _, first, place = np.unique(np.minimum(own, rest), return_index=True, return_inverse=True)
    return place.reshape(-1).astype(np.int64), first.astype(np.int64)


def _p(known: Members, single: resampling.Table, figures: Figures) -> Floats:
    """p of each group (G,); 1 where the pictures differ the other way once one of each group of copies stands for all of it."""
    n, k = np.asarray(known.matrix @ single.n), np.asarray(known.matrix @ single.k)
    total, hits = int(single.n.sum()), int(single.k.sum())
    p = Tails(total, hits).p(k, n)
    turned = np.sign(k * (total - n) - (hits - k) * n) * np.sign(figures.share - figures.rest_share) < 0
    return np.where(turned, 1.0, p)


def _compared(known: Members, figures: Figures, p: Floats, settings: BiasSettings) -> tuple[Compared, ...]:
    own, rest = figures.share * figures.sure, figures.rest_share * figures.rest_sure
    level = settings.confidence
    raw = _estimates(figures.share, intervals(own, figures.sure, level))
    against = _estimates(figures.rest_share, intervals(rest, figures.rest_sure, level))
    ends = differences((own, figures.sure), (rest, figures.rest_sure), level)
    effect = _estimates(figures.share - figures.rest_share, ends)
    rows = zip(known.groups(), figures.n.tolist(), figures.k.tolist(), raw, against, effect, p.tolist(), strict=True)
    return tuple(Compared(*row) for row in rows)


def _estimates(value: Floats, ends: Ends) -> list[Estimate]:
    rows = zip(value.tolist(), ends.low.tolist(), ends.high.tolist(), strict=True)
    return [Estimate(one, Interval(low, high)) for one, low, high in rows]


def _gap(known: Members, figures: Figures, level: float) -> tuple[Estimate | None, tuple[Group, Group] | None]:
    """The pair of groups of one kind whose gap is surely the largest: by the lower end of its interval.

    The interval is at a level that holds for all pairs at once (Bonferroni), so that having chosen does not break its promise.
    By the lower end, because the largest gap of all is nearly always that of two groups of a dozen pictures, by chance.
    """
    kinds = [np.flatnonzero(known.kind == kind) for kind in np.unique(known.kind)]
    pairs = sum(len(rows) * (len(rows) - 1) // 2 for rows in kinds)
    if not pairs:
        return None, None
    sure = 1 - (1 - level) / pairs
    own = figures.share * figures.sure
    low, high = intervals(own, figures.sure, sure)
    best: tuple[float, int, int] = (-np.inf, 0, 0)
    for rows in kinds:
        if len(rows) < 2:
            continue
        top, bottom = (
            rows[np.argsort(-low[rows], kind="stable")[:PAIRS]],
            rows[np.argsort(high[rows], kind="stable")[:PAIRS]],
        )
        over, under = figures.share[top] - low[top], high[bottom] - figures.share[bottom]
        least = figures.share[top][:, None] - figures.share[bottom] - np.hypot(over[:, None], under)
        least[top[:, None] == bottom] = -np.inf
        at = int(np.argmax(least))
        upper, lower = divmod(at, len(bottom))
        best = max(best, (float(least[upper, lower]), int(top[upper]), int(bottom[lower])))
    _, one, two = best
    if figures.share[one] < figures.share[two]:
        one, two = two, one
    pair = [(own[[at]], figures.sure[[at]]) for at in (one, two)]
    found = _estimates(figures.share[[one]] - figures.share[[two]], differences(pair[0], pair[1], sure))[0]
    names = known.take([one, two]).groups()
    return found, (names[0], names[1])


def _worst(groups: tuple[Compared, ...], worse: Worse) -> Group | None:
    """The group that fares worst, by the end of its difference that lies nearer to none: chance alone makes no group the worst."""

    def harm(one: Compared) -> float:
        ends = one.effect.interval
        return {"higher": ends.low, "lower": -ends.high, "either": max(ends.low, -ends.high)}[worse]

    return max(groups, key=harm).group if groups else None


def _method(counts: Counts, drawn: str, settings: BiasSettings) -> str:
    small = f"Clopper-Pearson below n = {EXACT_BELOW}, Wilson from there on, Newcombe for differences"
    copies = "; copies count as the number of independent pictures that vary as much, and one of each in tests"
    adjusted = {
        "permutation": f"{drawn}, {settings.permutations:,} draws, Bonferroni between kinds of measures",
        "benjamini-yekutieli": "Benjamini-Yekutieli",
        "holm": "Holm",
    }
    p = f"p: Fisher's exact test against the rest, tails as Blaker; over the report: {adjusted[settings.correction]}"
    return f"intervals: {small}; {p}{copies if counts.copies is not None else ''}"
