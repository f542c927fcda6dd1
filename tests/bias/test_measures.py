"""What an audit by groups compares: outcomes, tails and classes, by hand and against slow definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.bias import measures
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.grouping import Grouping


def test_every_measure_has_a_name_of_its_own_and_words() -> None:
    classes = ["cat", "dog", "yak"]
    wanted = [measures.doubts(), measures.accuracy(), measures.verified(), measures.disputed(), measures.asked()]
    wanted += [*measures.errors(classes, others=True), *(measures.quality(name) for name in measures.QUALITIES)]
    alone = [measures.confidence(), measures.share(), measures.differs("ada"), *map(measures.association, classes)]
    everything = [one.measure for one in wanted] + alone
    assert len({one.name for one in everything}) == len(everything)
    assert {one.rule for one in everything} == {f"SL40{n}" for n in range(1, 8)}
    assert all(one.title and one.outcome and one.population for one in everything)
    for one in wanted:
        outcomes = measures.outcomes(one.table, classes)
        assert one.hit.shape == one.among.shape == (len(outcomes),)
        assert (one.hit & one.among).any()


@pytest.mark.parametrize(("given_", "said", "others"), [(0, 0, False), (0, 1, False), (-1, 1, True), (1, -1, True)])
def test_a_pair_of_classes_is_found_again_in_the_outcomes(given_: int, said: int, others: bool) -> None:
    classes = ["cat", "dog"]
    place = int(measures.predicted(np.array([given_]), np.array([said]), 2)[0])
    names = [*classes, measures.OTHERS]
    assert measures.outcomes(measures.PREDICTED, classes)[place] == f"{names[given_]} → {names[said]}"
    by_name = {one.measure.name: one for one in measures.errors(classes, others)}
    for at, name in enumerate(classes):
        missed = by_name[f"false negatives: {name}"]
        assert bool(missed.among[place]) == (given_ == at)
        assert bool(missed.hit[place] & missed.among[place]) == (given_ == at and said != at)
        if others:
            imagined = by_name[f"false positives: {name}"]
            assert bool(imagined.among[place]) == (given_ != at)
            assert bool(imagined.hit[place] & imagined.among[place]) == (given_ != at and said == at)


def test_of_two_classes_what_one_misses_is_what_the_other_imagines_and_is_compared_once() -> None:
    assert [one.measure.name for one in measures.errors(["cat", "dog"], others=False)] == [
        "false negatives: cat",
        "false negatives: dog",
    ]


@given(st.dictionaries(st.integers(0, 50), st.integers(1, 40), min_size=1))
def test_the_tail_is_the_worst_tenth_with_all_ties_or_none(steps: dict[int, int]) -> None:
    values = sorted(step for step, n in steps.items() for _ in range(n))
    border = values[-(-len(values) // 10) - 1]  # of the worst tenth, rounded up, the best one
    inside = sum(value <= border for value in values)
    assert measures.tail(steps) == (border if inside <= 0.25 * len(values) else None)


def test_steps_keep_the_order_of_values_and_nothing_stays_nothing() -> None:
    for name, values in (
        ("dark", [0.0, 0.2, 0.5, 1.0]),
        ("small", [1.0, 24.0, 224.0, 4000.0]),
        ("blurred", [0.0, 0.01, 0.1, 5.0]),
    ):
        steps = measures.level(name, np.array([*values, np.nan]))
        assert (np.diff(steps[:-1]) > 0).all()
        assert steps[-1] == -1


def test_the_most_frequent_classes_are_compared() -> None:
    counts = {f"class {at:02d}": at + 1 for at in range(30)}
    assert measures.chosen(counts) == [f"class {at:02d}" for at in range(10, 30)]
    assert measures.chosen({}) == []


def test_counts_are_laid_over_all_outcomes_of_a_table() -> None:
    grouping = Grouping(("race",), (("green", "blue"),), {})
    copies = Copies(np.array([4, 4]), np.array([0, 1]), np.array([1, 0]))
    told = Counts(grouping, np.array([[0], [1]]), ("10", "2"), np.array([[3, 1], [5, 2]]), copies)
    laid = measures.aligned(told, tuple("abcdefghijkl"))
    assert laid.n.sum() == told.n.sum()
    assert laid.n[:, 10].tolist() == [3, 5]
    assert laid.n[:, 2].tolist() == [1, 2]
    assert laid.copies is not None
    assert laid.copies.outcome.tolist() == [2, 10]
