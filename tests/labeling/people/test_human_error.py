"""The error of one person's answer, from gold and from agreement."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.people.human_error import FIRST, LEAST, STRONG, Dependence, by_agreement, by_gold, solved


def answers(
    rng: np.random.Generator, n: int, error: float, people: int = 3, k: int = 10
) -> tuple[list[str], list[str], list[bool]]:
    """Independent answers of `people` for n pictures, and whether each is wrong."""
    truth = rng.integers(0, k, n)
    wrong = rng.random((n, people)) < error
    said = np.where(wrong, (truth[:, None] + rng.integers(1, k, (n, people))) % k, truth[:, None])
    pictures = [str(p) for p in np.repeat(np.arange(n), people)]
    return pictures, [str(s) for s in said.reshape(-1)], wrong.reshape(-1).tolist()


@given(st.floats(0, 0.45), st.floats(0, 0.3), st.floats(0, 1))
def test_what_pairs_differ_on_gives_the_error_back(error: float, together: float, alike: float) -> None:
    both = min(error**2 + together * error * (1 - error), error)
    apart = 2 * error - (1 + alike) * both
    least = solved(apart, Dependence(together, alike))
    assert least == pytest.approx(error, abs=1e-6) or least < error, "of two errors that fit, the smaller one"


def test_independent_people_are_measured_without_the_truth() -> None:
    rng = np.random.default_rng(0)
    pictures, said, wrong = answers(rng, 4000, 0.15)
    told = by_agreement(pictures, said, np.full(len(said), np.nan), rng, classes=10)
    assert told is not None
    assert told.disagreement is not None
    assert solved(told.disagreement, Dependence(0, 1 / 9)) == pytest.approx(np.mean(wrong), abs=0.01)
    assert told.interval.low <= np.mean(wrong) <= told.interval.high
    assert told.by_seconds == ()


def test_only_the_first_answers_of_a_picture_count() -> None:
    """Disputed pictures are asked again; their further answers would make people look worse."""
    pictures, said, _ = answers(np.random.default_rng(1), 60, 0.1)
    extra = [(picture, other) for picture in set(pictures) for other in ("x", "y", "z")]
    once = by_agreement(pictures, said, np.full(len(said), np.nan), np.random.default_rng(2), classes=10)
    more = by_agreement(
        pictures + [picture for picture, _ in extra],
        said + [other for _, other in extra],
        np.full(len(said) + len(extra), np.nan),
        np.random.default_rng(2),
        classes=10,
    )
    assert FIRST == 3
    assert once == more


def test_a_picture_that_was_drawn_rarely_counts_for_more() -> None:
    pictures = [str(n) for n in range(40) for _ in range(2)]
    said = ["a", "b"] * 20 + ["a", "a"] * 20
    weights = [3.0] * 40 + [1.0] * 40
    told = by_agreement(pictures, said, np.full(80, np.nan), np.random.default_rng(0), classes=2, weights=weights)
    assert told is not None
    assert told.disagreement == pytest.approx(0.75)


def test_people_who_all_agree_have_an_error_that_is_not_said_to_be_none() -> None:
    pictures = [str(n) for n in range(50) for _ in range(3)]
    told = by_agreement(pictures, ["a"] * 150, np.full(150, np.nan), np.random.default_rng(0), classes=5)
    assert told is not None
    assert told.value == 0.0
    assert told.interval.high > 0.02


def test_too_few_pictures_say_nothing() -> None:
    pictures = [str(n) for n in range(LEAST - 1) for _ in range(2)] + ["one voice"]
    said = ["a"] * len(pictures)
    assert by_agreement(pictures, said, np.full(len(said), np.nan), np.random.default_rng(0), classes=2) is None
    assert by_gold([True] * (LEAST - 1), ["a"] * (LEAST - 1), ["p"] * (LEAST - 1), [1.0] * (LEAST - 1)) is None


def test_hasty_answers_are_seen_to_be_worse() -> None:
    rng = np.random.default_rng(3)
    pictures, said, _ = answers(rng, 1500, 0.08)
    seconds = np.where(rng.random(len(said)) < 0.4, 1.0, 6.0) * np.exp(rng.normal(0, 0.1, len(said)))
    guess = (seconds < 3) & (rng.random(len(said)) < 0.4)
    said = [str(rng.integers(10)) if guessed else one for guessed, one in zip(guess, said, strict=True)]
    told = by_agreement(pictures, said, seconds, rng, classes=10)
    assert told is not None
    assert sum(one.answers for one in told.by_seconds) == len(said)
    assert told.by_seconds[0].value > 0.25
    assert told.by_seconds[-1].value < 0.15


def test_gold_gives_the_share_with_an_interval_that_knows_people() -> None:
    wrong = ([True] * 20 + [False] * 20) * 2 + [False] * 160
    pictures = [str(n % 40) for n in range(240)]
    alone = by_gold(wrong, [str(n) for n in range(240)], [str(n) for n in range(240)], [math.nan] * 240)
    people = by_gold(wrong, [str(n // 40) for n in range(240)], pictures, [math.nan] * 240)
    assert alone is not None
    assert people is not None
    assert alone.value == people.value == pytest.approx(40 / 240)
    assert people.interval.high - people.interval.low > 1.5 * (alone.interval.high - alone.interval.low)


def test_the_upper_end_is_of_people_who_err_together() -> None:
    assert solved(0.2, STRONG) > solved(0.2, Dependence(0, 0.1))
    assert solved(1.5, STRONG) == solved(0.99, STRONG), "more discord than any error explains"
