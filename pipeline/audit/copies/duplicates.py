"""SL202, SL203: pictures that look the same, by two perceptual hashes of 64 bits, without comparing all with all.

Two pictures are near where their pHash differs in at most `bits` and their dHash in at most `confirm_bits`.
The search is that of Manku, Jain, Das Sarma (2007), "Detecting Near-Duplicates for Web Crawling": cut the 64 bits into
m blocks; hashes that differ in r bits agree on at least m - r of the blocks, so sorting once for each choice of m - r
blocks brings every near pair together.
"""

from itertools import combinations, pairwise
from math import comb
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.copies.groups import HASH_BITS, Flags, Ints, NearDuplicates, Pairs, grouped

Hashes = npt.NDArray[np.uint64]

CROWD = 256  # hashes with equal blocks up to which all pairs are looked at
BLOCK = 64  # hashes of a crowd that are compared with all of it at once
KEPT = 16  # near hashes of one that a crowd keeps: enough to show, and n copies never make n² pairs


class NearHashes(NamedTuple):
    """Looks of n pictures, those with equal hashes and equal side: `look` (n,), `first` (L,) picture of each; their pairs."""

    look: Ints
    first: Ints
    pairs: Pairs


def near_duplicates(
    phash: Ints,
    dhash: Ints,
    *,
    bits: int,
    confirm_bits: int,
    mirrored: tuple[Ints, Ints] | None = None,
    sides: Ints | None = None,
    apart: Flags | None = None,
) -> NearDuplicates:
    """Find the pictures that look the same, by their hashes alone.

    `phash`, `dhash`: (n,) 64-bit hashes as signed integers, of pictures with enough information to have a hash.
    `mirrored`: both hashes of their mirror images, to find mirrored copies, too.
    `sides`: (n,) which side a picture is on, such as a code of its splits; `apart`: (S, S) symmetric, whether two sides
    are different splits. Near pairs across sides are then found even in crowds. The order of the pictures decides which
    one of a group is kept.
    """
    sides = np.zeros(len(phash), np.int64) if sides is None else sides
    apart = np.zeros((int(sides.max(initial=0)) + 1,) * 2, np.bool_) if apart is None else apart
    look, first, pairs = near_hashes((phash, dhash), mirrored, bits, confirm_bits, sides, apart)
    return grouped(look, first, pairs, sides[first], apart)


def near_hashes(
    hashes: tuple[Ints, Ints],
    mirrored: tuple[Ints, Ints] | None,
    bits: int,
    confirm_bits: int,
    sides: Ints,
    apart: Flags,
) -> NearHashes:
    """Near pairs by pHash and dHash, each (n,); with the `mirrored` pictures' hashes, also of one with another's mirror image."""
    first, look = _looks(*hashes, sides)
    words = [column[first].view(np.uint64) for column in hashes]
    if mirrored is not None:
        words = [
            np.concatenate([word, turned[first].view(np.uint64)]) for word, turned in zip(words, mirrored, strict=True)
        ]
    times = 1 if mirrored is None else 2
    turned = np.repeat(np.array([False, True])[:times], len(first))
    number = np.tile(np.arange(len(first)), times)
    search = _Search(words[0], words[1], np.tile(sides[first], times), apart, bits, confirm_bits, number, turned)
    return NearHashes(look, first, search.run())


def bands(bits: int, n: int) -> list[int]:
    """Masks under which n spread hashes meet with least work where each has to be sent to each of them: see having_near."""
    best, least = block_masks(bits, bits + 1), np.inf
    for blocks in range(bits + 1, bits + 5):
        tables = comb(blocks, bits)
        met = n * n / 2 / 2.0 ** (HASH_BITS * (blocks - bits) / blocks)
        cost = tables * (n * 1000.0 + met * 10.0)  # ns
        if cost < least:
            best, least = block_masks(bits, blocks), cost
    return best


