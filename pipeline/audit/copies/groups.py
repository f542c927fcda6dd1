"""SL202, SL203: pictures that look the same as groups around one to keep, and whom each of them is near to."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]

HASH_BITS = 64


class Pairs(NamedTuple):
    """Near pairs of looks: `first` < `second` (p,), and how they were found, each (p,).

    `bits`: in how many bits their pHashes differ, of the mirrored picture's where `mirrored`. `cosine`: of their
    embeddings, NaN where that was not asked. `match`: how far their pixels correlate, NaN where nobody compared them.
    """

    first: Ints
    second: Ints
    bits: Ints
    mirrored: Flags
    cosine: Reals
    match: Reals

    def closeness(self) -> npt.NDArray[np.float64]:
        """How near, in 0..1: by the pixels, else by the bits."""
        by_bits = 1 - self.bits / HASH_BITS
        return np.where(np.isnan(self.match), by_bits, self.match).astype(np.float64)

    def chosen(self, which: Ints | Flags) -> "Pairs":
        """Some of the pairs."""
        return Pairs(
            self.first[which],
            self.second[which],
            self.bits[which],
            self.mirrored[which],
            self.cosine[which],
            self.match[which],
        )

    def beside(self, others: "Pairs") -> "Pairs":
        """These pairs and others."""
        return Pairs(
            np.concatenate([self.first, others.first]),
            np.concatenate([self.second, others.second]),
            np.concatenate([self.bits, others.bits]),
            np.concatenate([self.mirrored, others.mirrored]),
            np.concatenate([self.cosine, others.cosine]),
            np.concatenate([self.match, others.match]),
        )


class Near(NamedTuple):
    """What one picture has with another: see Pairs; `closeness` in 0..1. Equal hashes are 0 bits apart."""

    bits: int
    mirrored: bool = False
    cosine: float | None = None
    match: float | None = None
    closeness: float = 1.0


SAME_HASHES = Near(0)


@dataclass(frozen=True)
class NearDuplicates:
    """Which of n pictures look the same.

    Pictures with equal hashes and equal side are one `look`: `look` (n,) numbers them in the order of their first
    picture, and `pairs` are near pairs of looks. `kept` (n,) is the picture to keep instead of this one: itself, or
    one that it is near to. Every picture that has a near one has a pair here, and one across sides where there is such;
    but in crowds of more than CROWD hashes not every pair is listed.
    """

    look: Ints
    kept: Ints
    pairs: Pairs
    _members: tuple[Ints, Ints]  # pictures by look, and where each look starts among them
    _near: tuple[Ints, Ints, Ints]  # both directions of the pairs by look: starts, the other look, number of the pair
    _sides: Ints  # side of each look
    _apart: Flags

    def near(self, picture: int, *, across: bool = False) -> Iterator[tuple[int, Near]]:
        """The other pictures that are near this one, nearest first; only those across sides."""
        look = int(self.look[picture])
        side = self._sides[look]
        if not across or self._apart[side, side]:
            for other in self._pictures(look):
                if other != picture:
                    yield other, SAME_HASHES
        starts, others, pair = self._near
        for at in range(starts[look], starts[look + 1]):
            if not across or self._apart[side, self._sides[others[at]]]:
                how = self._how(int(pair[at]))
                for other in self._pictures(int(others[at])):
                    yield other, how

    def having_near(self) -> Ints:
        """The pictures that have a near one, in order."""
        shared = np.diff(self._members[1]) > 1
        shared[np.concatenate([self.pairs.first, self.pairs.second])] = True
        return np.flatnonzero(shared[self.look])

    def _pictures(self, look: int) -> list[int]:
        pictures, starts = self._members
        return pictures[starts[look] : starts[look + 1]].tolist()  # type: ignore[no-any-return]

    def _how(self, pair: int) -> Near:
        cosine, match = float(self.pairs.cosine[pair]), float(self.pairs.match[pair])
        bits = int(self.pairs.bits[pair])
        return Near(
            bits,
            bool(self.pairs.mirrored[pair]),
            None if np.isnan(cosine) else cosine,
            None if np.isnan(match) else match,
            1 - bits / HASH_BITS if np.isnan(match) else match,
        )


def grouped(look: Ints, first: Ints, pairs: Pairs, sides: Ints, apart: Flags) -> NearDuplicates:
    """Groups of pictures from near pairs of their looks.

    `look` (n,): each picture's; `first` (L,): the first picture of each look; `sides` (L,), `apart` (S, S): see
    near_duplicates. The order of the looks decides which one of a group is kept.
    """
    starts = np.concatenate([[0], np.cumsum(np.bincount(look, minlength=len(first)))]).astype(np.int64)
    near = _by_look(pairs, len(first))
    kept = first[_stars(near[0], near[1])][look]
    return NearDuplicates(look, kept, pairs, (np.argsort(look, kind="stable"), starts), near, sides, apart)


def _by_look(pairs: Pairs, n: int) -> tuple[Ints, Ints, Ints]:
    one, other = np.concatenate([pairs.first, pairs.second]), np.concatenate([pairs.second, pairs.first])
    pair = np.tile(np.arange(len(pairs.first)), 2)
    order = np.lexsort((other, -pairs.closeness()[pair], one))
    starts = np.concatenate([[0], np.cumsum(np.bincount(one, minlength=n))]).astype(np.int64)
    return starts, other[order], pair[order]


def _stars(starts: Ints, others: Ints) -> Ints:
    """Each look's kept one: in order, who is not taken yet is kept and takes all that are near and not taken yet."""
    kept = np.full(len(starts) - 1, -1, np.int64)
    for one in np.flatnonzero(np.diff(starts)).tolist():
        if kept[one] < 0:
            near = others[starts[one] : starts[one + 1]]
            kept[one] = one
            kept[near[kept[near] < 0]] = one
    alone = kept < 0
    kept[alone] = np.flatnonzero(alone)
    return kept
