"""The test of gold answers: by hand, against the definition written out, and what it promises, by simulation."""

import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.people.gold import (
    SKIPPED,
    SLOPPY,
    Rates,
    cleared,
    evidence,
    usual_errors,
    verdict,
)
from secondlook.pipeline.core.statistics import wilson

RATES = Rates()
LEVEL = 0.999  # of intervals in simulations, so that a right promise fails once in a thousand runs of another seed


def slow_evidence(wrong: list[bool], usual: list[float], rates: Rates) -> float:
    """The mixture written out: over both alternatives and all beginnings, one likelihood ratio each."""
    n = len(wrong)
    total = 0.5 / n if n > 1 else 0.5  # what waits for later beginnings
    for begin in range(1, n + 1):
        stake = 0.5 if begin == 1 else 0.5 / (begin * (begin - 1))
        for share, error in ((SLOPPY, rates.unacceptable), (1 - SLOPPY, (1 + rates.unacceptable) / 2)):
            ratio = 1.0
            for was, known in zip(wrong[begin - 1 :], usual[begin - 1 :], strict=True):
                odds = error / (1 - error) * (known / (1 - known)) * ((1 - rates.acceptable) / rates.acceptable)
                failing = odds / (1 + odds)
                ratio *= failing / known if was else (1 - failing) / (1 - known)
            total += share * stake * ratio
    return total


@given(st.lists(st.tuples(st.booleans(), st.floats(0.1, 0.5)), min_size=1, max_size=12))
def test_evidence_is_the_mixture_written_out(answers: list[tuple[bool, float]]) -> None:
    wrong, usual = [was for was, _ in answers], [known for _, known in answers]
    assert evidence(wrong, usual, RATES)[-1] == pytest.approx(slow_evidence(wrong, usual, RATES))


@pytest.mark.parametrize("usual", [0.1, 0.3, 0.5])
def test_evidence_is_a_fair_bet_on_who_errs_as_usual(usual: float) -> None:
    """Its mean over all outcomes, each with its probability, is 1 after every answer: exactly, for ten answers."""
    outcomes = np.array(list(itertools.product([False, True], repeat=10)))
    chance = np.prod(np.where(outcomes, usual, 1 - usual), axis=1)
    means = chance @ evidence(outcomes, np.full(outcomes.shape, usual), RATES)
    assert means == pytest.approx(np.ones(10))


@pytest.mark.parametrize("error", [0.02, 0.10])
def test_acceptable_people_are_paused_as_rarely_as_promised(error: float) -> None:
    wrong = np.random.default_rng(1).random((10_000, 300)) < error
    paused = (evidence(wrong, np.full(wrong.shape, RATES.acceptable), RATES) >= 1 / RATES.alpha).any(axis=1)
    assert wilson(int(paused.sum()), 10_000, LEVEL).low <= RATES.alpha


def test_unacceptable_people_pass_as_rarely_as_promised_and_are_found() -> None:
    wrong = np.random.default_rng(2).random((10_000, 300)) < RATES.unacceptable
    usual = np.full(wrong.shape, RATES.acceptable)
    passed = (cleared(wrong, usual, RATES) <= RATES.beta).any(axis=1)
    assert wilson(int(passed.sum()), 10_000, LEVEL).low <= RATES.beta
    found = evidence(wrong, usual, RATES) >= 1 / RATES.alpha
    assert np.median(found.argmax(axis=1) + 1) <= 35
    assert found.any(axis=1).mean() > 0.999


def test_a_good_past_is_no_credit() -> None:
    good, bad = [False] * 200, [True, True, False, True] * 8
    told = verdict([*good, *bad], [0.1] * 232, RATES)
    assert told.state == "failed"
    assert told.decided_at < 232


def test_verdicts_by_hand() -> None:
    assert verdict([], [], RATES).state == "open"
    assert verdict([True] * 4, [0.1] * 4, RATES).state == "failed"
    assert verdict([True] * 3, [0.1] * 3, RATES).state == "open"
    told = verdict([False] * 12, [0.1] * 12, RATES)
    assert (told.state, told.asked, told.wrong, round(told.expected, 6)) == ("passed", 12, 0, 1.2)
    assert verdict([False] * 11, [0.1] * 11, RATES).state == "open"
    assert verdict([True] * 9, [SKIPPED] * 9, RATES).evidence == pytest.approx(1.0), "a doubtful question tells nothing"


def test_the_usual_error_is_that_of_the_others_and_at_least_acceptable() -> None:
    # Four people, two questions; everybody else errs on the hard one.
    questions = ["easy", "hard"] * 4
    people = [name for name in "abcd" for _ in range(2)]
    wrong = [False, False, False, True, False, False, False, True]
    usual = dict(zip(zip(questions, people, strict=True), usual_errors(questions, people, wrong, RATES), strict=True))
    general = (2 + 4 * 0.1) / (6 + 4)  # a is right on both: of the six other answers two are wrong
    assert usual["hard", "a"] == pytest.approx((2 + 4 * general) / (3 + 4))
    assert usual["easy", "a"] == pytest.approx(max((0 + 4 * general) / (3 + 4), 0.1))
    assert usual["hard", "b"] < usual["hard", "a"], "b's own mistake excuses nobody, least of all b"


def test_no_question_is_easier_than_acceptable() -> None:
    questions, people = ["q"] * 100, [str(n) for n in range(100)]
    assert usual_errors(questions, people, [False] * 100, RATES) == [RATES.acceptable] * 100


def test_who_is_paused_sets_no_standard() -> None:
    questions, people = ["q"] * 5, ["a", "s1", "s2", "s3", "s4"]
    wrong = [False, True, True, True, True]
    assert usual_errors(questions, people, wrong, RATES)[0] == SKIPPED
    assert usual_errors(questions, people, wrong, RATES, {"s1", "s2", "s3", "s4"})[0] == RATES.acceptable


@given(st.lists(st.tuples(st.sampled_from("qrs"), st.sampled_from("abc"), st.booleans()), max_size=20))
def test_the_usual_error_never_depends_on_a_persons_own_answers(rows: list[tuple[str, str, bool]]) -> None:
    unique = list({(question, who): (question, who, was) for question, who, was in rows}.values())
    flipped = [(question, who, not was if who == "a" else was) for question, who, was in unique]
    first, second = (
        usual_errors([q for q, _, _ in one], [w for _, w, _ in one], [x for _, _, x in one], RATES)
        for one in (unique, flipped)
    )
    for (_, who, _), before, after in zip(unique, first, second, strict=True):
        assert who != "a" or before == after


def test_a_file_of_gold_may_come_from_a_spreadsheet() -> None:
    from secondlook.labeling.answers import Keys
    from secondlook.labeling.people import gold_file

    text = io.StringIO("\ufeffLabel;Key\r\n cat ;a.png\r\n;\r\ndog;b.png\r\n", newline="")
    keys = Keys(["a.png", "b.png"], ["1", "2"])
    assert gold_file.read(text, "gold.csv", keys, {"cat", "dog"}) == {"1": "cat", "2": "dog"}