def having_near(
    keys: tuple[Ints, Ints], hashes: tuple[Ints, Ints], look: Ints, turned: Flags, bits: int, confirm_bits: int
) -> Ints:
    """Of hashes (n,) that may meet where both `keys` (n,) are equal: the numbers of looks that have a near one.

    `look` (n,): whose hashes these are; `turned` (n,): whether they are its mirror image's.
    """
    words = [column.view(np.uint64) for column in hashes]
    none = np.zeros(len(look), np.int64)
    search = _Search(words[0], words[1], none, np.zeros((1, 1), np.bool_), bits, confirm_bits, look, turned)
    order = np.lexsort(keys)
    new = np.ones(len(order), np.bool_)
    for key in keys:
        values = key[order]
        new[1:] &= values[1:] == values[:-1]
    new[1:] = ~new[1:]
    search.along(order, np.flatnonzero(new))
    return np.unique(look[search.has_near])


def _looks(*columns: Ints) -> tuple[Ints, Ints]:
    """Distinct rows in the order of their first picture: (first picture of each, (n,) number of each picture's)."""
    order = np.lexsort(columns)
    new = np.ones(len(order), np.bool_)
    for column in columns:
        values = column[order]
        new[1:] &= values[1:] == values[:-1]
    new[1:] = ~new[1:]
    number = np.cumsum(new) - 1
    first = order[new]  # lexsort is stable: the first of equal rows is the first picture
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    look = np.empty(len(order), np.int64)
    look[order] = rank[number]
    return np.sort(first).astype(np.int64), look


def block_masks(bits: int, blocks: int) -> list[int]:
    """Masks of all choices of `blocks - bits` of the blocks: hashes within `bits` bits agree under at least one.

    >>> [f"{mask:016x}" for mask in block_masks(1, 2)]
    ['00000000ffffffff', 'ffffffff00000000']
    """
    edges = [round(HASH_BITS * at / blocks) for at in range(blocks + 1)]
    parts = [((1 << stop) - 1) ^ ((1 << start) - 1) for start, stop in pairwise(edges)]
    return [sum(choice) for choice in combinations(parts, blocks - bits)]


