"""Near-duplicates: the same answer as comparing all with all, without comparing all with all."""

import time

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.audit.copies import duplicates
from secondlook.pipeline.audit.copies.duplicates import block_masks, near_duplicates, near_hashes
from secondlook.pipeline.audit.copies.groups import NearDuplicates

Ints = npt.NDArray[np.int64]
WORD = 2**64 - 1


def differ(one: int, other: int) -> int:
    return ((int(one) ^ int(other)) & WORD).bit_count()


def slow(phash: Ints, dhash: Ints, bits: int, confirm_bits: int) -> dict[tuple[int, int], int]:
    """The definition: all pairs, one by one."""
    return {
        (i, j): differ(phash[i], phash[j])
        for i in range(len(phash))
        for j in range(i + 1, len(phash))
        if differ(phash[i], phash[j]) <= bits and differ(dhash[i], dhash[j]) <= confirm_bits
    }


def listed(near: NearDuplicates, *, across: bool = False) -> dict[tuple[int, int], int]:
    return {(min(i, j), max(i, j)): how.bits for i in range(len(near.look)) for j, how in near.near(i, across=across)}


def distances(near: NearDuplicates, picture: int) -> list[tuple[int, int]]:
    return [(other, how.bits) for other, how in near.near(picture)]


def flipped(word: int, n: int, rng: np.random.Generator) -> int:
    """The word with n of its bits turned."""
    for bit in rng.choice(64, n, replace=False).tolist():
        word ^= 1 << bit
    return word


def signed(words: list[int]) -> Ints:
    return np.array(words, np.uint64).view(np.int64)


