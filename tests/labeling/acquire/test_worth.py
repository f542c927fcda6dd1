"""What an answer is worth: by hand, against all answers written out, and what must always hold."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.labeling.acquire.worth import MOST, channel, gain, per_second


def test_an_answer_that_is_always_right_is_worth_all_of_the_doubt() -> None:
    beliefs = [[0.6, 0.4], [1.0, 0.0], [0.5, 0.5]]
    assert gain(beliefs, np.eye(2)) == pytest.approx([0.4, 0.0, 0.5])


def test_by_hand() -> None:
    """0.7 and 0.3, people are right 9 times of 10: "first" 0.63 against 0.03, "second" 0.07 against 0.27; 0.90 right instead of 0.70."""
    assert gain([[0.7, 0.3]], channel([0.9], classes=2)) == pytest.approx([0.2])


def test_a_label_that_no_answer_could_change_is_worth_nothing_alone_but_something_with_a_second_answer() -> None:
    beliefs, people = [[0.85, 0.15]], channel([0.8], classes=2)
    assert gain(beliefs, people).tolist() == [0.0]  # "second": 0.85 * 0.2 against 0.15 * 0.8
    two = 0.85 * (1 - 0.04) + 0.15 * 0.64  # only two equal answers turn it round
    assert gain(beliefs, people, ahead=2) == pytest.approx([two - 0.85])
    assert per_second(beliefs, people, 4.0) == pytest.approx([(two - 0.85) / 2 / 4])


def test_a_held_label_that_is_improbable_is_worth_more_than_the_same_doubt_without_one() -> None:
    """Without an answer 0.2 would be right; after one that says nothing new, the best class is taken: 0.8."""
    people = channel([0.9], classes=2)
    doubted, unlabeled = gain([[0.2, 0.8]] * 2, people, now=[0.2, 0.8])
    assert doubted == pytest.approx(unlabeled + 0.6)


def test_the_same_doubt_is_worth_less_where_the_picture_is_hard() -> None:
    """Both pictures are 50:50; nobody has seen the first, the second is believed to be hard."""
    people = channel([0.95, 0.55], classes=2)
    fresh, hard = np.array([[0.45, 0.05], [0.45, 0.05]]), np.array([[0.1, 0.4], [0.1, 0.4]])
    easy_worth, hard_worth = gain([fresh, hard], people)
    assert easy_worth == pytest.approx(0.45 * 0.9 + 0.05 * 0.1)
    assert hard_worth == pytest.approx(0.1 * 0.9 + 0.4 * 0.1)


def test_an_answer_that_takes_twice_as_long_is_worth_half() -> None:
    people = channel([0.9], classes=3)
    quick, slow = per_second([[0.5, 0.3, 0.2]] * 2, people, [5.0, 10.0])
    assert quick == pytest.approx(2 * slow)


def test_mistakes_go_where_they_are_said_to_go() -> None:
    found = channel([0.8], [[9.0, 3.0, 1.0], [0.0, 5.0, 0.0], [1.0, 1.0, 7.0]])
    assert found[0] == pytest.approx(np.array([[0.8, 0.15, 0.05], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]))


def test_a_channel_may_differ_by_class_and_difficulty() -> None:
    found = channel([[0.9, 0.8], [0.6, 0.5]], classes=2)
    assert found.tolist() == pytest.approx(np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.5, 0.5]]]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"beliefs \(1, 3, 1\) \(N, K, D\) ask for answers of \(D, K, K\), got"):
        gain([[0.5, 0.3, 0.2]], np.eye(2))


def _beliefs(rng: np.random.Generator, n: int, k: int, d: int) -> npt.NDArray[np.float64]:
    return np.asarray(rng.dirichlet(np.full(k * d, 0.4), n).reshape(n, k, d))


def _enumerated(joint: npt.NDArray[np.float64], said: npt.NDArray[np.float64], ahead: int) -> float:
    """Every sequence of answers, what it makes of the belief, and how probable it is."""
    k, d = joint.shape
    right = 0.0
    for answers in itertools.product(range(k), repeat=ahead):
        scores = [
            sum(joint[c, h] * np.prod([said[h, c, a] for a in answers]) for h in range(d))  # P(class, answers)
            for c in range(k)
        ]
        total = sum(scores)
        right += total * (max(scores) / total) if total > 0 else 0.0
    return max(float(right - joint.sum(axis=1).max()), 0.0)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.integers(1, 3), st.sampled_from([1, 2]))
def test_like_all_answers_written_out(seed: int, k: int, d: int, ahead: int) -> None:
    rng = np.random.default_rng(seed)
    joint, said = _beliefs(rng, 3, k, d), rng.dirichlet(np.ones(k), (d, k))
    slow = [_enumerated(one, said, ahead) for one in joint]
    assert gain(joint, said, ahead=ahead) == pytest.approx(slow, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_more_answers_are_never_worth_less_and_never_more_than_all_of_the_doubt(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    joint, said = _beliefs(rng, 5, k, 2), rng.dirichlet(np.ones(k), (2, k))
    one, two = gain(joint, said), gain(joint, said, ahead=2)
    doubt = 1 - joint.sum(axis=2).max(axis=1)
    assert (one >= 0).all()
    assert (two >= one - 1e-9).all()
    assert (two <= doubt + 1e-9).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_names_of_classes_do_not_matter(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    joint, said = _beliefs(rng, 4, k, 2), rng.dirichlet(np.ones(k), (2, k))
    order = rng.permutation(k)
    renamed = gain(joint[:, order], said[:, order][:, :, order], ahead=2)
    assert renamed == pytest.approx(gain(joint, said, ahead=2), abs=1e-9)


def test_many_classes_are_worth_no_more_than_they_are_and_nearly_as_much() -> None:
    rng = np.random.default_rng(3)
    k = 4 * MOST
    joint = _beliefs(rng, 30, k, 1) * rng.random((30, k, 1)) ** 8
    joint /= joint.sum(axis=(1, 2), keepdims=True)
    said = channel([0.85], classes=k)
    exact = np.array([_enumerated(one, said, 1) for one in joint])
    found = gain(joint, said)
    assert (found <= exact + 1e-9).all()
    assert found.sum() > 0.8 * exact.sum()


def test_an_answer_that_names_none_of_the_probable_classes_is_no_loss() -> None:
    """Of 40 classes two are possible; an answer of one of the 30 that are not weighed leaves the best class the best."""
    joint = np.zeros((1, 4 * MOST, 1))
    joint[0, [3, 30], 0] = 0.7, 0.3
    said = channel([0.85], classes=4 * MOST)
    assert gain(joint, said) == pytest.approx([_enumerated(joint[0], said, 1)], abs=1e-9)
