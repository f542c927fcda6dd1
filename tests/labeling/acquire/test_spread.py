"""Spreading: the lazy greedy choice is the slow one's, and copies of what is chosen are worth little."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.labeling.acquire import spread
from secondlook.labeling.acquire.spread import Spread, reach, redundant, sketch


def slow(
    value: npt.NDArray[np.float64], vectors: npt.NDArray[np.float32], n: int, strength: float, near: float
) -> list[int]:
    """The definition: after each choice all gains anew, from all that is chosen."""
    chosen: list[int] = []
    for _ in range(n):
        best, best_gain = -1, 0.0
        for j in range(len(value)):
            gain = 0.0 if j in chosen else float(value[j])
            for i in chosen:
                distance = float(np.linalg.norm(vectors[i].astype(np.float64) - vectors[j]))
                close = 0.0 if np.isnan(distance) else max(0.0, 1 - (distance / near) ** 2)
                gain *= 1 - strength * close
            if gain > best_gain + 1e-7:
                best, best_gain = j, gain
        if best < 0:
            break
        chosen.append(best)
    return chosen


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 60), st.sampled_from([2, 5, 256]), st.sampled_from([0.3, 0.9, 1.0]))
def test_the_lazy_choice_is_the_slow_one(seed: int, n: int, block: int, strength: float) -> None:
    rng = np.random.default_rng(seed)
    value, vectors = rng.random(n), rng.standard_normal((n, 3)).astype(np.float32)
    vectors[rng.random(n) < 0.1] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "BLOCK", block)
        patch.setattr(spread, "FRONT", 3 * block)
        found = Spread(value, vectors, strength=strength, reach=0.8).take(n // 2)
    assert found == slow(value, vectors, n // 2, strength, 0.8)


def test_what_was_taken_before_counts_for_what_is_taken_later() -> None:
    rng = np.random.default_rng(3)
    value, vectors = rng.random(80), rng.standard_normal((80, 2)).astype(np.float32)
    whole = Spread(value, vectors, strength=0.9, reach=1.0)
    parts = Spread(value, vectors, strength=0.9, reach=1.0)
    assert whole.take(20) == [row for _ in range(4) for row in parts.take(5)]
    among = np.arange(40, 80)
    assert set(parts.take(5, among)) <= set(among.tolist())


def test_of_fifty_copies_of_the_best_doubt_one_or_two_are_taken() -> None:
    vectors = np.concatenate([np.zeros((50, 4)), 10 * np.eye(4)[np.arange(20) % 4] + np.arange(20)[:, None]])
    value = np.concatenate([np.full(50, 1.0), np.full(20, 0.5)])
    taken = Spread(value, vectors.astype(np.float32), strength=0.9, reach=1.0).take(10)
    assert sum(row < 50 for row in taken) == 1
    assert sum(row < 50 for row in Spread(value, vectors.astype(np.float32), strength=0.0, reach=1.0).take(10)) == 10


def test_what_is_worth_nothing_is_never_taken_and_costs_fit_the_room() -> None:
    taken = Spread([1.0, 0.0, 3.0, 2.0], None, strength=0.9, reach=1.0, cost=[1.0, 1.0, 2.5, 1.0]).take(3.5)
    assert taken == [2, 3]
    assert Spread([0.0, 0.0], None, strength=0.9, reach=1.0).take(5) == []
    assert Spread([], None, strength=0.9, reach=1.0).take(5) == []


def test_a_sketch_keeps_copies_and_distances() -> None:
    rng = np.random.default_rng(5)
    vectors = rng.standard_normal((60, 1280)).astype(np.float32)
    vectors[1] = 3 * vectors[0]
    small = sketch(vectors, np.random.default_rng(1))
    assert small.shape == (60, 128)
    assert np.linalg.norm(small[0] - small[1]) < 1e-5, "length says nothing"
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    there = np.linalg.norm(unit[2:, None] - unit[None, 2:], axis=2)
    here = np.linalg.norm(small[2:, None] - small[None, 2:], axis=2)
    off = here[there > 0] / there[there > 0] - 1
    assert np.abs(off).mean() < 0.08
    assert sketch(vectors[:, :50], np.random.default_rng(1)).shape == (60, 50)


def test_reach_is_what_is_near_by_chance_even_where_most_are_copies() -> None:
    rng = np.random.default_rng(5)
    apart = rng.standard_normal((100, 8)).astype(np.float32)
    copies = np.repeat(apart, 5, axis=0) + 1e-4 * rng.standard_normal((500, 8)).astype(np.float32)
    assert reach(copies) == pytest.approx(reach(apart), rel=0.02)
    assert reach(np.zeros((1, 3), np.float32)) == 0.0
    assert reach(np.zeros((5, 3), np.float32)) == 0.0


def test_redundant_counts_picks_that_have_a_near_pick() -> None:
    vectors = np.array([[0.0], [0.05], [1.0], [5.0], [5.05]], np.float32)
    assert redundant(vectors, [0, 1, 2], 0.1) == pytest.approx(2 / 3)
    assert redundant(vectors, [0, 2, 3], 0.1) == 0.0
    assert redundant(vectors, [], 0.1) == 0.0