def family(rng: np.random.Generator, n: int, turned: int) -> tuple[Ints, Ints]:
    """Hashes of n pictures around a few, with up to `turned` bits turned."""
    roots = [int(word) for word in rng.integers(0, WORD, max(n // 8, 1), dtype=np.uint64)]
    picks = [roots[at] for at in rng.integers(0, len(roots), n)]
    one, other = ([flipped(word, int(rng.integers(0, turned + 1)), rng) for word in picks] for _ in range(2))
    return signed(one), signed(other)


@given(st.integers(0, 2**32), st.integers(0, 60), st.integers(0, 10), st.integers(0, 20))
def test_the_pairs_are_those_of_the_definition(seed: int, n: int, bits: int, confirm_bits: int) -> None:
    rng = np.random.default_rng(seed)
    phash, dhash = family(rng, n, 6)
    near = near_duplicates(phash, dhash, bits=bits, confirm_bits=confirm_bits)
    assert listed(near) == slow(phash, dhash, bits, confirm_bits)


@pytest.mark.parametrize("bits", [0, 3, 6])
def test_masks_find_what_the_definition_finds(bits: int) -> None:
    """Many pictures far apart, so that masks are cheaper than comparing all with all."""
    rng = np.random.default_rng(bits)
    far = rng.integers(0, WORD, 20_000, dtype=np.uint64).view(np.int64)
    phash, dhash = family(rng, 200, 4)
    both = (np.concatenate([far, phash]), np.concatenate([far, dhash]))
    words = [column.view(np.uint64) for column in both]
    none, apart = np.zeros(20_200, int), np.zeros((1, 1), bool)
    search = duplicates._Search(words[0], words[1], none, apart, bits, 8, np.arange(20_200), none > 0)
    assert len(search._masks()) > 1 or bits == 0
    found = {(i - 20_000, j - 20_000) for i, j in listed(near_duplicates(*both, bits=bits, confirm_bits=8))}
    assert found == set(slow(phash, dhash, bits, 8))


@given(st.integers(0, 2**32), st.integers(0, 12), st.integers(1, 6))
def test_two_hashes_within_some_bits_agree_under_a_mask(seed: int, bits: int, more: int) -> None:
    rng = np.random.default_rng(seed)
    word = int(rng.integers(0, WORD, dtype=np.uint64))
    other = flipped(word, bits, rng)
    assert any(word & mask == other & mask for mask in block_masks(bits, bits + more))


def test_groups_are_not_chains() -> None:
    """A near B and B near C, A far from C: each is told of its own neighbours, and nobody is taken by a far one."""
    a, b, c = 0, 0b1111, 0b11111111
    near = near_duplicates(signed([a, b, c]), signed([0, 0, 0]), bits=4, confirm_bits=0)
    assert distances(near, 0) == [(1, 4)]
    assert distances(near, 1) == [(0, 4), (2, 4)]
    assert distances(near, 2) == [(1, 4)]
    assert near.kept.tolist() == [0, 0, 2]


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(0, 8))
def test_every_picture_is_near_the_one_that_is_kept_and_kept_ones_are_not_near_each_other(
    seed: int, n: int, bits: int
) -> None:
    phash, dhash = family(np.random.default_rng(seed), n, 5)
    kept = near_duplicates(phash, dhash, bits=bits, confirm_bits=10).kept.tolist()
    pairs = slow(phash, dhash, bits, 10)
    for picture, keeper in enumerate(kept):
        assert keeper == picture or (keeper, picture) in pairs or (picture, keeper) in pairs
        assert kept[keeper] == keeper
    keepers = set(kept)
    assert not any(i in keepers and j in keepers for i, j in pairs)


def test_nearest_come_first() -> None:
    near = near_duplicates(signed([0, 0b111, 0b1, 0]), signed([0] * 4), bits=3, confirm_bits=0)
    assert distances(near, 0) == [(3, 0), (2, 1), (1, 3)]
    assert near.having_near().tolist() == [0, 1, 2, 3]


def test_equal_phash_is_not_enough_where_dhash_disagrees() -> None:
    near = near_duplicates(signed([7, 7]), signed([0, 0b11]), bits=0, confirm_bits=1)
    assert near.having_near().tolist() == []


def test_no_pictures_and_one_picture_have_no_copies() -> None:
    for n in (0, 1):
        near = near_duplicates(signed([5] * n), signed([5] * n), bits=6, confirm_bits=6)
        assert near.having_near().tolist() == []
        assert near.kept.tolist() == list(range(n))


SIDES = np.array([[False, True], [True, False]])


@pytest.mark.parametrize("crowd", [0, 256])
@given(seed=st.integers(0, 2**32), n=st.integers(2, 80))
def test_even_in_a_crowd_who_has_a_near_one_is_told_of_one_and_of_one_across_sides(
    crowd: int, seed: int, n: int
) -> None:
    rng = np.random.default_rng(seed)
    phash, dhash = family(rng, n, 5)
    sides = rng.integers(0, 2, n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "CROWD", crowd)
        patch.setattr(duplicates, "BLOCK", 4)
        patch.setattr(duplicates, "KEPT", 2)
        near = near_duplicates(phash, dhash, bits=5, confirm_bits=8, sides=sides, apart=SIDES)
    pairs = slow(phash, dhash, 5, 8)
    assert listed(near).items() <= pairs.items()
    assert set(near.having_near().tolist()) == {picture for pair in pairs for picture in pair}
    across = {pair for pair in pairs if sides[pair[0]] != sides[pair[1]]}
    assert {picture for pair in listed(near, across=True) for picture in pair} == {p for pair in across for p in pair}
    assert set(listed(near, across=True)) <= across
    for picture, keeper in enumerate(near.kept.tolist()):
        assert keeper == picture or (min(keeper, picture), max(keeper, picture)) in pairs


@pytest.mark.parametrize("kind", ["equal", "close", "few bits"])
def test_fifty_thousand_that_look_alike_do_not_make_a_billion_pairs(kind: str) -> None:
    rng = np.random.default_rng(1)
    n = 20_000 if kind == "few bits" else 50_000
    spread: npt.NDArray[np.uint64] = np.zeros((n, 16), np.uint64)
    if kind == "close":  # three bits of 64 turned
        spread[:, :3] = rng.integers(0, 64, (n, 3), dtype=np.uint64)
        phash = (np.uint64(1) << spread[:, :3]).sum(axis=1).view(np.int64)
    elif kind == "few bits":  # only every fourth bit ever differs
        spread = rng.integers(0, 2, (n, 16), dtype=np.uint64)
        phash = (spread << np.arange(0, 64, 4, dtype=np.uint64)).sum(axis=1).view(np.int64)
    else:
        phash = np.zeros(n, np.int64)
    start = time.monotonic()
    near = near_duplicates(phash, phash, bits=6, confirm_bits=12, sides=np.arange(n) % 2, apart=SIDES)
    assert len(near.pairs.first) < 100 * n
    assert len(near.having_near()) == n
    assert all(next(near.near(picture, across=True), None) for picture in range(0, n, 997))
    assert time.monotonic() - start < 30  # 1.25 billion pairs would take minutes


@pytest.mark.parametrize("crowd", [0, 256])
@given(seed=st.integers(0, 2**32), n=st.integers(0, 60))
def test_mirror_images_are_found_as_the_definition_finds_them(crowd: int, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    phash, dhash = family(rng, n, 5)
    if n > 3:
        phash[1], dhash[1] = ~phash[0], ~dhash[0]
    none = np.zeros(n, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "CROWD", crowd)
        patch.setattr(duplicates, "KEPT", 100)
        # Here a mirror image has all bits turned.
        found = near_hashes((phash, dhash), (~phash, ~dhash), 5, 8, none, np.zeros((1, 1), np.bool_))
    looks = [(int(phash[at]), int(dhash[at])) for at in found.first]
    direct = {
        (i, j): (differ(a[0], b[0]), False)
        for i, a in enumerate(looks)
        for j, b in enumerate(looks[i + 1 :], i + 1)
        if differ(a[0], b[0]) <= 5 and differ(a[1], b[1]) <= 8
    }
    turned = {
        (i, j): (differ(a[0], ~b[0]), True)
        for i, a in enumerate(looks)
        for j, b in enumerate(looks[i + 1 :], i + 1)
        if differ(a[0], ~b[0]) <= 5 and differ(a[1], ~b[1]) <= 8
    }
    p = found.pairs
    listed = {
        (a, b): (d, m)
        for a, b, d, m in zip(p.first.tolist(), p.second.tolist(), p.bits.tolist(), p.mirrored.tolist(), strict=True)
    }
    expected = turned | direct
    if crowd:
        assert listed == expected
    else:  # crowds don't list every pair, but everyone who has one
        assert listed.keys() <= expected.keys()
        assert {look for pair in listed for look in pair} == {look for pair in expected for look in pair}
