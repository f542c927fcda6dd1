"""Pairs that are proposed, and what the pixels decide."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.audit.copies.candidates import bits_between, decided, likely, together
from secondlook.pipeline.audit.copies.groups import Pairs, grouped


def pairs(*rows: tuple[int, int, int, bool, float, float]) -> Pairs:
    """Pairs of (first, second, bits, mirrored, cosine, match)."""
    first, second, bits, mirrored, cosine, match = zip(*rows, strict=True) if rows else ((),) * 6
    whole = (np.array(column, np.int64) for column in (first, second, bits))
    real = (np.array(column, np.float32) for column in (cosine, match))
    return Pairs(*whole, np.array(mirrored, np.bool_), *real)  # type: ignore[arg-type, call-arg]


NAN = float("nan")


def listed(found: Pairs) -> list[tuple[int, int]]:
    return list(zip(found.first.tolist(), found.second.tolist(), strict=True))


def test_the_more_alike_the_embeddings_the_more_bits_may_differ() -> None:
    cosine = np.array([0.9, 0.9, 0.3, 0.3, 0.0, -0.5, np.nan], np.float32)
    bits = np.array([26, 27, 14, 15, 0, 0, 0])
    assert likely(cosine, bits).tolist() == [True, False, True, False, True, False, False]


def test_bits_are_those_of_the_nearer_orientation() -> None:
    phash, mirrored = np.array([0, -1, 0b111]), np.array([-1, 0, 0b1000])
    bits, turned = bits_between(phash, mirrored, np.array([0, 0, 2]), np.array([1, 2, 0]))
    assert bits.tolist() == [0, 3, 1]
    assert turned.tolist() == [True, False, True]


def test_a_pair_that_both_propose_is_one_with_its_cosine() -> None:
    by_hash = pairs((0, 1, 2, False, NAN, NAN), (3, 4, 5, True, NAN, NAN))
    one, other = np.array([1, 2, 5, 5, 0]), np.array([0, 5, 2, 5, 1])
    found, hashed = together(
        by_hash,
        one,
        other,
        np.array([0.7, 0.8, 0.8, 1.0, 0.7], np.float32),
        np.array([9, 8, 8, 0, 9]),
        np.zeros(5, bool),
    )
    assert listed(found) == [(0, 1), (2, 5), (3, 4)]
    assert found.bits.tolist() == [2, 8, 5]
    assert hashed.tolist() == [True, False, True]
    assert np.array_equal(found.cosine, np.array([0.7, 0.8, np.nan], np.float32), equal_nan=True)


def test_pixels_decide_where_they_can_be_read_and_hashes_where_they_can_not() -> None:
    proposed = pairs(
        (0, 1, 2, False, NAN, NAN), (0, 2, 2, False, NAN, NAN), (1, 2, 9, False, 0.5, NAN), (1, 3, 26, False, 0.5, NAN),
        (2, 3, 3, False, 0.9, NAN), (2, 4, 9, False, 0.5, NAN),
    )  # fmt: skip
    match = np.array([0.5, 0.9, 0.9, 0.89, np.nan, np.nan], np.float32)
    mirrored = np.array([False, False, True, False, False, False])
    by_hash = np.array([True, True, False, False, True, False])
    confirm_bits = np.array([0, 10, 10, 20, 0, 0])
    near = decided(proposed, by_hash, match, mirrored, confirm_bits, 0.8)
    # 0-1 does not match; 1-3 would, were its dHashes nearer; 2-3 is by hash and can't be read; 2-4 is nobody's word.
    assert listed(near) == [(0, 2), (1, 2), (2, 3)]
    assert near.mirrored.tolist() == [False, True, False]
    assert np.isnan(near.match).tolist() == [False, False, True]


@given(st.integers(0, 2**32), st.integers(0, 30))
def test_whoever_is_kept_is_near_to_all_whom_it_stands_for(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    edges = sorted({tuple(sorted(rng.choice(n, 2, replace=False).tolist())) for _ in range(n)}) if n > 1 else []
    near = pairs(*((a, b, 9, False, 0.5, 0.9) for a, b in edges))
    numbers = np.arange(n)
    found = grouped(numbers, numbers, near, np.zeros(n, np.int64), np.zeros((1, 1), np.bool_))
    for picture, keeper in enumerate(found.kept.tolist()):
        assert keeper == picture or (min(picture, keeper), max(picture, keeper)) in edges
        assert found.kept[keeper] == keeper
        assert keeper <= picture
    assert set(found.having_near().tolist()) == {picture for edge in edges for picture in edge}


def test_a_chain_is_no_group_and_the_best_match_comes_first() -> None:
    near = pairs((0, 1, 9, False, 0.5, 0.85), (1, 2, 12, True, 0.5, 0.95))
    numbers = np.arange(3)
    found = grouped(numbers, numbers, near, np.zeros(3, np.int64), np.zeros((1, 1), np.bool_))
    assert found.kept.tolist() == [0, 0, 2]
    (first, how), (second, _) = found.near(1)
    assert (first, second) == (2, 0)
    assert (how.mirrored, how.bits, round(how.closeness, 2)) == (True, 12, 0.95)
