"""False alarms over a whole report: by hand, against statsmodels, by properties."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from secondlook.pipeline.bias.family import Comparison, adjusted
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.comparison import Compared, Estimate
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval
from tests.bias.made import HIT, pictures

BLANK = Estimate(0.0, Interval(0.0, 1.0))
P = st.lists(st.floats(0, 1), min_size=0, max_size=8)


def comparison(p: list[float], within: list[float] | None = None, tests: list[int] | None = None) -> Comparison:
    groups = tuple(Compared(Group((("a", str(at)),)), 100, 10, BLANK, BLANK, BLANK, one) for at, one in enumerate(p))
    return Comparison(groups, tests=tuple(tests) if tests else None, within=tuple(within) if within else None)


def run(measures: list[Comparison], correction: str = "permutation") -> list[list[float]]:
    found = adjusted(measures, BiasSettings(correction=correction))
    return [[one.adjusted for one in its] for its in found]


def test_between_measures_each_has_its_part_until_all_it_compares_is_found() -> None:
    one = comparison([0.001, 0.5], within=[0.002, 0.6])
    two = comparison([0.01], within=[0.01])
    three = comparison([0.02, 0.03], within=[0.02, 0.03])
    # Three measures are open at 0.002 and at 0.01; then two, of which one closes at 0.03; the last is alone.
    assert run([one, two, three]) == [pytest.approx([0.006, 0.6]), pytest.approx([0.03]), pytest.approx([0.04, 0.06])]


def test_measures_of_one_comparison_each_are_holms() -> None:
    p = [0.04, 0.001, 0.03, 0.2]
    assert [one[0] for one in run([comparison([one]) for one in p])] == pytest.approx(
        multipletests(p, method="holm")[1]
    )


def test_the_measures_of_a_kind_share_what_one_measure_has() -> None:
    """Accuracy has a half of alpha, each of four classes an eighth: 2 and 8 times their p, while all are open."""
    accuracy = comparison([0.01, 0.9])
    classes = [dataclasses.replace(comparison([one, 0.9]), kind="missed") for one in (0.001, 0.002, 0.2, 0.3)]
    found = run([dataclasses.replace(accuracy, within=(0.02, 0.9)), *classes])
    assert found[0][0] == pytest.approx(0.04)
    assert [one[0] for one in found[1:]] == pytest.approx([0.016, 0.032, 1.0, 1.0])


@examples(max_examples=30)
@given(st.lists(P, max_size=5))
def test_where_each_measure_is_a_kind_of_its_own_kinds_change_nothing(p: list[list[float]]) -> None:
    measures = [comparison(its) for its in p]
    named = [dataclasses.replace(one, kind=str(at)) for at, one in enumerate(measures)]
    assert run(named) == run(measures)


def test_p_from_elsewhere_are_adjusted_by_holm_within_their_measure() -> None:
    p = [0.01, 0.2, 0.03]
    assert run([comparison(p)])[0] == pytest.approx(multipletests(p, method="holm")[1])


@examples(max_examples=10)  # statsmodels collects garbage at each call
@given(st.lists(P, max_size=5))
def test_holm_and_benjamini_yekutieli_are_statsmodels_over_all(p: list[list[float]]) -> None:
    every = [one for its in p for one in its]
    for correction, method in (("holm", "holm"), ("benjamini-yekutieli", "fdr_by")):
        found = [one for its in run([comparison(its) for its in p], correction) for one in its]
        assert found == pytest.approx(multipletests(every, method=method)[1] if every else [])


@examples(max_examples=60)
@given(st.lists(P, max_size=5), st.sampled_from(["permutation", "holm"]))
def test_adjusted_is_at_least_p_at_most_one_and_in_the_order_of_p(p: list[list[float]], correction: str) -> None:
    found = run([comparison(its) for its in p], correction)
    for its, raw in zip(found, p, strict=True):
        assert all(one >= before - 1e-12 and one <= 1 for one, before in zip(its, raw, strict=True))
        order = np.argsort(raw, kind="stable")
        assert (np.diff(np.array(its)[order]) >= -1e-12).all()


@given(st.lists(P, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_measures_and_groups_changes_nothing(p: list[list[float]], random: object) -> None:
    measures = list(range(len(p)))
    random.shuffle(measures)  # type: ignore[attr-defined]
    turned = run([comparison(p[at][::-1]) for at in measures])
    straight = run([comparison(its) for its in p])
    for at, its in zip(measures, turned, strict=True):
        assert its[::-1] == pytest.approx(straight[at])


@pytest.mark.parametrize("correction", ["permutation", "holm", "benjamini-yekutieli"])
def test_one_test_of_several_groups_counts_once(correction: str) -> None:
    twice = run([comparison([0.01, 0.01, 0.2], tests=[5, 5, 9])], correction)[0]
    once = run([comparison([0.01, 0.2])], correction)[0]
    assert twice == pytest.approx([once[0], once[0], once[1]])
    assert comparison([0.01, 0.01, 0.2], tests=[5, 5, 9]).count == 2


def test_a_p_that_could_not_be_had_is_no_finding() -> None:
    assert run([comparison([float("nan"), 0.01])])[0] == pytest.approx([1.0, 0.02])


def test_a_report_without_measures() -> None:
    assert adjusted([], BiasSettings()) == []
    assert adjusted([Comparison()], BiasSettings(correction="benjamini-yekutieli")) == [()]


def test_more_measures_see_less_and_the_gap_says_so() -> None:
    made = pictures(np.random.default_rng(1), 1500).counts
    settings = BiasSettings(permutations=400)
    one = compare(made, HIT, settings=settings, rng=np.random.default_rng(0))
    alone = adjusted([one], settings)[0]
    among = adjusted([one] * 30, settings)[0]
    assert all(few.smallest_gap < many.smallest_gap for few, many in zip(alone, among, strict=True))
    assert all(few.adjusted <= many.adjusted for few, many in zip(alone, among, strict=True))
