"""Pictures as arrays of one size, a batch at a time: what is held is the batch, not the dataset."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.pipeline.core.decode import Limits, Rejected, decode

Pixels = npt.NDArray[np.uint8]
Item = TypeVar("Item")


@dataclass(frozen=True)
class PictureBatch:
    """`ids` of pictures and their `pixels` (n, side, side, 3) RGB; `rejected` are those that could not be decoded."""

    ids: tuple[str, ...]
    pixels: Pixels
    rejected: tuple[tuple[str, Rejected], ...] = ()


def square(pixels: Pixels, side_px: int) -> Pixels:
    """(H, W, 3) → (side, side, 3). The whole picture, squeezed: what a crop cuts off may be what the label names.

    Shrinking averages over areas, so that fine texture does not turn into noise; growing is bilinear.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (side_px, side_px):
        return pixels
    method = cv2.INTER_AREA if min(height, width) > side_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (side_px, side_px), interpolation=method), np.uint8)


def read(data: bytes, side_px: int, limits: Limits) -> Pixels | Rejected:
    """The picture in `data` as (side, side, 3), or why not."""
    outcome = decode(data, limits, min_side_px=side_px)
    return outcome if isinstance(outcome, Rejected) else square(outcome.pixels, side_px)


def picture_batches(
    pictures: Iterable[tuple[str, bytes]], side_px: int, size: int, limits: Limits, threads: int = 1
) -> Iterator[PictureBatch]:
    """Batches of up to `size` of a stream of (id, bytes), in order; the next one is decoded while one is used."""

    def one(picture: tuple[str, bytes]) -> tuple[str, Pixels | Rejected]:
        return picture[0], read(picture[1], side_px, limits)

    with ThreadPoolExecutor(threads) as pool:
        for outcomes in _ahead(pool, one, chunks(pictures, size)):
            kept = [(name, got) for name, got in outcomes if not isinstance(got, Rejected)]
            pixels = np.stack([got for _, got in kept]) if kept else np.empty((0, side_px, side_px, 3), np.uint8)
            rejected = tuple((name, got) for name, got in outcomes if isinstance(got, Rejected))
            yield PictureBatch(tuple(name for name, _ in kept), pixels, rejected)


def _ahead(
    pool: ThreadPoolExecutor,
    one: Callable[[tuple[str, bytes]], tuple[str, Pixels | Rejected]],
    parts: Iterator[list[tuple[str, bytes]]],
) -> Iterator[list[tuple[str, Pixels | Rejected]]]:
    waiting = [pool.submit(one, picture) for picture in next(parts, [])]
    while waiting:
        coming = [pool.submit(one, picture) for picture in next(parts, [])]
        yield [future.result() for future in waiting]
        waiting = coming


def chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of up to `size` items, in order.

    >>> list(chunks("abc", 2))
    [['a', 'b'], ['c']]
    """
    stream = iter(items)
    while part := list(islice(stream, size)):
        yield part


def spans(n: int, size: int) -> Sequence[slice]:
    """Slices of up to `size` that cover n rows.

    >>> spans(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]
