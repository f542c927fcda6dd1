"""How much surer than right, from counts: against the same from pictures, and what chance does."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias.calibration import EDGES, bins, calibration_error, miscalibration, place
from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core import statistics
from secondlook.pipeline.core.bias_config import BiasSettings

SETTINGS = BiasSettings(min_cell=5)
Floats = npt.NDArray[np.float64]


def counted(group: npt.NDArray[np.int64], confidence: Floats, right: npt.NDArray[np.bool_]) -> Counts:
    n = np.zeros((int(group.max()) + 1, 2 * len(bins().middle)), np.int64)
    np.add.at(n, (group, place(confidence, right)), 1)
    names = tuple(f"g{at}" for at in range(len(n)))
    return Counts(Grouping(("g",), (names,), {}), np.arange(len(n))[:, None], bins().outcomes, n)


def made(
    rng: np.random.Generator, sizes: list[int], spread: list[tuple[float, float]], too_sure: list[float]
) -> tuple[npt.NDArray[np.int64], Floats, npt.NDArray[np.bool_]]:
    """Groups whose confidences are 1 less 0.8 times a beta, and right so much less often."""
    group = np.repeat(np.arange(len(sizes)), sizes)
    confidence = 1 - 0.8 * rng.beta(*np.array(spread)[group].T)
    return group, confidence, rng.random(len(group)) < confidence - np.array(too_sure)[group]


def test_figures_are_those_of_the_pictures() -> None:
    group, confidence, right = made(np.random.default_rng(1), [900, 400, 60], [(1, 8), (1, 8), (2, 2)], [0.0, 0.1, 0.0])
    found = miscalibration(counted(group, confidence, right), SETTINGS, np.random.default_rng(0))
    for at, one in enumerate(found.groups):
        mine = group == at
        assert (one.n, one.k) == (mine.sum(), right[mine].sum())
        assert one.raw.value == pytest.approx((confidence - right)[mine].mean(), abs=0.004)  # bins are that wide
        assert one.effect.value == pytest.approx(
            (confidence - right)[mine].mean() - (confidence - right)[~mine].mean(), abs=0.004
        )
        assert one.calibration_error == pytest.approx(
            statistics.calibration_error(confidence[mine], right[mine]), abs=0.01
        )
    assert found.worst == found.groups[1].group


def test_means_of_bins_make_figures_exact() -> None:
    group, confidence, right = made(np.random.default_rng(2), [400, 300], [(1, 30), (1, 30)], [0.0, 0.0])
    at = place(confidence, right) // 2
    size = len(EDGES) - 1
    held = bins(np.bincount(at, confidence, size).tolist(), np.bincount(at, minlength=size).tolist())
    found = miscalibration(counted(group, confidence, right), SETTINGS, np.random.default_rng(0), held=held)
    assert found.overall is not None
    assert found.overall.value == pytest.approx((confidence - right).mean(), abs=1e-12)


def test_a_harder_group_is_no_finding_and_an_overconfident_one_is() -> None:
    """40 reports: a small group that is much harder, and known to be, has small p no more often than chance has."""
    rng = np.random.default_rng(3)
    harder, surer = [], []
    for _ in range(40):
        told = [
            miscalibration(counted(*made(rng, [600, 60], [(1, 8), (2, 2)], [0.0, off])), SETTINGS, rng).groups[1]
            for off in (0.0, 0.3)
        ]
        harder.append(told[0].p)
        surer.append(told[1].p)
    assert np.mean(np.array(harder) <= 0.05) <= 0.15
    assert np.mean(np.array(surer) <= 0.05) >= 0.9


def test_the_calibration_error_of_a_calibrated_model_stays_below_chance() -> None:
    rng = np.random.default_rng(4)
    inside = 0
    for _ in range(100):
        told = miscalibration(counted(*made(rng, [200, 30], [(1, 4), (1, 4)], [0.0, 0.0])), SETTINGS, rng)
        for one in told.groups:
            assert one.calibration_error is not None
            assert one.calibration_chance is not None
            inside += one.calibration_error <= one.calibration_chance
    assert inside >= 180  # of 200, at 95 %


def test_an_empty_group_has_no_error_and_other_outcomes_are_refused() -> None:
    found = calibration_error(np.zeros((1, 2 * len(bins().middle)), np.int64), bins(), np.random.default_rng(0))
    assert np.isnan(found.found[0])
    assert np.isnan(found.chance[0])
    counts = counted(np.array([0, 1]), np.array([0.5, 0.5]), np.array([True, False]))
    few = Counts(counts.grouping, counts.cells, ("no", "yes"), counts.n[:, :2])
    with pytest.raises(ValueError, match=r"outcomes, got 2"):
        miscalibration(few, SETTINGS, np.random.default_rng(0))


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_a_picture_is_counted_in_the_bin_that_holds_it(pictures: list[tuple[float, bool]]) -> None:
    confidence, right = (np.array(column) for column in zip(*pictures, strict=True))
    at = place(confidence, right)
    assert (at % 2 == right).all()
    low, high = EDGES[at // 2], EDGES[at // 2 + 1]
    assert ((low <= confidence) & (confidence <= high)).all()
