"""Who pays: groups and classes paired with the teacher, against scipy, statsmodels and by hand."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from secondlook.pipeline.core.paired import paired_interval
from secondlook.pipeline.learn.students.fallen import draws, exact_p, falls, forgotten, gaps, refused


def made(
    seed: int = 0, n: int = 900
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], list[npt.NDArray[np.int64]]]:
    """A student that is as good as its teacher but for the third of three classes, where it loses a third."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    teacher = rng.random(n) < 0.9
    student = np.where(rng.random(n) < 0.03, ~teacher, teacher)
    student &= ~((labels == 2) & (rng.random(n) < 0.35))
    return teacher, student, [np.flatnonzero(labels == k) for k in range(3)]


NAMES = [("", "cat"), ("", "dog"), ("", "lynx")]


def test_p_is_that_of_statsmodels() -> None:
    for lost, gained in ((0, 0), (5, 0), (9, 4), (3, 12), (40, 22)):
        expected = mcnemar([[50, lost], [gained, 7]], exact=True).pvalue
        assert exact_p([lost], [gained])[0] == pytest.approx(min(float(expected), 1.0), abs=1e-12)


def test_each_set_is_compared_picture_by_picture_and_all_are_corrected() -> None:
    teacher, student, members = made()
    found = falls(teacher, student, NAMES, members)
    raw = []
    for one, rows in zip(found, members, strict=True):
        lost, gained = int((teacher & ~student)[rows].sum()), int((student & ~teacher)[rows].sum())
        assert one.n == len(rows) == 300
        assert one.teacher.value == teacher[rows].mean()
        assert one.student.value == student[rows].mean()
        assert one.fall.value == pytest.approx(teacher[rows].mean() - student[rows].mean())
        assert one.fall.interval == paired_interval(lost, gained, 300, confidence=1 - 0.05 / 3)
        raw.append(binomtest(lost, lost + gained).pvalue)
    assert [one.p for one in found] == pytest.approx(multipletests(raw, method="holm")[1])


def test_the_class_that_was_forgotten_is_named_and_no_other() -> None:
    found = falls(*made()[:2], NAMES, made()[2])
    assert [one.name for one in forgotten(found, 0.10)] == ["lynx"]
    assert forgotten(found, 0.9) == ()


def test_the_gate_closes_only_where_the_whole_interval_is_beyond_the_margin() -> None:
    found = falls(*made()[:2], NAMES, made()[2])
    fell = found[2].fall
    assert [one.name for one in refused(found, 0.02)] == ["lynx"]
    assert refused(found, fell.interval.low) == ()
    assert fell.value > fell.interval.low > 0.02


def test_a_few_pictures_close_no_gate_and_forget_no_class() -> None:
    teacher, student = np.ones(5, bool), np.zeros(5, bool)
    found = falls(teacher, student, NAMES[:1], [np.arange(5)])
    assert found[0].fall.value == 1.0
    assert forgotten(found, 0.1) == ()
    alike = falls(teacher, teacher, [("race", "x"), ("race", "y")], [np.arange(5), np.arange(0)])
    assert refused(alike, 0.0) == ()
    assert alike[1].n == 0
    assert (alike[1].fall.interval.low, alike[1].p) == (-1.0, 1.0)
    assert falls(teacher, student, [], []) == ()


def test_of_students_without_a_difference_few_are_said_to_have_forgotten_anything() -> None:
    """40 students of 30 classes that differ from the teacher by chance alone: at most alpha of them, give or take."""
    rng = np.random.default_rng(11)
    labels = np.arange(1500) % 30
    members = [np.flatnonzero(labels == k) for k in range(30)]
    wrong = 0
    for _ in range(40):
        teacher = rng.random(1500) < 0.7
        student = np.where(rng.random(1500) < 0.3, rng.random(1500) < 0.7, teacher)
        found = falls(teacher, student, [("", str(k)) for k in range(30)], members)
        wrong += bool(forgotten(found, 0.0)) + bool(refused(found, 0.0))
    assert wrong <= 4


def test_the_gap_is_between_the_best_and_the_worst_group_of_one_attribute() -> None:
    right = np.array([[1, 1, 1, 0, 0, 1], [1, 1, 1, 1, 1, 1]], bool)
    attributes = [[np.array([0, 1]), np.array([2, 3]), np.array([4, 5])], [np.array([0, 1, 2]), np.array([3, 4, 5])]]
    assert gaps(right, attributes)[:, 0] == pytest.approx([2 / 3, 0.0])
    assert gaps(right, []).tolist() == [[0.0], [0.0]]


def test_gaps_of_draws_are_those_of_the_pictures_drawn() -> None:
    rng = np.random.default_rng(2)
    right = rng.random((3, 40)) < 0.6
    attributes = [[np.arange(0, 13), np.arange(13, 40)]]
    weights = draws(40, 25, rng)
    assert weights.sum(axis=1).tolist() == [40] * 25
    found = gaps(right, attributes, weights)
    for draw, counts in enumerate(weights):
        rows = np.repeat(np.arange(40), counts)
        for model in range(3):
            shares = [right[model, rows[np.isin(rows, group)]].mean() for group in attributes[0]]
            assert found[model, draw] == pytest.approx(max(shares) - min(shares))
