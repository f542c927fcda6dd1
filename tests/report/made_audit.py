"""Made audits by groups: pictures with made attributes, compared the plain way, so that pages have something to show."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from secondlook.pipeline.bias.rules import RULES
from secondlook.pipeline.core.comparison import (
    AuditedAttribute,
    Changed,
    Compared,
    Estimate,
    GroupAudit,
    Measure,
    Unit,
    Worse,
)
from secondlook.pipeline.core.groups import NOT_SAID, Group
from secondlook.pipeline.core.statistics import Interval, wilson
from secondlook.pipeline.report.bias import facts as f

Columns = Mapping[str, npt.NDArray[np.str_]]
SITES = {"harbour": 0.34, "market": 0.3, "hill": 0.2, "station": 0.13, "island": 0.03}
LIGHTS = {"day": 0.62, "dusk": 0.24, "lamp": 0.14}
HANDS = {"right": 0.7, "left": 0.18, NOT_SAID: 0.12}


def columns(n: int, rng: np.random.Generator, **shares: Mapping[str, float]) -> Columns:
    """Attributes of n pictures that have nothing to do with each other."""
    return {
        name: rng.choice(list(its), n, p=np.array(list(its.values())) / sum(its.values()))
        for name, its in (shares or {"site": SITES, "light": LIGHTS, "hand": HANDS}).items()
    }


def members(made: Columns, depth: int) -> dict[Group, npt.NDArray[np.bool_]]:
    """Who is in which group, of all groups that have somebody."""
    found: dict[Group, npt.NDArray[np.bool_]] = {}
    for size in range(1, depth + 1):
        for names in combinations(made, size):
            for values in sorted(set(zip(*(made[name].tolist() for name in names), strict=True))):
                pairs = tuple(zip(names, values, strict=True))
                found[Group(pairs)] = np.all([made[name] == value for name, value in pairs], axis=0)
    return found


def compared(group: Group, k: int, n: int, k_rest: int, n_rest: int) -> Compared:
    """A share beside the rest's, with plain intervals; adjusted comes later."""
    share, rest = k / n, k_rest / n_rest if n_rest else math.nan
    spread = (share * (1 - share) / n + rest * (1 - rest) / max(n_rest, 1)) ** 0.5
    low, high = share - rest - 1.96 * spread, share - rest + 1.96 * spread
    p = float(stats.fisher_exact([[k, n - k], [k_rest, n_rest - k_rest]]).pvalue)
    pool = (k + k_rest) / (n + n_rest)
    gap = 2.8 * (pool * (1 - pool) * (1 / n + 1 / max(n_rest, 1))) ** 0.5
    pooled = (k + 40 * pool) / (n + 40)
    return Compared(
        group,
        n,
        float(k),
        Estimate(share, wilson(k, n)),
        Estimate(rest, wilson(k_rest, n_rest)),
        Estimate(share - rest, Interval(low, high)),
        p,
        smallest_gap=gap if gap < 0.9 else math.nan,
        pooled=Estimate(pooled, wilson((k + 40 * pool), n + 40)) if group.depth > 1 else None,
    )


def measure(
    rule: str,
    name: str,
    title: str,
    outcome: str,
    hit: npt.NDArray[np.bool_],
    groups: Mapping[Group, npt.NDArray[np.bool_]],
    worse: Worse = "higher",
    unit: Unit = "share",
    min_cell: int = 10,
) -> Measure:
    """One outcome over all groups that are large enough."""
    n, k = len(hit), int(hit.sum())
    its = [
        compared(group, int(hit[mine].sum()), int(mine.sum()), int(hit[~mine].sum()), int((~mine).sum()))
        for group, mine in groups.items()
        if min_cell <= mine.sum() < n
    ]
    small = sum(bool(0 < mine.sum() < min_cell) for mine in groups.values())
    return Measure(
        rule, name, title, outcome, "labeled pictures that a model judged out of sample", worse, unit, n, k,
        Estimate(k / n, wilson(k, n)), its, small, method="Wilson; Fisher.",
    )  # fmt: skip


def shares(
    groups: Mapping[Group, npt.NDArray[np.bool_]], expected: Mapping[Group, float], min_cell: int = 10
) -> Measure:
    """SL401: shares of all pictures against a reference."""
    n = len(next(iter(groups.values())))
    its = []
    for group, mine in groups.items():
        k = int(mine.sum())
        if group not in expected or k < min_cell:
            continue
        share, told = k / n, expected[group]
        held, reach = Estimate(told, Interval(told, told)), wilson(k, n)
        effect = Estimate(share - told, Interval(reach.low - told, reach.high - told))
        p = float(stats.binomtest(k, n, told).pvalue)
        its.append(
            Compared(
                group,
                n,
                float(k),
                Estimate(share, reach),
                held,
                effect,
                p,
                smallest_gap=0.02,
                missing=(told * n - k) / (1 - told),
            )
        )
    return Measure(
        "SL401", "share", "Share of the pictures", "is there", "all pictures", "lower", "share", n, float(n), None, its
    )


