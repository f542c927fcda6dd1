"""SL101 and SL102 on labels and probabilities."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.audit.classes.rare_classes import rare_classes
from secondlook.pipeline.audit.labels.ambiguity import ambiguity
from secondlook.pipeline.audit.labels.calibrated import Calibrator
from secondlook.pipeline.audit.labels.compare import compare
from secondlook.pipeline.audit.labels.doubts import Decision, Judged, doubts, score, tallied
from secondlook.pipeline.audit.labels.flags import empty, tally

NAMES = ["cat", "dog", "yak"]
DECISION = Decision(0.1, "by hand", 0.1, 0.8)


def judged(given: list[int], probs: list[list[float]], classes: list[list[int]] | None = None) -> Judged:
    n = len(given)
    keys = [f"k{i}" for i in range(n)]
    chosen = classes or [[0, 1, 2]] * n
    return Judged(
        keys,
        keys,
        ["train"] * n,
        np.array(given, np.int64),
        np.array(chosen, np.int32),
        np.array(probs, np.float32),
        NAMES,
    )


def said(rows: Judged) -> list[tuple[str, str, str]]:
    found = doubts(rows, DECISION)
    return [(f.key, f.rule, f.message) for f in found]


def test_a_label_that_another_class_beats_is_doubted_with_its_probabilities() -> None:
    rows = judged([0, 0], [[0.02, 0.95, 0.03], [0.9, 0.05, 0.05]])
    (found,) = doubts(rows, DECISION)
    assert found.message == "labeled cat, likely dog (score 0.98)"
    assert (found.rule, found.key, found.split) == ("SL101", "k0", "train")
    expected = {"p_given": 0.02, "p_suggested": 0.95, "p_error": 0.95 / 0.97}
    assert {name: found.evidence[name] for name in expected} == pytest.approx(expected, abs=1e-5)
    assert (found.evidence["given"], found.evidence["suggested"]) == ("cat", "dog")


def test_too_close_to_call_is_ambiguous_unless_the_label_is_doubted_already() -> None:
    rows = judged([0, 2, 0], [[0.45, 0.5, 0.05], [0.45, 0.5, 0.05], [0.34, 0.33, 0.33]])
    assert said(rows) == [
        ("k1", "SL101", "labeled yak, likely dog (score 0.91)"),
        ("k0", "SL102", "labeled cat, between dog (0.50) and cat (0.45)"),
    ]


def test_a_label_that_the_model_does_not_know_is_neither() -> None:
    assert said(judged([-1, -1], [[0.45, 0.5, 0.05], [0.02, 0.95, 0.03]])) == []


def test_lists_of_the_best_classes_are_enough() -> None:
    rows = judged([2], [[0.6, 0.3]], [[1, 0]])
    assert said(rows) == [("k0", "SL101", "labeled yak, likely dog (score 0.86)")]


def test_nothing_is_said_of_nothing() -> None:
    empty = Judged([], [], [], np.empty(0, np.int64), np.empty((0, 0), np.int32), np.empty((0, 0), np.float32), NAMES)
    assert list(doubts(empty, DECISION)) == []


def with_evidence(p_error: list[float], **kinds: list[float]) -> Judged:
    rows = judged([0, 0, -1], [[0.9, 0.08, 0.02], [0.02, 0.95, 0.03], [0.02, 0.95, 0.03]])
    return dataclasses.replace(rows, p_error=np.array(p_error), evidence={k: np.array(v) for k, v in kinds.items()})


def test_evidence_is_the_score_where_it_is_there_and_predictions_elsewhere() -> None:
    nan = float("nan")
    rows = with_evidence([0.875, nan, 0.875], held_out=[0.75, nan, 0.75], refit=[1.0, nan, 1.0])
    first, second = doubts(rows, DECISION)
    assert (first.key, first.score) == ("k0", 0.875)
    assert first.message == "labeled cat, likely dog (score 0.88; by refit, held_out)"
    assert first.evidence["against"] == {"refit": 1.0, "held_out": 0.75}
    assert (first.evidence["p_given"], first.evidence["p_suggested"]) == (0.9, 0.08)  # what the model itself says
    share = round(0.95 / 0.97, 6)  # predictions on the scale of evidence
    assert (second.key, second.evidence["against"]) == ("k1", {"predictions": pytest.approx(share, abs=1e-6)})
    acquitted = with_evidence([0.125, 0.125, nan], held_out=[0.125, 0.125, nan])
    assert [found.rule for found in doubts(acquitted, DECISION)] == []


def test_the_margin_is_chosen_by_the_scores_that_decide() -> None:
    rows = with_evidence([0.875, float("nan"), 0.875])
    both, odds = 0.98, 0.95 / 0.97  # what the model gives to the two classes is divided as the evidence has it
    table = np.array([[0.125 * both, 0.875 * both, 0.02], [0.02, 0.95, 0.03], [0.5, 0.5, 0.0]], np.float32)
    by_hand = compare(np.array([0, 0, -1]), table)
    assert tallied(rows).to_bytes() == tally(by_hand, 3).to_bytes()
    np.testing.assert_allclose(score(rows), [0.875, odds, np.nan], atol=1e-6)
    assert tallied(judged([], [])).to_bytes() == empty(3).to_bytes()


def test_a_calibrated_p_error_is_a_probability_and_leaves_score_and_flags_alone() -> None:
    rows = judged([0, 0], [[0.02, 0.95, 0.03], [0.9, 0.05, 0.05]])
    curve = Calibrator(1.5, -1.0, 120, 30)
    (found,) = doubts(rows, DECISION._replace(calibrator=curve))
    p_error = float(curve([0.95 / 0.97])[0])
    assert found.score == pytest.approx(0.95 / 0.97)
    assert found.evidence["p_error"] == pytest.approx(p_error, abs=1e-5)
    assert found.evidence["p_error_is"] == "probability"
    assert found.message == f"labeled cat, likely dog (probability {p_error:.2f})"


@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(2, 6))
def test_ambiguity_is_that_of_the_two_best(seed: int, n: int, k: int) -> None:
    probs = np.random.default_rng(seed).dirichlet(np.full(k, 0.5), n)
    seen = ambiguity(probs, 0.2, 0.7)
    for row, values in enumerate(probs.tolist()):
        best, next_best = sorted(values, reverse=True)[:2]
        assert (seen.p_first[row], seen.p_second[row]) == (best, next_best)
        assert seen.first[row] != seen.second[row]
        assert seen.flagged[row] == (best - next_best < 0.2 and best + next_best >= 0.7)


def test_classes_below_the_least_are_rare_and_empty_ones_are_worst() -> None:
    found = list(rare_classes({"cat": 20, "dog": 19, "yak": 0}, 20))
    assert [(f.key, f.subject_kind, f.evidence["count"]) for f in found] == [("dog", "class", 19), ("yak", "class", 0)]
    assert [f.score for f in found] == [pytest.approx(0.05), 1.0]
