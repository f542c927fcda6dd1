"""Label errors by group from doubts and answers: by hand, in a trap, and where there are few answers."""

import dataclasses

import numpy as np
import numpy.typing as npt
import pytest

from secondlook.pipeline.bias.counts import Counts
from secondlook.pipeline.bias.detector import TRUST, Answers, corrected, wrong
from secondlook.pipeline.bias.family import Comparison
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.shares import compare
from secondlook.pipeline.core.bias_config import BiasSettings
from secondlook.pipeline.core.errors import UserError

SETTINGS = BiasSettings(permutations=200)
Ints = npt.NDArray[np.int64]


def counts(n: Ints) -> Counts:
    names = tuple(f"g{at}" for at in range(len(n)))
    return Counts(Grouping(("g",), (names,), {}), np.arange(len(n))[:, None], ("no", "yes"), n)


def made(
    rng: np.random.Generator, shares: list[float], error: list[float], false: list[float], answers: int = 400
) -> tuple[Counts, Answers]:
    """4,000 labels; 70 % of the wrong ones are doubted, and so many of the right ones. Half of the answers are of doubted ones."""
    group = rng.choice(len(shares), 4000, p=shares)
    bad = rng.random(4000) < np.array(error)[group]
    doubted = rng.random(4000) < np.where(bad, 0.7, np.array(false)[group])
    n = np.zeros((len(shares), 2), np.int64)
    np.add.at(n, (group, doubted.astype(int)), 1)
    chance = np.minimum(np.where(doubted, answers / 2 / doubted.sum(), answers / 2 / (~doubted).sum()), 1)
    drawn = np.flatnonzero(rng.random(4000) < chance)
    return counts(n), Answers(
        group[drawn], doubted[drawn].astype(np.int64), bad[drawn].astype(np.float64), chance[drawn]
    )


def told(its: Counts, answers: Answers) -> tuple[Comparison, Comparison]:
    plain = compare(its, [False, True], settings=SETTINGS, rng=np.random.default_rng(0), worse="higher")
    return plain, corrected(plain, its, answers, SETTINGS)


def test_by_hand() -> None:
    """100 labels, 20 doubted; all are answered: 15 of the doubted are wrong, and 4 of the others."""
    outcome = np.repeat([1, 0], [20, 80])
    bad = np.repeat([1.0, 0.0, 1.0, 0.0], [15, 5, 4, 76])
    answers = Answers(np.zeros(100, np.int64), outcome, bad, np.ones(100))
    found = wrong(np.array([[80, 20]]), np.ones((1, 100), bool), answers)
    assert found.value[0] == pytest.approx(0.19, abs=0.005)
    assert found.n.tolist() == [[80 + TRUST, 20 + TRUST]]
    none = wrong(np.array([[50, 50]]), np.zeros((1, 100), bool), answers)
    assert none.value[0] == pytest.approx(0.5 * 15 / 20 + 0.5 * 4 / 80, abs=0.02)  # what all say of its doubts
    (silent,) = none.estimates(0.95)
    assert silent.interval.high - silent.interval.low > 0.7  # and how little that is


def test_answers_that_were_seldom_drawn_weigh_more() -> None:
    """Of 1,000 doubted labels 100 are wrong; these were drawn ten times as often as the right ones, and 50 and 45 answered."""
    bad = np.repeat([1.0, 0.0], [50, 45])
    answers = Answers(np.zeros(95, np.int64), np.ones(95, np.int64), bad, np.where(bad > 0, 0.5, 0.05))
    found = wrong(np.array([[0, 1000]]), np.ones((1, 95), bool), answers)
    assert found.value[0] == pytest.approx(0.1, abs=0.01)
    assert found.n[0, 1] < 60  # answers of unequal weight say less than their number


def test_a_detector_that_is_noisier_on_a_group_alarms_by_doubts_and_not_by_answers() -> None:
    rng, doubts, answers = np.random.default_rng(1), 0, 0
    for _ in range(60):
        plain, mended = told(*made(rng, [0.5, 0.3, 0.2], [0.08] * 3, [0.03, 0.03, 0.1]))
        doubts += plain.groups[2].p <= 0.01
        answers += mended.groups[2].p <= 0.01
    assert doubts >= 55
    assert answers <= 4


def test_a_group_with_more_errors_is_found_and_covered() -> None:
    rng, found, held = np.random.default_rng(2), 0, 0
    for _ in range(60):
        _, mended = told(*made(rng, [0.5, 0.3, 0.2], [0.05, 0.05, 0.25], [0.03] * 3))
        one = mended.groups[2]
        assert one.corrected is not None
        found += one.p <= 0.01
        held += one.corrected.interval.low <= 0.25 <= one.corrected.interval.high
    assert found >= 40
    assert held >= 53


def test_what_is_said_of_a_group() -> None:
    plain, mended = told(*made(np.random.default_rng(3), [0.7, 0.3], [0.05, 0.05], [0.03, 0.03]))
    one = mended.groups[0]
    assert one.corrected is not None
    assert one.figure == one.corrected
    assert one.effect.value == pytest.approx(one.corrected.value - one.against.value)
    assert one.raw == plain.groups[0].raw
    assert sum(each.answers or 0 for each in mended.groups) > 300
    assert mended.within is None  # what permutations of doubts say is not of wrong labels
    assert mended.gaps is not None
    assert 0.02 < mended.gaps(0.01)[0] < 0.3
    assert mended.count == plain.count


def test_no_answers_and_impossible_ones_are_refused() -> None:
    its, answers = made(np.random.default_rng(4), [0.5, 0.5], [0.1, 0.1], [0.1, 0.1])
    plain, _ = told(its, answers)
    nobody = Answers(answers.cell[:0], answers.outcome[:0], answers.wrong[:0], answers.inclusion[:0])
    with pytest.raises(UserError, match="got none"):
        corrected(plain, its, nobody, SETTINGS)
    with pytest.raises(UserError, match="above 0"):
        corrected(plain, its, answers._replace(inclusion=answers.inclusion * 0), SETTINGS)
    empty = dataclasses.replace(plain, groups=())
    assert corrected(empty, its, nobody, SETTINGS) == empty


def test_the_smallest_gap_is_found_about_as_often_as_it_says() -> None:
    """400 answers, a tenth of them of the group; the normal distribution would ask for a fifth more."""
    rng, found, said = np.random.default_rng(11), 0, []
    for _ in range(80):
        _, mended = told(*made(rng, [0.5, 0.4, 0.1], [0.08, 0.08, 0.28], [0.03] * 3))
        found += mended.groups[2].p <= 0.005
        assert mended.gaps is not None
        said.append(float(mended.gaps(0.005)[2]))
    assert 0.18 < float(np.median(said)) < 0.22
    assert 54 <= found <= 78  # 80 % of 80 is 64
