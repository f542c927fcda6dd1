"""Perceptual hashes: 64 bits in which pictures that look alike differ little.

Hashes are kept as signed 64-bit integers, since tables know no unsigned ones; the bit pattern is what counts. The
first bit (top left, row by row) is the most significant.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Gray = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.int64]

SMALL_PX = 32
# The first eight rows of the matrix of the DCT-II: all that a hash needs, eight times as fast as the whole transform.
_LOW_DCT = np.cos(np.pi * (2 * np.arange(SMALL_PX) + 1) * np.arange(8)[:, None] / (2 * SMALL_PX)).astype(np.float32)
# Mirroring a picture negates the odd columns of its DCT, and so flips their bits.
_ODD_COLUMNS = np.int64(0x5555555555555555)
_BACKWARDS = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


def _packed(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)


def small(luma: Gray) -> Gray:
    """The 32 x 32 pixels (area averages) of a gray picture (H, W) that both hashes are made of."""
    if luma.shape == (SMALL_PX, SMALL_PX):
        return luma
    # Area averaging is for shrinking; a side that grows is interpolated.
    shrinks = min(luma.shape) >= SMALL_PX
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(luma, (SMALL_PX, SMALL_PX), interpolation=how)  # type: ignore[return-value]


def phash(small: Gray) -> int:
    """Perceptual hash of `small(luma)` (32, 32): which of its 8 x 8 lowest frequencies lie above their median.

    Source: Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", as in the library
    imagehash, which shrinks with a Lanczos filter where we average, so that a few bits differ.
    """
    low = (_LOW_DCT @ small.astype(np.float32) @ _LOW_DCT.T).ravel()
    return _packed(low > np.sort(low)[31])  # above the 32 smallest of 64 is above the median


def dhash(small: Gray) -> int:
    """Difference hash of `small(luma)` (32, 32): in 8 rows of 9 pixels, which are brighter than their left neighbor.

    Source: Krawetz 2013, "Kind of like that".
    """
    tiny = cv2.resize(small, (9, 8), interpolation=cv2.INTER_AREA)
    return _packed(tiny[:, 1:] > tiny[:, :-1])


def hamming(one: "npt.NDArray[Any] | int", other: "npt.NDArray[Any] | int") -> npt.NDArray[np.uint8]:
    """In how many of 64 bits hashes differ, element by element; arrays of int64 broadcast.

    >>> int(hamming(0, -1)), hamming(np.array([1, 3]), np.array([[1], [2]])).tolist()
    (64, [[0, 1], [2, 1]])
    """
    return np.bitwise_count(np.bitwise_xor(np.asarray(one, np.int64), np.asarray(other, np.int64)).view(np.uint64))


def mirrored(phashes: Hashes) -> Hashes:
    """About the pHashes of the pictures seen in a mirror (left and right swapped); some bits at the median may differ."""
    return np.bitwise_xor(np.asarray(phashes, np.int64), _ODD_COLUMNS)


def mirrored_dhash(dhashes: Hashes) -> Hashes:
    """About the dHashes of the pictures seen in a mirror: each row backwards, brighter for darker; ties may differ."""
    rows = np.ascontiguousarray(dhashes, np.int64).view(np.uint8)
    return (~_BACKWARDS[rows]).view(np.int64)
