"""An audit sample: every label has the probability to be in it that the design says."""

import json
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.pipeline.audit.labels.calibrated import UNSEEN, Calibrator
from secondlook.pipeline.audit.share.sampling import PILOT, Design, draw, united
from secondlook.pipeline.core.errors import UserError

Array = npt.NDArray[np.float64]

SCORES = np.random.default_rng(5).beta(1, 4, 400)


def sizes(scores: Array, uniform: float, curve: Calibrator) -> Array:
    p = curve(scores)
    doubt = np.sqrt(p * (1 - p))
    return np.asarray(uniform + (1 - uniform) * doubt / doubt.mean(), np.float64)


def slow_inclusion(size: Array, n: int) -> Array:
    """n times the share of the size; what exceeds 1 is taken for sure, and the rest begins anew."""
    pi, sure = np.zeros(len(size)), np.zeros(len(size), bool)
    while True:
        pi[sure] = 1.0
        pi[~sure] = (n - sure.sum()) * size[~sure] / size[~sure].sum()
        more = (pi > 1) & ~sure
        if not more.any():
            return pi
        sure |= more


@pytest.mark.parametrize("n", [1, 151, 300, 390, 400])
def test_probabilities_are_proportional_to_doubt_and_some_are_sure(n: int) -> None:
    curve = Calibrator(2.5, -1.0, 150, 9)
    design = draw(SCORES, n, np.random.default_rng(0), curve=curve).design
    assert design.inclusion(SCORES) == pytest.approx(slow_inclusion(sizes(SCORES, 0.1, curve), n), abs=1e-9)


def test_before_the_first_answer_small_draws_are_uniform_and_large_ones_doubt_a_little() -> None:
    rng = np.random.default_rng(0)
    assert set(draw(SCORES, PILOT, rng).design.inclusion(SCORES)) == {PILOT / 400}
    large = draw(SCORES, PILOT + 1, rng).design.inclusion(SCORES)
    assert large == pytest.approx(slow_inclusion(sizes(SCORES, 0.5, UNSEEN), PILOT + 1))
    assert large.min() > 0.5 * (PILOT + 1) / 400 * 0.99, "the uniform part is a floor"


def test_without_a_score_all_is_uniform_and_one_that_lacks_it_is_as_likely_as_the_mean() -> None:
    rng = np.random.default_rng(0)
    assert draw(np.full(50, np.nan), 20, rng).design.inclusion([np.nan, 0.5]) == pytest.approx([0.4, 0.4])
    some = np.append(SCORES, np.nan)
    design = draw(some, 160, rng).design
    assert design.inclusion(some)[-1] == pytest.approx(design.scale)
    assert design.inclusion(some).sum() == pytest.approx(160)


def test_labels_are_drawn_as_often_as_the_design_says() -> None:
    rng, counts, draws = np.random.default_rng(1), np.zeros(400), 3000
    for _ in range(draws):
        found = draw(SCORES, 160, rng)
        assert len(np.unique(found.rows)) == 160
        counts[found.rows] += 1
    pi = found.design.inclusion(SCORES)
    off = (counts / draws - pi) / np.sqrt(pi * (1 - pi) / draws + 1e-12)
    assert np.abs(off[pi < 1]).max() < 4.5
    assert (counts[pi == 1] == draws).all()


def test_a_second_draw_takes_what_the_first_left_and_probabilities_unite() -> None:
    rng, counts, draws = np.random.default_rng(2), np.zeros(60), 6000
    scores = SCORES[:60]
    for _ in range(draws):
        first = draw(scores, 10, rng)
        taken = np.isin(np.arange(60), first.rows)
        second = draw(scores, 12, rng, taken=taken, curve=UNSEEN)
        assert not set(first.rows) & set(second.rows)
        counts[np.append(first.rows, second.rows)] += 1
        known = united(first.design.inclusion(scores), second.design.inclusion(scores))
        # The second scale depends a little on what the first took; on average the two agree.
        assert known.sum() == pytest.approx(22, abs=0.8)
    assert counts / draws == pytest.approx(known, abs=0.04)


def test_the_order_of_a_draw_tells_nothing() -> None:
    rng = np.random.default_rng(3)
    found = draw(SCORES, 200, rng)
    assert abs(np.corrcoef(np.arange(200), SCORES[found.rows])[0, 1]) < 0.2


def test_equal_scores_are_drawn_independently_of_their_place() -> None:
    """Systematic draws along ties that were not shuffled would never take neighbours together."""
    rng, pairs = np.random.default_rng(4), set()
    for _ in range(200):
        pairs.add(tuple(sorted(draw(np.full(4, 0.3), 2, rng).rows.tolist())))
    assert pairs == set(combinations(range(4), 2))


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=1, max_size=60),
    st.integers(1, 70),
    st.integers(0, 2**32 - 1),
    st.booleans(),
)
def test_any_draw_has_its_size_and_probabilities(scores: list[float], n: int, seed: int, known: bool) -> None:
    rng, held = np.random.default_rng(seed), np.array(scores)
    taken = rng.random(len(held)) < 0.2
    found = draw(held, n, rng, taken=taken, curve=UNSEEN if known else None)
    assert len(set(found.rows.tolist())) == len(found.rows) == min(n, int((~taken).sum()))
    assert not taken[found.rows].any()
    pi = found.design.inclusion(held)
    assert ((pi > 0) & (pi <= 1)).all()
    assert pi[~taken].sum() == pytest.approx(len(found.rows))
    assert Design.from_json(json.loads(json.dumps(found.design.as_json()))) == found.design


def test_an_empty_draw_is_refused() -> None:
    with pytest.raises(UserError, match="at least 1 picture, got 0"):
        draw(SCORES, 0, np.random.default_rng(0))