class _Search:
    """One search over distinct looks; it remembers who has a near one already, so that crowds cost little.

    `look` (n,) says whose hashes these are, `turned` (n,) whether they are its mirror image's.
    """

    def __init__(
        self,
        phash: Hashes,
        dhash: Hashes,
        sides: Ints,
        apart: Flags,
        bits: int,
        confirm_bits: int,
        look: Ints,
        turned: Flags,
    ) -> None:
        self.phash, self.dhash, self.sides, self.apart = phash, dhash, sides, apart
        self.bits, self.confirm_bits = bits, confirm_bits
        self.look, self.turned, self.mirrors = look, turned, bool(turned.any())
        self.has_near = np.zeros(len(phash), np.bool_)
        self.has_across = np.zeros(len(phash), np.bool_)
        self.found: list[Ints] = [np.empty(0, np.int64)]  # pairs as first * n + second

    def run(self) -> Pairs:
        n = len(self.phash)
        for mask in self._masks():
            keys = self.phash & np.uint64(mask)
            order = np.argsort(keys, kind="stable").astype(np.int64)
            ordered = keys[order]
            self.along(order, np.flatnonzero(np.concatenate([[True] * (n > 0), ordered[1:] != ordered[:-1]])))
        return self._pairs(*np.divmod(self.found[0], max(n, 1)))

    def along(self, order: Ints, starts: Ints) -> None:
        """Compare within each run of `order`; runs begin at `starts`."""
        stops = np.append(starts[1:], len(order))[: len(starts)]
        crowded = stops - starts > CROWD
        self._all_pairs(order, starts[~crowded], stops[~crowded])
        for start, stop in zip(starts[crowded].tolist(), stops[crowded].tolist(), strict=True):
            self._crowd(np.sort(order[start:stop]))
        self.found = [np.unique(np.concatenate(self.found))]

    def _pairs(self, one: Ints, other: Ints) -> Pairs:
        """Pairs of looks, each once: as they are, where they are near so, else mirrored."""
        mirrored = self.turned[one] | self.turned[other]
        first, second = (side(self.look[one], self.look[other]) for side in (np.minimum, np.maximum))
        differ = np.bitwise_count(self.phash[one] ^ self.phash[other]).astype(np.int64)
        order = np.lexsort((differ, mirrored, second, first))
        new = np.ones(len(order), np.bool_)
        new[1:] = (np.diff(first[order]) != 0) | (np.diff(second[order]) != 0)
        chosen = order[new]
        unknown = np.full(len(chosen), np.nan, np.float32)
        return Pairs(first[chosen], second[chosen], differ[chosen], mirrored[chosen], unknown, unknown)

    def _masks(self) -> list[int]:
        """The masks that cost least on these hashes: few sorts, or few hashes that agree by chance."""
        n, best, least = len(self.phash), [0], 3.0 * len(self.phash) ** 2  # ns: no mask, all with all
        for blocks in range(self.bits + 1, min(self.bits + 5, HASH_BITS) + 1):
            tables = comb(blocks, self.bits)
            if tables * n * 100.0 > least:  # ns: sorting alone costs more
                break
            masks = block_masks(self.bits, blocks)
            tried = masks[:: max(1, len(masks) // 3)][:4]
            together = sum(self._together(mask) for mask in tried) / len(tried)
            cost = tables * (n * 100.0 + together * 10.0)
            if cost < least:
                best, least = masks, cost
        return best

    def _together(self, mask: int) -> float:
        counts = np.unique(self.phash & np.uint64(mask), return_counts=True)[1].astype(np.float64)
        return float((counts * (counts - 1)).sum() / 2)

    def _all_pairs(self, order: Ints, starts: Ints, stops: Ints) -> None:
        """All pairs of each run of `order`, one distance in the order after another: never more than n at a time."""
        sizes = stops - starts
        starts, stops, sizes = starts[sizes > 1], stops[sizes > 1], sizes[sizes > 1]
        at = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(starts, sizes)
        last = np.repeat(stops, sizes)
        for distance in range(1, int(sizes.max(initial=1))):
            inside = at + distance < last
            at, last = at[inside], last[inside]
            one, other = order[at], order[at + distance]
            close = self._close(one, other)
            self._take(one[close], other[close])

    def _close(self, one: Ints, other: Ints) -> Flags:
        close = np.bitwise_count(self.phash[one] ^ self.phash[other]) <= self.bits
        if self.mirrors:  # two mirror images say what their looks say, and one's own says nothing
            close &= ~(self.turned[one] & self.turned[other]) & (self.look[one] != self.look[other])
        if close.any():
            at = np.nonzero(close)
            one, other = (np.broadcast_to(side, close.shape)[at] for side in (one, other))
            close[at] = np.bitwise_count(self.dhash[one] ^ self.dhash[other]) <= self.confirm_bits
        return close  # type: ignore[no-any-return]

    def _take(self, one: Ints, other: Ints) -> None:
        if len(one):
            self.has_near[one] = self.has_near[other] = True
            across = self.apart[self.sides[one], self.sides[other]]
            for side in (one[across], other[across]):
                self.has_across[side] = True
            self.found.append(np.minimum(one, other) * len(self.phash) + np.maximum(one, other))

    def _crowd(self, members: Ints) -> None:
        """Many that agree under a mask: who has no near one yet is compared with all, until everyone has or is done."""
        self._sweep(members, members, self.has_near)
        for side in np.unique(self.sides[members]).tolist():
            beyond = members[self.apart[side, self.sides[members]]]
            within = members[self.sides[members] == side]
            if len(beyond) <= len(within):  # the smaller side goes through, the larger is compared
                self._sweep(beyond, within, self.has_across, lonely="across")
            else:
                self._sweep(within, beyond, self.has_across)

    def _sweep(self, left: Ints, right: Ints, has: Flags, lonely: str = "") -> None:
        """Compare blocks of `left` with `right`, skipping whom `has` says is done (of `right`, with `lonely`)."""
        for _ in range(0, len(left), 1):
            if lonely:
                right = right[~has[right]]
            else:
                left = left[~has[left]]
            if not len(left) or not len(right):
                return
            block, left = left[:BLOCK], left[BLOCK:]
            close = self._close(block[:, None], right[None, :]) & (block[:, None] != right[None, :])
            of_right = close & (np.cumsum(close, axis=0) == 1)  # for each of `right` one of the block
            of_block = close & (np.cumsum(close, axis=1) <= KEPT)
            one, other = np.nonzero(of_right | of_block)
            self._take(block[one], right[other])
