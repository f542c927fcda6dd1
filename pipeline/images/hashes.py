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

PHASH_PX = 32
# Mirroring a picture negates the odd columns of its DCT, and so flips their bits.
_ODD_COLUMNS = np.int64(0x5555555555555555)


def _packed(bits: npt.NDArray[np.bool_]) -> int:
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)


def phash(luma: Gray) -> int:
    """Perceptual hash of a gray picture (H, W): which of its 8 x 8 lowest frequencies lie above their median.

    Area-averaged to 32 x 32, DCT-II, as in Zauner 2010, "Implementation and benchmarking of perceptual image hash
    functions", and in the library imagehash (which resizes with a Lanczos filter; few bits differ).
    """
    small = luma if luma.shape == (PHASH_PX, PHASH_PX) else _resized(luma, PHASH_PX, PHASH_PX)
    low = cv2.dct(small.astype(np.float32))[:8, :8].ravel()
    ordered = np.partition(low, (31, 32))
    return _packed(low > (ordered[31] + ordered[32]) / 2)


def dhash(luma: Gray) -> int:
    """Difference hash of a gray picture (H, W): in 8 rows of 9 pixels, which are brighter than their left neighbor.

    Source: Krawetz 2013, "Kind of like that".
    """
    small = _resized(luma, 9, 8)
    return _packed(small[:, 1:] > small[:, :-1])


def _resized(luma: Gray, width: int, height: int) -> Gray:
    # Area averaging is for shrinking; a side that grows is interpolated.
    shrinks = luma.shape[0] >= height and luma.shape[1] >= width
    return cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)  # type: ignore[return-value]


def hamming(one: "npt.NDArray[Any] | int", other: "npt.NDArray[Any] | int") -> npt.NDArray[np.uint8]:
    """In how many of 64 bits hashes differ, element by element; arrays of int64 broadcast.

    >>> int(hamming(0, -1)), hamming(np.array([1, 3]), np.array([[1], [2]])).tolist()
    (64, [[0, 1], [2, 1]])
    """
    return np.bitwise_count(np.bitwise_xor(np.asarray(one, np.int64), np.asarray(other, np.int64)).view(np.uint64))


def mirrored(phashes: Hashes) -> Hashes:
    """About the pHashes of the pictures seen in a mirror (left and right swapped); some bits at the median may differ."""
    return np.bitwise_xor(np.asarray(phashes, np.int64), _ODD_COLUMNS)