def audit(
    made: Columns, measures: Sequence[Measure], *, depth: int = 2, min_cell: int = 10, **changes: Any
) -> GroupAudit:
    """The measures as an audit, p adjusted by Holm over all, with gap and worst group."""
    flat = sorted(((one.p, at, place) for at, its in enumerate(measures) for place, one in enumerate(its.groups)))
    adjusted: dict[tuple[int, int], float] = {}
    highest = 0.0
    for rank, (p, at, place) in enumerate(flat):
        highest = max(highest, min(1.0, p * (len(flat) - rank)))
        adjusted[at, place] = highest
    done = []
    for at, its in enumerate(measures):
        groups = [dataclasses.replace(one, adjusted=adjusted[at, place]) for place, one in enumerate(its.groups)]
        alone = sorted((one for one in groups if one.group.depth == 1), key=lambda one: one.raw.value)
        ends = [alone[0].raw, alone[-1].raw] if alone else []
        half = sum((one.interval.high - one.interval.low) ** 2 for one in ends) ** 0.5 / 2
        apart = ends[1].value - ends[0].value if ends else 0.0
        gap = Estimate(apart, Interval(max(apart - half, 0.0), apart + half)) if alone else None
        worst = (alone[-1] if its.worse == "higher" else alone[0]).group if alone else None
        done.append(dataclasses.replace(its, groups=groups, gap=gap, worst=worst))
    attributes = [
        AuditedAttribute(name, dict(sorted(_counted(column).items())), missing=int((column == NOT_SAID).sum()))
        for name, column in made.items()
    ]
    n = len(next(iter(made.values()))) if made else 0
    plain = GroupAudit(
        version=7, samples=n, attributes=attributes, measures=done, depth=depth, alpha=0.05, confidence=0.95, power=0.8,
        correction="permutation", least_gap=0.02, min_cell=min_cell, tests=len(flat), seed=7,
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


def _counted(column: npt.NDArray[np.str_]) -> dict[str, int]:
    values, counts = np.unique(column, return_counts=True)
    return {str(value): int(n) for value, n in zip(values, counts, strict=True)}


def planted(n: int = 6000, seed: int = 3, min_cell: int = 10) -> GroupAudit:
    """Sites, lights and hands: lamplight is dark and the model fails in it, the station's labels are wrong more often."""
    rng = np.random.default_rng(seed)
    made = columns(n, rng)
    groups = members(made, 2)
    lamp, station, left = made["light"] == "lamp", made["site"] == "station", made["hand"] == "left"
    island = made["site"] == "island"

    def chance(base: float, *more: tuple[npt.NDArray[np.bool_], float]) -> npt.NDArray[np.bool_]:
        p = np.full(n, base)
        for who, by in more:
            p = p + who * by
        return np.asarray(rng.random(n) < p)

    expected = {Group((("site", name),)): share for name, share in zip(SITES, (0.3, 0.28, 0.2, 0.12, 0.1), strict=True)}
    measures = [
        shares(groups, expected, min_cell),
        measure("SL402", "label errors", "Labels that are doubted", "is doubted", chance(0.05, (station, 0.09)), groups, min_cell=min_cell),
        measure("SL403", "accuracy", "The model agrees with the label", "is called what it is labeled", chance(0.9, (lamp, -0.14), (island, -0.05)), groups, "lower", min_cell=min_cell),
        *(
            measure("SL403", f"false negatives: {digit}", f"{digit} missed", "is called something else", chance(0.08, (lamp & (at == 0), 0.1)), groups, min_cell=min_cell)
            for at, digit in enumerate(("zero", "one", "two"))
        ),
        measure("SL405", "disagreement", "People contradict each other", "got two different answers from the first two people", chance(0.12, (left, 0.02)), groups, min_cell=min_cell),
        measure("SL405", "answers: ann@example.org", "ann@example.org answers otherwise than the others", "is answered otherwise than most of the others did", chance(0.1), groups, min_cell=min_cell),
        measure("SL406", "asked", "Pictures that the queue chose", "was chosen for people", chance(0.2, (station, 0.1)), groups, "either", min_cell=min_cell),
        measure("SL407", "dark", "Dark pictures", "is among the darkest tenth of the dataset", chance(0.04, (lamp, 0.4)), groups, min_cell=min_cell),
    ]  # fmt: skip
    notes = {"SL404": "needs labels of at least two classes"}
    return audit(made, measures, min_cell=min_cell, notes=notes)


def changed(of: GroupAudit, seed: int = 5) -> list[Changed]:
    """What became of the model's accuracy: better in lamplight, a little worse at the harbour."""
    rng, made = np.random.default_rng(seed), []
    accuracy = next(one for one in of.measures if one.name == "accuracy")
    for one in accuracy.groups:
        if one.group.depth > 1:
            continue
        moved = {"lamp": 0.08, "harbour": -0.03}.get(one.group.values[0][1], rng.normal(0, 0.006))
        after = min(one.raw.value + moved, 1.0)
        half = 0.9 / one.n**0.5
        made.append(
            Changed(
                "accuracy", one.group, one.n, one.raw, Estimate(after, wilson(after * one.n, one.n)),
                Estimate(moved, Interval(moved - half, moved + half)), 0.0 if abs(moved) > 0.02 else 0.5,
                0.001 if abs(moved) > 0.02 else 1.0, rule="SL403", outcome=accuracy.outcome, worse="lower",
            )
        )  # fmt: skip
    return made


def facts(of: GroupAudit, **changes: Any) -> f.BiasFacts:
    """Facts of a page on an audit."""
    plain = f.BiasFacts("harbour digits", of.version, "2026-01-02 03:04 UTC", of, RULES, model="generalist-6")
    return dataclasses.replace(plain, **changes)
