"""Groups that a model estimated: by hand, attenuation undone, intervals that know of the validation, and refusals."""

import numpy as np
import pytest

from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.estimated import corrected, left_out
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.groups import NOT_SAID

SETTINGS = BiasSettings(permutations=200)
HIT = np.array([False, True])


def told(counts: Counts) -> tuple[Comparison, Comparison, tuple[str, ...]]:
    rng = np.random.default_rng(0)
    plain = compare(counts, HIT, settings=SETTINGS, rng=rng)
    mended, refused = corrected(plain, counts, HIT, settings=SETTINGS, rng=rng)
    return plain, mended, tuple(one.why for one in refused)


def one_attribute(hits: dict[str, tuple[int, int]], validation: dict[str, dict[str, int]]) -> Counts:
    """Value → hits and pictures."""
    n = np.array([(size - k, k) for k, size in hits.values()], np.int64)
    return Counts(Grouping(("sex",), (tuple(hits),), {"sex": validation}), np.arange(len(n))[:, None], ("no", "yes"), n)


def test_by_hand() -> None:
    """600 f with 60 hits and 400 m with 160, of whom 10 % of f are taken for m and 20 % of m for f."""
    validation = {"f": {"f": 900, "m": 100}, "m": {"f": 200, "m": 800}}
    taken_for_f, taken_for_m = (
        (60 * 0.9 + 160 * 0.2, 600 * 0.9 + 400 * 0.2),
        (60 * 0.1 + 160 * 0.8, 600 * 0.1 + 400 * 0.8),
    )
    hits = {"f": (round(taken_for_f[0]), round(taken_for_f[1])), "m": (round(taken_for_m[0]), round(taken_for_m[1]))}
    plain, mended, refused = told(one_attribute(hits, validation))
    f, m = mended.groups
    assert refused == ()
    assert f.corrected is not None
    assert m.corrected is not None
    assert (f.corrected.value, m.corrected.value) == pytest.approx((0.1, 0.4), abs=1e-9)
    assert m.effect.value == pytest.approx(0.3)
    assert abs(plain.groups[1].effect.value) < 0.23  # the mistakes make them look more alike
    assert m.raw == plain.groups[1].raw
    assert m.effect.interval.low < 0.3 < m.effect.interval.high
    assert mended.within is None


def test_intervals_know_that_a_validation_is_a_sample() -> None:
    hits = {"f": (86, 620), "m": (134, 380)}
    wide, narrow = (
        told(one_attribute(hits, {"f": {"f": 9 * size, "m": size}, "m": {"f": 2 * size, "m": 8 * size}}))[1]
        .groups[1]
        .effect.interval
        for size in (4, 4000)
    )
    assert wide.high - wide.low > 1.15 * (narrow.high - narrow.low)


def test_the_gap_is_covered_by_the_corrected_interval_and_missed_by_the_raw_one() -> None:
    rng, raw, mended = np.random.default_rng(2), 0, 0
    chances, rates = np.array([[0.85, 0.15], [0.25, 0.75]]), np.array([0.2, 0.3])
    for _ in range(80):
        true = rng.choice(2, 4000, p=[0.6, 0.4])
        seen, hit = (rng.random(4000) < chances[true, 1]).astype(int), rng.random(4000) < rates[true]
        n = np.zeros((2, 2), np.int64)
        np.add.at(n, (seen, hit.astype(int)), 1)
        drawn = [rng.multinomial(size, chances[at]).tolist() for at, size in enumerate((300, 200))]
        validation = {name: dict(zip("fm", row, strict=True)) for name, row in zip("fm", drawn, strict=True)}
        its = Counts(Grouping(("sex",), (("f", "m"),), {"sex": validation}), np.arange(2)[:, None], ("no", "yes"), n)
        plain, better, _ = told(its)
        raw += plain.groups[1].effect.interval.low <= 0.1 <= plain.groups[1].effect.interval.high
        mended += better.groups[1].effect.interval.low <= 0.1 <= better.groups[1].effect.interval.high
    assert raw < 40
    assert mended >= 71


def test_crossed_groups_are_left_out_and_what_nobody_estimated_stays() -> None:
    validation = {"f": {"f": 90, "m": 10}, "m": {"f": 10, "m": 90}}
    grouping = Grouping(("sex", "site"), (("f", "m", NOT_SAID), ("x", "y")), {"sex": validation})
    cells = np.array([[sex, site] for sex in range(3) for site in range(2)])
    its = Counts(grouping, cells, ("no", "yes"), np.array([[80, 20], [70, 30], [60, 40], [50, 50], [70, 30], [75, 25]]))
    plain, mended, _ = told(its)
    assert [one.group.name for one in mended.groups] == [
        "sex f", "sex m", "sex (not said)", "site x", "site y", "sex (not said), site x", "sex (not said), site y",
    ]  # fmt: skip
    assert [one.corrected is not None for one in mended.groups] == [True, True, *[False] * 5]
    assert mended.untested == plain.untested + 4
    f, m = mended.groups[:2]
    shares = np.linalg.solve([[0.9, 0.1], [0.1, 0.9]], [50, 90]) / 200  # symmetric, and 200 of each
    assert f.corrected is not None
    assert f.corrected.value == pytest.approx(shares[0])
    assert f.against.value == pytest.approx((shares[1] * 200 + 55) / 400)  # who is not said is of the rest
    assert m.effect.value > 0
    bare = left_out(plain, grouping)
    assert [one.group.name for one in bare.groups] == [one.group.name for one in mended.groups[2:]]
    assert bare.within is not None
    assert len(bare.within) == len(bare.groups)
    assert bare.gaps is not None
    assert len(bare.gaps(0.01)) == len(bare.groups)


@pytest.mark.parametrize(
    ("validation", "why"),
    [
        ({"f": {"f": 50, "m": 50}, "m": {"f": 48, "m": 52}}, "can't be told apart"),
        ({"f": {"f": 50, "m": 5}, "m": {}}, "no picture whose true value is 'm'"),
        ({"f": {"f": 50}, "m": {"m": 50}, "x": {"f": 3}}, "the true value 'x'"),
    ],
)
def test_a_validation_that_says_too_little_is_refused_with_why(validation: dict[str, dict[str, int]], why: str) -> None:
    _, mended, refused = told(one_attribute({"f": (60, 500), "m": (90, 500)}, validation))
    assert why in refused[0]
    assert mended.groups == ()
    assert mended.untested == 2


def test_without_estimated_attributes_nothing_changes() -> None:
    its = Counts(
        Grouping(("sex",), (("f", "m"),), {}), np.arange(2)[:, None], ("no", "yes"), np.array([[80, 20], [70, 30]])
    )
    plain, mended, _ = told(its)
    assert mended is plain
    assert left_out(plain, its.grouping) is plain
