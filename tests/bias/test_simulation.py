"""Whole reports without an effect, with one, and with copies: how often is anything false said. benchmarks/bias_simulation.py does more of it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from secondlook.pipeline.bias.family import Comparison, adjusted
from secondlook.pipeline.bias.power import power
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared
from secondlook.pipeline.core.statistics import wilson
from tests.bias.made import HIT, Pictures, pictures

SETTINGS = BiasSettings(permutations=400)
SHARES = ((0.55, 0.45), (0.4, 0.25, 0.15, 0.1, 0.07, 0.03), (0.05, 0.45, 0.3, 0.15, 0.05))
REPORTS = pytest.mark.parametrize(
    "n", [pytest.param(60, id="60"), pytest.param(2000, id="2000", marks=pytest.mark.soak)]
)


def report(made: Pictures, rng: np.random.Generator) -> list[Comparison]:
    """Three measures of the same pictures: as made, one that goes with it, one that does not."""
    n = len(made.outcome)
    like = np.where(rng.random(n) < 0.5, made.outcome, rng.random(n) < 0.1)[
        np.unique(made.cluster, return_index=True)[1]
    ]
    other = (rng.random(int(made.cluster.max()) + 1) < 0.04).astype(np.int64)
    found = []
    for outcome in (made.outcome, like[made.cluster].astype(np.int64), other[made.cluster]):
        counts = dataclasses.replace(made, outcome=outcome).counts
        one = compare(counts, HIT, settings=SETTINGS, rng=rng)
        found.append(dataclasses.replace(one, gaps=None))
    return found


def told(found: list[Comparison], correction: str) -> list[Compared]:
    settings = dataclasses.replace(SETTINGS, correction=correction)
    return [one for groups in adjusted(found, settings) for one in groups if one.adjusted <= SETTINGS.alpha]


@REPORTS
@pytest.mark.parametrize("clusters", [0, 25], ids=["single pictures", "copies"])
def test_no_more_reports_with_a_false_alarm_than_promised(n: int, clusters: int, record: Callable[..., None]) -> None:
    false = dict.fromkeys(("permutation", "holm", "benjamini-yekutieli"), 0)
    for at in range(n):
        rng = np.random.default_rng([clusters, at])
        size = int(rng.integers(500, 3000))
        cluster = rng.integers(2, 9, clusters * size // 1000).tolist()
        found = report(pictures(rng, size, SHARES, rng.uniform(0.03, 0.4), cluster=cluster), rng)
        for correction in false:
            false[correction] += bool(told(found, correction))
    for correction, reports in false.items():
        assert wilson(reports, n, 0.998).low <= SETTINGS.alpha, correction
    record("false_alarms", reports=n, clusters=clusters, **false)


@REPORTS
def test_a_planted_gap_is_found_as_often_as_the_statement_promises(n: int, record: Callable[..., None]) -> None:
    """Five points at n = 2,000, in one of two halves; the other measures stay as they are."""
    still, found, promised = None, 0, []
    for at in range(n):
        rng = np.random.default_rng([7, at])
        made = pictures(rng, 4000, ((0.5, 0.5), *SHARES[1:]), 0.1)
        inside = made.places[:, 0] == 0
        made = dataclasses.replace(made, outcome=(rng.random(4000) < 0.1 + 0.05 * inside).astype(np.int64))
        still = still or report(pictures(rng, 1000, SHARES, 0.2), rng)
        one = compare(made.counts, HIT, settings=SETTINGS, rng=rng, worse="higher")
        assert one.level is not None
        level = one.level(SETTINGS.alpha / 4)
        promised.append(float(power(inside.sum(), (~inside).sum(), 0.1, 0.05, level, least=SETTINGS.least_gap)))
        sure = told([dataclasses.replace(one, gaps=None), *still], "permutation")
        found += any(its.group.values == (("a", "a0"),) and its.effect.value > 0 for its in sure)
    said = float(np.mean(promised))
    low_high = wilson(found, n, 0.998)
    assert low_high.low <= said + 0.02
    assert low_high.high >= said - 0.02
    record("planted_gap", reports=n, promised=said, found=found)
