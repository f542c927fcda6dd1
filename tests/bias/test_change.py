"""What changed for a group between two versions: pairs, shares, copies; by hand, beside statsmodels, and how often intervals cover."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from secondlook.pipeline.bias.change import PAIRS, STAYS, Twice, changes
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Changed

AGES = Grouping(("age",), (("young", "old"),), {})


def twice(young: list[int], old: list[int], outcomes: tuple[str, ...] = PAIRS, copies: Copies | None = None) -> Twice:
    counts = Counts(AGES, np.array([[0], [1]]), outcomes, np.array([young, old]), copies)
    return Twice("wrong labels", "SL402", "is wrong", "higher", counts)


def of(found: list[Changed], value: str) -> Changed:
    return next(one for one in found if one.group.values == (("age", value),))


def test_a_change_is_gained_minus_lost_over_the_same_pictures() -> None:
    found = changes([twice([60, 25, 5, 10], [80, 3, 3, 14])], BiasSettings())
    young, old = of(found, "young"), of(found, "old")
    assert (young.n, young.gained, young.lost, young.paired) == (100, 5, 25, True)
    assert (young.before.value, young.after.value) == (0.35, 0.15)
    assert young.difference.value == pytest.approx(-0.20)
    assert young.difference.interval.high < 0 < old.difference.interval.high
    assert young.helped(0.05) is True
    assert old.helped(0.05) is None


def test_p_is_that_of_mcnemars_exact_test_and_adjusted_by_holm() -> None:
    found = changes([twice([60, 25, 5, 10], [80, 3, 4, 13])], BiasSettings())
    for one in found:
        theirs = mcnemar([[0, one.lost], [one.gained, 0]], exact=True)
        assert one.p == pytest.approx(theirs.pvalue)
    assert [one.adjusted for one in found] == pytest.approx(multipletests([one.p for one in found], method="holm")[1])


def test_copies_are_no_independent_pictures() -> None:
    """Ten clusters of ten copies that were all put right are ten decisions, not a hundred."""
    lost = np.full(100, 1)
    copies = Copies(np.repeat(np.arange(10), 10), np.zeros(100, np.int64), lost)
    alone = of(changes([twice([300, 100, 0, 0], [100, 0, 0, 0])], BiasSettings()), "young")
    tied = of(changes([twice([300, 100, 0, 0], [100, 0, 0, 0], copies=copies)], BiasSettings()), "young")
    assert tied.difference.value == alone.difference.value == -0.25
    assert tied.p == pytest.approx(2 * 0.5**10)
    assert alone.p < 1e-20
    width = {one: it.difference.interval.high - it.difference.interval.low for one, it in (("a", alone), ("t", tied))}
    assert width["t"] > 2.5 * width["a"]


@pytest.mark.parametrize("change", [0.0, 0.1])
def test_intervals_of_copies_cover(change: float) -> None:
    """Of 300 pictures in clusters of 1 to 6, 400 times: as often as 95 % promises, within what 400 repeats can tell."""
    rng, inside, false = np.random.default_rng(11), 0, 0
    for _ in range(400):
        size = rng.integers(1, 7, 90)
        outcome = rng.choice(4, p=[0.5, 0.2, 0.2 + change, 0.1 - change], size=len(size))
        each = np.repeat(outcome, size)
        n = np.bincount(each, minlength=4).tolist()
        copies = Copies(np.repeat(np.arange(90), size), np.zeros(len(each), np.int64), each)
        found = of(changes([twice(n, [20, 0, 0, 0], copies=copies)], BiasSettings()), "young")
        inside += found.difference.interval.low <= change <= found.difference.interval.high
        false += found.p <= 0.05
    assert inside / 400 >= 0.93
    if not change:
        assert false / 400 <= 0.07


def test_a_share_moves_by_what_was_added_and_removed() -> None:
    """100 of 1,000 were young; 200 young ones were added and nothing removed: Fisher's test of the added beside those before."""
    found = of(changes([twice([0, 100, 200], [0, 900, 0], STAYS)], BiasSettings()), "young")
    assert (found.before.value, found.after.value, found.paired) == (0.1, 0.25, False)
    assert found.difference.value == pytest.approx(0.15)
    assert found.p == pytest.approx(stats.fisher_exact([[100, 900], [200, 0]]).pvalue)
    assert 0.1 < found.difference.interval.low < 0.15 < found.difference.interval.high < 0.2
    nothing = of(changes([twice([0, 100, 0], [0, 900, 0], STAYS)], BiasSettings()), "young")
    assert (nothing.difference.value, nothing.p) == (0.0, 1.0)
    both = of(changes([twice([60, 40, 0], [0, 860, 40], STAYS)], BiasSettings()), "young")
    assert both.p < 1e-6
    assert both.difference.interval.high < 0


def test_shares_that_only_chance_moves_are_seldom_said_to_have_moved() -> None:
    rng, said, inside = np.random.default_rng(5), 0, 0
    for _ in range(500):
        young = [int(rng.binomial(n, 0.3)) for n in (150, 600, 250)]
        found = of(
            changes([twice(young, [150 - young[0], 600 - young[1], 250 - young[2]], STAYS)], BiasSettings()), "young"
        )
        said += found.p <= 0.05
        inside += found.difference.interval.low <= 0 <= found.difference.interval.high
    assert said / 500 <= 0.07
    assert inside / 500 >= 0.93


def test_groups_below_the_least_size_are_not_named() -> None:
    assert [one.group.name for one in changes([twice([60, 5, 5, 10], [9, 0, 0, 0])], BiasSettings())] == ["age young"]
    assert changes([twice([1, 0, 0, 0], [1, 0, 0, 0])], BiasSettings()) == []
