"""Groups by an attribute that a model estimated, corrected for how often the model mistakes it.

Mistaken people make two groups look alike: a gap between estimated groups is smaller than the gap between the people. With a
validation, true value by estimated value, the counts of estimated groups are what a matrix of chances makes of the counts of true
ones, and solving for those undoes it (the matrix method; Barron 1977, Carroll, Ruppert, Stefanski and Crainiceanu 2006, section 5).

It assumes that the model mistakes people as often whether the outcome happened to them or not (nondifferential error),
and as often here as where it was validated. Intervals take in chance in the pictures and in the validation: both are drawn again.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from secondlook.pipeline.bias import resampling
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.core.statistics import Interval

DRAWS = 1000  # of pictures and validation
JEFFREYS = 0.5  # pictures that are added to each count before it is drawn again
LEAST = 0.1  # smallest singular value of a matrix of chances that is solved: below it, errors grow more than ten times
METHOD = (
    "groups of attributes that a model estimated: matrix method on the model's validation, nondifferential error assumed, "
    f"intervals and p of {DRAWS:,} parametric bootstrap draws of pictures and validation"
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class Refused:
    """An attribute whose groups cannot be corrected, and why, in a sentence."""

    attribute: str
    why: str


class Corrected(NamedTuple):
    """V true values of an attribute: the share with a hit, and the same less that of all the others; with draws (D, V) of both."""

    share: Floats
    effect: Floats
    share_draws: Floats
    effect_draws: Floats


def corrected(
    comparison: Comparison,
    counts: Counts,
    hit: npt.ArrayLike,
    *,
    among: npt.ArrayLike | None = None,
    settings: BiasSettings,
    rng: np.random.Generator,
) -> tuple[Comparison, tuple[Refused, ...]]:
    """The comparison that `shares.compare` made of the same counts, where groups by estimated attributes are corrected or left out.

    Groups of an estimated attribute alone get `corrected`, and `effect`, `against` and `p` of it. Those that cross it with
    others are left out: there is no validation of crossed ones. An attribute whose matrix cannot be solved is left out whole, with why.
    Left out groups count as untested. Without estimated attributes the comparison stays as it is.
    """
    estimated = counts.grouping.estimated
    if not estimated:
        return comparison, ()
    hits = np.asarray(hit, bool)
    could = np.ones(len(counts.outcomes), bool) if among is None else np.asarray(among, bool)
    solved: dict[str, Corrected] = {}
    refused: list[Refused] = []
    for name, validation in estimated.items():
        found = _solve(name, validation, counts, (hits, could), rng)
        if isinstance(found, Refused):
            refused.append(found)
        else:
            solved[name] = found
    rows: list[int] = []
    groups: list[Compared] = []
    for row, one in enumerate(comparison.groups):
        told: Compared | None = one
        if _mistaken(one.group, counts.grouping):
            told = _told(one, counts, solved, settings) if one.group.depth == 1 else None
        if told is not None:
            rows.append(row)
            groups.append(told)
    return _kept(comparison, rows, groups), tuple(refused)


def left_out(comparison: Comparison, grouping: Grouping) -> Comparison:
    """The comparison without groups by attributes that a model estimated: for measures that no correction is made for."""
    rows = [row for row, one in enumerate(comparison.groups) if not _mistaken(one.group, grouping)]
    if len(rows) == len(comparison.groups):
        return comparison
    groups, gaps = tuple(comparison.groups[row] for row in rows), comparison.gaps
    between = comparison.between if not any(_mistaken(one, grouping) for one in comparison.between or ()) else None
    return dataclasses.replace(
        comparison,
        groups=groups,
        untested=comparison.untested + len(comparison.groups) - len(rows),
        gap=comparison.gap if between else None,
        between=between,
        worst=comparison.worst if any(one.group == comparison.worst for one in groups) else None,
        tests=None if comparison.tests is None else tuple(comparison.tests[row] for row in rows),
        within=None if comparison.within is None else tuple(comparison.within[row] for row in rows),
        gaps=None if gaps is None else lambda alpha: np.asarray(gaps(alpha))[rows],
    )


def _mistaken(group: Group, grouping: Grouping) -> bool:
    """Whether a model said who is in it; that it said nothing is known."""
    return any(name in grouping.estimated and value != NOT_SAID for name, value in group.values)


def _solve(
    name: str,
    validation: Mapping[str, Mapping[str, int]],
    counts: Counts,
    outcome: tuple[Flags, Flags],
    rng: np.random.Generator,
) -> Corrected | Refused:
    """Outcome: (M,) which is a hit, and among which."""
    column = counts.grouping.attributes.index(name)
    values = [one for one in counts.grouping.values[column] if one != NOT_SAID]
    if why := _unusable(name, validation, values):
        return Refused(name, why)
    inside = counts.membership([Group(((name, one),)) for one in values])
    table = resampling.table(counts, *outcome)
    n, k = (np.asarray(inside @ one, np.float64) for one in table)
    silent = float(table.n.sum() - n.sum()), float(table.k.sum() - k.sum())
    seen = np.array([[validation[true].get(one, 0) for one in values] for true in values], np.float64)
    spare = np.array([sum(validation[true].values()) for true in values], np.float64) - seen.sum(axis=1)
    chances = seen / (seen.sum(axis=1) + spare)[:, None]
    weakest = float(np.linalg.svd(chances, compute_uv=False)[-1])
    if weakest < LEAST:
        return Refused(
            name,
            f"the model that estimated {name} mistakes its values so often that their groups can't be told apart "
            f"(smallest singular value {weakest:.2f}, needed {LEAST:g})",
        )
    share, effect = _figures(chances[None], n[None], k[None], silent)
    sure = resampling.effective(counts, *outcome, inside).n
    mixed = rng.standard_gamma(
        np.concatenate([seen, spare[:, None]], axis=1) + JEFFREYS, (DRAWS, len(values), len(values) + 1)
    )
    drawn = mixed[:, :, :-1] / mixed.sum(axis=2, keepdims=True) if spare.any() else _normed(mixed[:, :, :-1])
    size = _normed(rng.standard_gamma(sure + JEFFREYS, (DRAWS, len(values)))) * n.sum()
    rate = rng.beta(k / np.maximum(n, 1) * sure + JEFFREYS, (1 - k / np.maximum(n, 1)) * sure + JEFFREYS, size.shape)
    return Corrected(share[0], effect[0], *_figures(drawn, size, size * rate, silent))


def _normed(drawn: Floats) -> Floats:
    return np.asarray(drawn / drawn.sum(axis=-1, keepdims=True), np.float64)


def _figures(chances: Floats, n: Floats, k: Floats, silent: tuple[float, float]) -> tuple[Floats, Floats]:
    """Shares (D, V) of true values, and less those of the rest, of D matrices (D, V, V) and counts (D, V).

    silent: pictures of which nothing was estimated, and those of them with a hit: they are of the rest of each.
    """
    turned = np.swapaxes(chances, 1, 2)
    there, hits = (np.linalg.solve(turned, one[..., None])[..., 0] for one in (n, k))
    rest, rest_hits = (
        one.sum(axis=1, keepdims=True) - one + extra for one, extra in zip((there, hits), silent, strict=True)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        # A group of no pictures, or fewer, says nothing: its share is anything.
        share = np.where(there > 0, np.clip(hits / there, 0, 1), np.nan)
        other = np.where(rest > 0, np.clip(rest_hits / rest, 0, 1), np.nan)
    return share, share - other


def _unusable(name: str, validation: Mapping[str, Mapping[str, int]], values: list[str]) -> str:
    """Why a validation says too little, or nothing."""
    unknown = sorted(set(validation) - set(values))
    if unknown:
        return (
            f"the validation of {name} has the true value {unknown[0]!r}, which the model never says of these pictures"
        )
    silent = [one for one in values if not sum(validation.get(one, {}).values())]
    if silent:
        return f"the validation of {name} has no picture whose true value is {silent[0]!r}"
    return "" if len(values) > 1 else f"{name} has one estimated value only"


def _told(one: Compared, counts: Counts, solved: Mapping[str, Corrected], settings: BiasSettings) -> Compared | None:
    ((name, mine),) = one.group.values
    found = solved.get(name)
    if found is None:
        return None
    values = counts.grouping.values[counts.grouping.attributes.index(name)]
    at = [value for value in values if value != NOT_SAID].index(mine)
    if np.isnan(found.effect[at]):
        return None
    share = _estimate(float(found.share[at]), found.share_draws[:, at], settings.confidence, (0.0, 1.0))
    effect = _estimate(float(found.effect[at]), found.effect_draws[:, at], settings.confidence, (-1.0, 1.0))
    against = _estimate(
        float(found.share[at] - found.effect[at]),
        (found.share_draws - found.effect_draws)[:, at],
        settings.confidence,
        (0.0, 1.0),
    )
    spread = float(np.nanstd(found.effect_draws[:, at]))
    p = float(2 * ndtr(-abs(effect.value) / spread)) if spread > 0 else 1.0
    return dataclasses.replace(one, corrected=share, against=against, effect=effect, p=p)


def _estimate(value: float, draws: Floats, confidence: float, limits: tuple[float, float]) -> Estimate:
    """With the interval of the draws; one that says nothing reaches to the limits."""
    low, high = (np.where(np.isnan(draws), limit, draws) for limit in limits)
    tail = (1 - confidence) / 2
    return Estimate(
        value, Interval(min(float(np.quantile(low, tail)), value), max(float(np.quantile(high, 1 - tail)), value))
    )


def _kept(comparison: Comparison, rows: list[int], groups: list[Compared]) -> Comparison:
    """Of the comparison, these rows, with other figures: what its permutation says of p no longer holds where p is another."""
    changed = any(one.corrected is not None for one in groups) or len(rows) < len(comparison.groups)
    if not changed:
        return comparison
    worst = comparison.worst if any(one.group == comparison.worst for one in groups) else None
    return dataclasses.replace(
        comparison,
        groups=tuple(groups),
        untested=comparison.untested + len(comparison.groups) - len(groups),
        gap=None,
        between=None,
        worst=worst,
        method=f"{comparison.method}; {METHOD}, Holm within the measure",
        tests=None,
        within=None,
        level=None,
        gaps=None,
    )
