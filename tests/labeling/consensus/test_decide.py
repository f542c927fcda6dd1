"""Consensus: answers of several people become one decision, or none with the reason."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from secondlook.labeling.consensus.decide import (
    MODEL_TRUST,
    PRIOR_RIGHT,
    PRIOR_WRONG,
    REASONS,
    ROUNDS,
    Decision,
    Undecided,
    Vote,
    decide,
    posterior,
)

CLASSES = ["bird", "cat", "dog", "frog"]


def votes(*answers: str) -> list[Vote]:
    """`votes("ann:cat bob:dog", "ann:unsure")`: a text an item."""
    found = []
    for item, text in enumerate(answers):
        for word in text.split(","):
            annotator, answer = word.strip().split(":")
            is_label = answer not in ("unsure", "none of these", "bad picture")
            found.append(Vote(item, annotator, answer if is_label else None, "label" if is_label else answer))
    return found


# By hand


def test_one_answer_is_believed_as_much_as_the_prior_believes_people() -> None:
    [decision] = decide(votes("ann:cat"), CLASSES, min_probability=0.6)
    assert isinstance(decision, Decision)
    assert (decision.label, decision.overruled) == ("cat", ())
    assert decision.probability == pytest.approx(0.8)


def test_two_agree_and_overrule_the_third() -> None:
    [decision] = decide(votes("ann:cat, bob:cat, eve:dog"), CLASSES, min_probability=0.6)
    assert isinstance(decision, Decision)
    assert (decision.label, decision.overruled) == ("cat", ("eve",))
    assert decision.probability > 0.9


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ("ann:cat, bob:dog", "disagreement"),
        ("ann:unsure, bob:unsure", "unsure"),
        ("ann:none of these", "none of these"),
        ("ann:none of these, bob:cat", "none of these"),
        ("ann:bad picture, bob:bad picture, eve:cat", "bad picture"),
    ],
)
def test_no_decision_has_a_reason(answers: str, reason: str) -> None:
    [result] = decide(votes(answers), CLASSES, min_probability=0.6)
    assert isinstance(result, Undecided)
    assert result.reason == reason
    assert reason in REASONS


def test_unsure_does_not_stand_against_a_class() -> None:
    [decision] = decide(votes("ann:cat, bob:unsure"), CLASSES, min_probability=0.6)
    assert isinstance(decision, Decision)
    assert (decision.label, decision.overruled) == ("cat", ())


def test_an_even_split_is_no_decision_even_at_one_half() -> None:
    [result] = decide(votes("ann:cat, bob:dog"), ["cat", "dog"], min_probability=0.5)
    assert isinstance(result, Undecided)


def test_who_agrees_with_the_others_outweighs_who_does_not() -> None:
    agreed = [
        f"ann:{name}, bob:{name}, eve:{other}" for name, other in zip(CLASSES * 8, CLASSES[1:] * 99, strict=False)
    ]
    results = decide(votes(*agreed, "ann:cat, eve:dog"), CLASSES, min_probability=0.6)
    last = results[-1]
    assert isinstance(last, Decision)
    assert (last.label, last.overruled) == ("cat", ("eve",))


def test_the_model_is_one_more_voice() -> None:
    split = votes("ann:cat, bob:dog")
    [with_cat] = decide(split, CLASSES, min_probability=0.6, model_probs=[0.9, 0.05])
    assert isinstance(with_cat, Decision)
    assert with_cat.label == "cat"
    [against] = decide(votes("ann:cat"), CLASSES, min_probability=0.6, model_probs=[0.001])
    assert against == Undecided("model disagrees", against.probability)


def test_where_every_class_was_named_there_is_no_other() -> None:
    [only] = decide(votes("ann:cat"), ["cat"], min_probability=0.6)
    assert only.probability == 1.0
    result = posterior(np.array([0, 0]), np.array([0, 1]), np.array([0, 1]), 2, np.array([0.3, 0.3]))
    assert result.rest[0] == 0.0
    assert result.probs.tolist() == [0.5, 0.5]


def test_no_votes_no_decisions() -> None:
    assert decide([], CLASSES, min_probability=0.6) == []


# Against the definition, over all classes of every item


def dense(
    items: Sequence[int], people: Sequence[int], labels: Sequence[int], k: int, model: npt.NDArray[Any] | None = None
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The same EM with a full (N, K) matrix and loops: probabilities and reliabilities."""
    n, a = max(items) + 1, max(people) + 1
    reliability = [PRIOR_RIGHT / (PRIOR_RIGHT + PRIOR_WRONG)] * a
    probs = np.zeros((n, k))
    for _ in range(ROUNDS):
        for item in range(n):
            for c in range(k):
                p = 1.0 / k if model is None else MODEL_TRUST * model[item, c] + (1 - MODEL_TRUST) / k
                for i, person, label in zip(items, people, labels, strict=True):
                    if i == item:
                        p *= reliability[person] if label == c else (1 - reliability[person]) / (k - 1)
                probs[item, c] = p
        probs /= probs.sum(axis=1, keepdims=True)
        for person in range(a):
            mine = [(i, label) for i, p, label in zip(items, people, labels, strict=True) if p == person]
            right = sum(probs[i, label] for i, label in mine)
            reliability[person] = (PRIOR_RIGHT + right) / (PRIOR_RIGHT + PRIOR_WRONG + len(mine))
    return probs, np.array(reliability)


