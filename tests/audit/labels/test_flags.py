"""The margin that is chosen without truth: its sums, its three steps, and what it comes to where the truth is known."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.audit.labels import flags
from secondlook.pipeline.audit.labels.compare import compare
from secondlook.pipeline.audit.labels.flags import (
    EDGES,
    MARGIN,
    TAILS,
    Tally,
    chosen_margin,
    empty,
    estimated_share,
    tally,
    tally_dense,
    tally_topk,
)
from secondlook.pipeline.audit.labels.mislabels import label_errors
from secondlook.pipeline.audit.labels.scores import best_f1

Table = npt.NDArray[Any]


def clouds(seed: int, n: int, k: int, apart: float, wrong: float) -> tuple[Table, Table, Table]:
    """Labels, some planted wrong at random, the right ones, and the exact posterior of points around k corners."""
    rng = np.random.default_rng(seed)
    right = rng.integers(0, k, n)
    points = np.eye(k)[right] * apart + rng.normal(size=(n, k))
    odds = np.exp(apart * (points - points.max(axis=1, keepdims=True)))
    labels = np.where(rng.random(n) < wrong, (right + rng.integers(1, k, n)) % k, right)
    return labels, right, odds / odds.sum(axis=1, keepdims=True)


def f1(flagged: Table, wrong: Table) -> float:
    return float(2 * (flagged & wrong).sum() / (flagged.sum() + wrong.sum()))


def test_bins_by_hand() -> None:
    probs = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.5, 0.5, 0.0], [0.4, 0.6, 0.0]])
    counts = tally_dense(np.array([0, 1, 0, -1]), probs).counts
    middle = len(EDGES) // 2  # the edge at 0: a tie lies at or below it
    assert counts.sum() == 3  # no label, no count
    assert counts[middle].sum() == 1
    assert counts[middle, 0] == 1  # the tie: no third class
    agreeing, differing = counts[:middle].sum(axis=1), counts[middle + 1 :].sum(axis=1)
    assert np.flatnonzero(agreeing).tolist() == [np.searchsorted(EDGES, np.float32(-1 / 3))]
    assert np.flatnonzero(differing).tolist() == [np.searchsorted(EDGES, np.float32(1 / 3)) - middle - 1]
    assert counts[:, TAILS // 2].sum() == 2  # a quarter on the second class, a quarter on all later ones


@given(st.integers(0, 2**32 - 1), st.integers(2, 7), st.lists(st.integers(0, 200), max_size=5))
@settings(deadline=None, max_examples=40)
def test_parts_add_up_in_any_order_and_travel_as_bytes(seed: int, k: int, cuts: list[int]) -> None:
    labels, _, probs = clouds(seed, 200, k, 1.5, 0.2)
    order = np.random.default_rng(seed).permutation(200)
    whole = tally_dense(labels, probs)
    parts = [tally_dense(labels[p], probs[p]) for p in np.split(order, sorted(cuts))]
    total = sum((Tally.from_bytes(part.to_bytes()) for part in parts), start=empty(k))
    np.testing.assert_array_equal(total.counts, whole.counts)
    assert chosen_margin(total) == chosen_margin(whole)
    assert estimated_share(total) == estimated_share(whole)


@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
@settings(deadline=None, max_examples=40)
def test_lists_of_all_classes_in_any_order_of_classes_are_the_full_table(seed: int, k: int) -> None:
    labels, _, probs = clouds(seed, 150, k, 2.0, 0.2)
    rng = np.random.default_rng(seed)
    renamed = rng.permutation(k)
    classes = rng.permuted(np.tile(np.arange(k), (150, 1)), axis=1)
    lists = tally_topk(renamed[labels], renamed[classes], np.take_along_axis(probs, classes, 1), k)
    np.testing.assert_array_equal(lists.counts, tally_dense(labels, probs).counts)


def test_tallies_of_other_classes_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="tallies of 3 and 4 classes"):
        empty(3) + empty(4)


def slow_power(labels: Table, probs: Table) -> float:
    """The power that makes the expected number of differing labels the observed one, row by row, by bisection."""
    best = probs.argmax(axis=1)
    rows = np.flatnonzero(best == labels)
    ranked = -np.sort(-probs[rows], axis=1)
    ratios = ranked[:, 1:] / ranked[:, :1]  # each label of the best class stands for these of the others
    low, high = 0.01, 100.0
    for _ in range(60):
        a = (low * high) ** 0.5
        low, high = (a, high) if (ratios**a).sum() > (best != labels).sum() else (low, a)
    return low


@pytest.mark.parametrize(("k", "near"), [(2, 0.02), (3, 0.12)])  # of three classes, the third is only guessed
@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0])
def test_the_power_is_that_of_the_slow_definition(k: int, near: float, heat: float) -> None:
    labels, _, probs = clouds(3, 20_000, k, 2.0, 0.1)
    hot = probs ** (1 / heat)
    hot /= hot.sum(axis=1, keepdims=True)
    assert flags._power(tally_dense(labels, hot)) == pytest.approx(slow_power(labels, hot), rel=near)


def test_right_labels_drawn_from_the_probabilities_need_no_power() -> None:
    rng = np.random.default_rng(5)
    probs = rng.dirichlet(np.full(4, 0.5), 30_000)
    drawn = (probs.cumsum(axis=1) > rng.random((30_000, 1))).argmax(axis=1)
    assert flags._power(tally_dense(drawn, probs)) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("heat", [0.4, 2.5])
def test_timid_and_boastful_models_flag_the_same_labels(heat: float) -> None:
    labels, _, probs = clouds(7, 8000, 2, 2.0, 0.1)
    hot = probs ** (1 / heat)
    hot /= hot.sum(axis=1, keepdims=True)
    one, two = label_errors(labels, probs).flagged, label_errors(labels, hot).flagged
    assert (one & two).sum() / (one | two).sum() > 0.97  # but for the width of a bin


@pytest.mark.parametrize("wrong", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("k", [3, 10, 100])
def test_planted_mistakes_are_flagged_nearly_as_well_as_in_hindsight(k: int, wrong: float) -> None:
    labels, right, probs = clouds(11, 12_000, k, 5.0, wrong)
    found, bad = label_errors(labels, probs), labels != right
    assert f1(found.flagged, bad) > 0.95 * best_f1(found.p_error, bad).f1
    assert estimated_share(tally_dense(labels, probs)) == pytest.approx(wrong, rel=0.25)
    assert "chosen without truth from 12,000 labels" in found.basis


def test_more_mistakes_lower_what_is_asked_and_raise_the_estimate() -> None:
    sums = [tally_dense(*clouds(13, 12_000, 10, 4.0, wrong)[::2]) for wrong in (0.02, 0.05, 0.1, 0.2, 0.4)]
    shares = [estimated_share(one) for one in sums]
    odds = [flags._power(one) * np.arctanh(chosen_margin(one).margin) for one in sums]
    assert shares == sorted(shares)
    assert odds == sorted(odds, reverse=True)


def test_right_labels_are_left_alone() -> None:
    labels, _, probs = clouds(17, 12_000, 10, 5.0, 0.0)
    assert label_errors(labels, probs).flagged.mean() < 0.005
    certain = np.eye(4)[np.arange(400) % 4]
    found = label_errors(np.arange(400) % 4, certain)
    assert not found.flagged.any()
    assert found.basis == f"the default of {MARGIN:.2f}, as the model agrees with every label"
    assert estimated_share(tally_dense(np.arange(400) % 4, certain)) == 0


def test_a_model_that_is_always_sure_does_not_silence_the_rule() -> None:
    labels, right, probs = clouds(31, 5000, 10, 2.0, 0.2)
    boast = probs**40
    boast /= boast.sum(axis=1, keepdims=True)
    found = label_errors(labels, boast)
    differing = boast.argmax(axis=1) != labels
    assert found.flagged.sum() >= 0.05 * differing.sum()
    assert f1(found.flagged, labels != right) > 0.8 * best_f1(found.p_error, labels != right).f1


def test_few_labels_take_the_default_and_it_is_said() -> None:
    labels, _, probs = clouds(19, 99, 3, 2.0, 0.2)
    choice = chosen_margin(tally_dense(labels, probs))
    assert choice == (MARGIN, f"the default of {MARGIN:.2f}, as 99 labels are too few to choose by")
    assert chosen_margin(empty(5)).margin == MARGIN
    assert np.isnan(estimated_share(empty(5)))


@given(st.integers(2, 20_000), st.integers(0, 2**32 - 1), st.integers(1, 5000), st.floats(0.0, 1.0))
@settings(deadline=None, max_examples=80)
def test_any_counts_give_a_margin_that_flags_only_what_differs(k: int, seed: int, n: int, low: float) -> None:
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(EDGES) + 1, TAILS), np.int64)
    np.add.at(counts, (rng.integers(int(low * len(EDGES)), len(EDGES) + 1, n), rng.integers(0, TAILS, n)), 1)
    sums = Tally(k, counts)
    assert 0 <= chosen_margin(sums).margin <= 1
    assert 0 <= estimated_share(sums) <= 1


def test_labels_that_say_nothing_of_the_picture_do_not_break_it() -> None:
    rng = np.random.default_rng(23)
    probs = rng.dirichlet(np.full(6, 1.0), 5000)
    for labels in (rng.integers(0, 6, 5000), np.zeros(5000, int), probs.argmin(axis=1)):
        found = label_errors(labels, probs)
        assert 0 <= found.margin <= 1
        assert (probs.argmax(axis=1) != labels)[found.flagged].all()


def test_a_fixed_margin_is_kept() -> None:
    labels, _, probs = clouds(29, 500, 3, 2.0, 0.2)
    found = label_errors(labels, probs, 0.25)
    assert (found.margin, found.basis) == (0.25, "given")
    np.testing.assert_array_equal(found.flagged, compare(labels, probs).ahead > np.float32(0.25))


@pytest.mark.parametrize("people", ["aggre", "worse"])
def test_on_published_probabilities_of_real_mistakes(shared_data: Any, people: str) -> None:
    import csv

    folder = shared_data("cifar10n")
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    with (folder / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    labels, right = (np.array([names.index(row[column]) for row in rows]) for column in (people, "clean"))
    compared = compare(labels, np.load(folder.parent / "cifar10n-probs" / f"{people}-resnet18.npy"))
    bad, sums = labels != right, tally(compared, 10)
    flagged = compared.ahead > np.float32(chosen_margin(sums).margin)
    assert f1(flagged, bad) > 0.96 * best_f1(compared.ahead, bad).f1
    assert estimated_share(sums) == pytest.approx(bad.mean(), abs=0.02)


def test_rows_in_another_order_are_noticed() -> None:
    rng = np.random.default_rng(3)
    given = rng.integers(0, 4, 400)
    probs = np.full((400, 4), 0.1)
    probs[np.arange(400), given] = 0.7
    assert "same order" in flags.chosen_margin(flags.tally_dense(rng.permutation(given), probs)).basis
    few_wrong = np.where(np.arange(400) < 40, (given + 1) % 4, given)
    assert "look wrong" in flags.chosen_margin(flags.tally_dense(few_wrong, probs)).basis
