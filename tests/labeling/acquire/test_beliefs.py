"""Beliefs and what one more answer is worth, against the slow definitions."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.acquire.beliefs import DIFFICULTY, RIGHT, SMOOTH, believe, chances, heard, one_more_answer

K = 5
NONE = np.zeros(0, np.int64), np.zeros(0, np.int64)


def one(probs: list[float], held: int, wrong: float, answers: list[int]) -> tuple[list[float], float]:
    """Bayes' rule by hand over all K classes and difficulties: the belief, and the worth by listing one answer and two."""
    p = np.array(probs) * (1 - SMOOTH) + SMOOTH / K
    p /= p.sum()
    if held >= 0:
        others = np.delete(np.arange(K), held)
        p[others] *= wrong / p[others].sum()
        p[held] = 1 - wrong
    says = np.array([[[r if a == c else (1 - r) / (K - 1) for a in range(K)] for c in range(K)] for r in RIGHT])
    joint = p[:, None] * DIFFICULTY
    for named in answers:
        joint = joint * says[:, :, named].T
    joint /= joint.sum()
    p = joint.sum(axis=1)
    first = sum(max((joint[c] * says[:, c, a]).sum() for c in range(K)) for a in range(K))
    both = sum(
        max((joint[c] * says[:, c, a] * says[:, c, b]).sum() for c in range(K)) for a in range(K) for b in range(K)
    )
    now = p[held] if held >= 0 else p.max()
    return p.tolist(), max(first - now, (both - now) / 2, 0.0)


@given(
    st.lists(st.floats(0.01, 1), min_size=K, max_size=K),
    st.integers(-1, K - 1),
    st.floats(0.001, 0.999),
    st.lists(st.integers(0, K - 1), max_size=4),
)
def test_beliefs_and_worth_are_those_of_the_slow_definition(
    raw: list[float], held: int, wrong: float, answers: list[int]
) -> None:
    probs = np.array(raw) / sum(raw)
    order = np.argsort(-probs, kind="stable")
    top, kept = order[None].astype(np.int32), probs[order][None].astype(np.float32)
    before = believe(top, kept, np.array([held], np.int32), np.array([wrong]), K)
    votes = np.zeros(len(answers), np.int64), np.array(answers, np.int64)
    beliefs = heard(before, *votes, K)
    p, value = one(probs.tolist(), held, wrong, answers)
    for name, found in zip(beliefs.classes[0], beliefs.probs[0], strict=True):
        if name >= 0:
            assert found == pytest.approx(p[int(name)], abs=2e-5)
    assert beliefs.probs.sum() + beliefs.rest.sum() == pytest.approx(1.0, abs=1e-5)
    assert one_more_answer(before, *votes, K)[0] == pytest.approx(value, abs=5e-5)


@given(st.integers(0, 10**6), st.integers(2, 5), st.integers(6, 40))
def test_classes_that_are_not_kept_hardly_change_what_an_answer_is_worth(seed: int, columns: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    probs = np.sort(rng.dirichlet(np.full(k, 0.1), 20))[:, ::-1]
    held = rng.integers(-1, columns, 20).astype(np.int32)
    wrong = rng.random(20)
    order = np.broadcast_to(np.arange(k, dtype=np.int32), (20, k))
    some, all_of = (believe(order[:, :n], probs[:, :n].astype(np.float32), held, wrong, k) for n in (columns, k))
    part, whole = (one_more_answer(beliefs, *NONE, k) for beliefs in (some, all_of))
    assert (np.abs(whole - part) <= 0.02 + 2 * some.rest).all()


def test_a_label_that_nobody_doubts_is_believed_and_worth_nothing() -> None:
    nothing = np.full((2, 3), -1, np.int32)
    beliefs = believe(nothing, np.zeros((2, 3), np.float32), np.array([2, -1], np.int32), np.full(2, np.nan), 10)
    assert beliefs.prob(np.array([2, 2], np.int32)).tolist() == [1.0, 0.0]
    found = one_more_answer(beliefs, *NONE, 10)
    assert found[0] == 0
    assert found[1] == pytest.approx(RIGHT @ DIFFICULTY - 0.1, abs=0.08), "without a label, an answer finds it"


def test_a_doubted_label_an_unlabeled_picture_and_a_dispute_are_in_one_currency() -> None:
    top = np.array([[0, 1]] * 4, np.int32)
    probs = np.array([[0.9, 0.1], [0.5, 0.5], [0.99, 0.01], [0.5, 0.5]], np.float32)
    beliefs = believe(top, probs, np.array([1, -1, 0, -1], np.int32), np.array([0.9, np.nan, 0.01, np.nan]), 2)
    agreed, split = (one_more_answer(beliefs, np.array([3, 3]), np.array([0, n]), 2) for n in (0, 1))
    assert split[0] > split[1] > split[3] > split[2] == 0
    assert agreed[3] == 0


def test_a_picture_that_split_people_is_a_hard_one_and_worth_less_than_one_that_nobody_saw() -> None:
    top, probs = np.array([[0, 1]] * 2, np.int32), np.full((2, 2), 0.5, np.float32)
    beliefs = believe(top, probs, np.full(2, -1, np.int32), np.full(2, np.nan), 2)
    votes = np.array([1, 1]), np.array([0, 1])
    np.testing.assert_allclose(heard(beliefs, *votes, 2).probs[1, :2], 0.5, atol=1e-6)
    unseen, split = one_more_answer(beliefs, *votes, 2)
    assert 0 < split < unseen


def test_chances_find_how_many_labels_are_wrong_without_truth() -> None:
    """Scores of a known law: wrong and right labels alike often would have them, as SL101's score takes it."""
    rng = np.random.default_rng(1)
    for share in (0.03, 0.2, 0.45):
        wrong = rng.random(50_000) < share
        odds = np.where(wrong, 1.0, -1.0) * 2 + 2 * rng.standard_normal(50_000)  # log likelihood ratio N(±2, 4)
        found = chances(1 / (1 + np.exp(-odds)))
        assert found.mean() == pytest.approx(share, abs=0.01)
        for low, high in ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)):
            inside = (found > low) & (found < high)
            assert wrong[inside].mean() == pytest.approx(found[inside].mean(), abs=0.05)
    assert np.isnan(chances([np.nan, 0.5])).tolist() == [True, False]
    assert chances([]).shape == (0,)


def test_on_real_labels_the_chance_is_nearer_to_the_truth_than_the_score(
    shared_data: Callable[[str], Path],
) -> None:
    from secondlook.pipeline.audit import label_errors

    with (shared_data("cifar10n") / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    names = sorted({row["clean"] for row in rows})
    given, clean = (np.array([names.index(row[column]) for row in rows]) for column in ("worse", "clean"))
    probs = np.load(shared_data("cifar10n-probs") / "worse-resnet18.npy")
    score = label_errors(given, probs).p_error.astype(np.float64)
    wrong = given != clean
    assert np.mean((chances(score) - wrong) ** 2) < np.mean((score - wrong) ** 2)
    assert chances(score).mean() == pytest.approx(wrong.mean(), abs=0.03)