def random_votes(seed: int, k: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    items = np.concatenate([np.arange(6), rng.integers(0, 6, 8)])
    people = np.concatenate([rng.permutation(4), rng.integers(0, 4, 10)])
    return items, people, rng.integers(0, k, 14)


@pytest.mark.parametrize("with_model", [False, True])
@pytest.mark.parametrize("k", [2, 3, 7])
def test_the_sparse_posterior_is_the_dense_one(k: int, with_model: bool) -> None:
    for seed in range(5):
        items, people, labels = random_votes(seed, k)
        model = np.random.default_rng(seed).dirichlet(np.ones(k), 6) if with_model else None
        expected, reliability = dense(items.tolist(), people.tolist(), labels.tolist(), k, model)
        voice = None if model is None else model[items, labels]
        result = posterior(items, people, labels, k, voice)
        np.testing.assert_allclose(result.probs, expected[result.items, result.labels], atol=1e-5)
        np.testing.assert_allclose(result.reliability, reliability, atol=1e-5)
        named = np.zeros_like(expected, dtype=bool)
        named[result.items, result.labels] = True
        np.testing.assert_allclose(result.rest, np.where(named, 0, expected).sum(axis=1), atol=1e-5)


# Properties

WORDS = st.sampled_from([*CLASSES, "unsure", "none of these", "bad picture"])
ITEMS = st.lists(st.dictionaries(st.sampled_from(["ann", "bob", "eve"]), WORDS, min_size=1), min_size=1, max_size=8)


def of(items: list[dict[str, str]]) -> list[Vote]:
    return votes(*[", ".join(f"{name}:{answer}" for name, answer in sorted(item.items())) for item in items])


@given(ITEMS, st.randoms())
@settings(max_examples=50)
def test_neither_the_order_of_items_nor_that_of_people_matters(items: list[dict[str, str]], random: object) -> None:
    order = list(range(len(items)))
    random.shuffle(order)  # type: ignore[attr-defined]
    straight = decide(of(items), CLASSES, min_probability=0.6)
    shuffled = decide(of([items[n] for n in order]), CLASSES, min_probability=0.6)
    for place, n in enumerate(order):
        assert _outcome(shuffled[place]) == _outcome(straight[n])
    renamed = decide(
        of([{{"ann": "zoe", "bob": "bob", "eve": "abe"}[k]: v for k, v in item.items()} for item in items]),
        CLASSES,
        min_probability=0.6,
    )
    assert [_outcome(one) for one in renamed] == [_outcome(one) for one in straight]


def _outcome(result: Decision | Undecided) -> tuple[str, float]:
    return (result.label if isinstance(result, Decision) else result.reason), round(result.probability, 6)


@given(ITEMS)
@settings(max_examples=50)
def test_a_decision_was_named_by_somebody_and_is_probable_enough(items: list[dict[str, str]]) -> None:
    for item, result in zip(items, decide(of(items), CLASSES, min_probability=0.7), strict=True):
        assert 0 <= result.probability <= 1 + 1e-12
        if isinstance(result, Decision):
            assert result.label in item.values()
            assert result.probability >= 0.7
            assert set(result.overruled) == {n for n, a in item.items() if a in CLASSES and a != result.label}


@given(ITEMS, st.sampled_from(CLASSES))
@settings(max_examples=50)
def test_one_more_agreeing_answer_never_makes_a_class_less_probable(items: list[dict[str, str]], name: str) -> None:
    assume(any(answer == name for answer in items[0].values()))
    before = posterior_of(items, name)
    after = posterior_of([{**items[0], "new": name}, *items[1:]], name)
    assert after >= before - 1e-6


def posterior_of(items: list[dict[str, str]], name: str) -> float:
    people = sorted({person for item in items for person in item})
    rows = [
        (n, people.index(person), CLASSES.index(answer))
        for n, item in enumerate(items)
        for person, answer in item.items()
        if answer in CLASSES
    ]
    used = sorted({n for n, _, _ in rows})
    persons = sorted({person for _, person, _ in rows})
    arrays = np.array([(used.index(n), persons.index(person), label) for n, person, label in rows])
    result = posterior(arrays[:, 0], arrays[:, 1], arrays[:, 2], len(CLASSES))
    mine = (result.items == used.index(0)) & (result.labels == CLASSES.index(name))
    value = float(result.probs[mine][0])
    assert math.isfinite(value)
    return value


def test_where_more_are_unsure_than_name_a_class_there_is_no_decision() -> None:
    unsure = [Vote(0, "ann", None, "unsure"), Vote(0, "cleo", None, "unsure")]
    named = [Vote(0, "bob", "cat"), Vote(0, "dan", "cat")]
    [left] = decide([*unsure, named[0]], ["cat", "dog"], min_probability=0.6)
    assert isinstance(left, Undecided)
    assert left.reason == "unsure"
    [level] = decide([*unsure, *named], ["cat", "dog"], min_probability=0.6)
    assert isinstance(level, Decision)
