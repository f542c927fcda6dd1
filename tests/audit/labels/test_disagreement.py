"""SL104 and what SL307 knows of people, on answers."""

import math
from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.audit.labels.disagreement import (
    FEWEST,
    PRIOR_ANSWERS,
    UNSURE,
    Answered,
    Shown,
    annotators_disagree,
    by_side,
    disagreement,
)

Array = npt.NDArray[Any]
Answers = list[list[int]]


def flat(answers: Answers) -> tuple[Array, Array]:
    items = [item for item, codes in enumerate(answers) for _ in codes]
    return np.array(items, np.int64), np.array([code for codes in answers for code in codes], np.int64)


def slow_raw(codes: list[int]) -> float:
    """All pairs of people, one by one."""
    pairs = list(combinations(codes, 2))
    agree = sum(a == b and a != UNSURE for a, b in pairs)
    return 1 - agree / len(pairs) if pairs else math.nan


@given(st.lists(st.lists(st.integers(UNSURE, 4), max_size=7), min_size=1, max_size=12))
def test_disagreement_is_the_share_of_pairs_drawn_towards_the_mean(answers: Answers) -> None:
    found = disagreement(*flat(answers), len(answers))
    slow = [slow_raw(codes) for codes in answers]
    assert found.answers.tolist() == [len(codes) for codes in answers]
    assert found.raw == pytest.approx(slow, nan_ok=True)
    known = [value for value in slow if not math.isnan(value)]
    if not known:
        return
    usual = sum(known) / len(known)
    for score, value, codes in zip(found.score, slow, answers, strict=True):
        if not math.isnan(value):
            n = len(codes) - 1
            assert score == pytest.approx((n * value + PRIOR_ANSWERS * usual) / (n + PRIOR_ANSWERS))
            assert min(value, usual) - 1e-9 <= score <= max(value, usual) + 1e-9


@given(st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=6), min_size=1, max_size=8), st.randoms())
def test_the_order_of_answers_does_not_matter(answers: Answers, random: object) -> None:
    items, codes = flat(answers)
    order = np.random.default_rng(3).permutation(len(items))
    one, two = disagreement(items, codes, len(answers)), disagreement(items[order], codes[order], len(answers))
    assert one.raw.tolist() == two.raw.tolist()


def said(*answers: dict[str, int]) -> Answered:
    rows = [
        (item, name, name not in {"unsure", "bad picture", "none of these"})
        for item, counts in enumerate(answers)
        for name, n in counts.items()
        for _ in range(n)
    ]
    items, names, classes = zip(*rows, strict=True)
    return Answered(np.array(items, np.int64), names, classes)


SHOWN = {n: Shown(f"id{n}", f"k{n}", "train", "cat" if n < 2 else None) for n in range(9)}


def test_findings_count_every_answer() -> None:
    answered = said({"cat": 2, "dog": 1}, {"cat": 3}, {"unsure": 2}, {"bad picture": 2}, {"cat": 1, "dog": 1})
    found = list(annotators_disagree(answered, SHOWN, 0.2))
    assert [finding.key for finding in found] == ["k0", "k1", "k2", "k3", "k4"]
    first = found[0]
    assert first.message == "3 people answered: cat 2, dog 1; labeled cat"
    assert first.evidence["counts"] == {"cat": 2, "dog": 1}
    assert first.evidence["most_named"] == "cat"
    assert (first.subject, first.subject_kind, first.split, first.rule) == ("id0", "sample", "train", "SL104")
    unsure = found[2]
    assert unsure.message == "2 people answered: unsure 2; not labeled"
    assert (unsure.evidence["others"], unsure.evidence["most_named"]) == ({"unsure": 2}, None)
    assert unsure.evidence["disagreement"] == 1.0
    assert found[3].evidence["disagreement"] == 0.0
    assert found[4].evidence["most_named"] is None


def test_among_many_who_agree_only_those_who_differ_are_flagged() -> None:
    answered = said({"cat": 1, "dog": 1}, *({"cat": 3} for _ in range(8)))
    assert [finding.key for finding in annotators_disagree(answered, SHOWN, 0.2)] == ["k0"]


def test_a_class_that_is_called_like_an_answer_is_a_class() -> None:
    answered = Answered(np.array([0, 0]), ["unsure", "unsure"], [True, False])
    assert answered.codes().tolist() == [0, UNSURE]
    assert answered.counts() == [Counter({("unsure", True): 1, ("unsure", False): 1})]


def test_sizes_are_compared_where_enough_was_answered() -> None:
    small = [{"cat": 1, "dog": 1} if n < 10 else {"cat": 2} for n in range(FEWEST)]
    large = [{"cat": 1, "unsure": 1} if n < 4 else {"cat": 2} for n in range(40)]
    side = np.array([8.0] * FEWEST + [64.0] * 40)
    found = by_side(said(*small, *large), side, 24)
    assert found is not None
    assert [(one.k, one.n) for one in (*found.disagreed, *found.helpless)] == [(10, 30), (4, 40), (0, 30), (4, 40)]
    assert found.sentence() == (
        "of pictures with a shorter side under 24 pixels people disagree on 33% (19% to 51%, n = 30), of larger ones on "
        "10% (4% to 23%, n = 40); somebody was unsure or called the picture bad on 0% (0% to 11%, n = 30) and 10% (4% to 23%, n = 40)"
    )
    assert found.evidence()["disagreed_small"] == {"share": 0.3333, "n": 30, "low": 0.1923, "high": 0.5122}
    assert by_side(said(*small[1:], *large), side[1:], 24) is None
    assert by_side(said(*small, *large), np.where(side == 8, np.nan, side), 24) is None
