"""Where nets that learn from pictures themselves take them from: memory, or a stream that is decoded anew each epoch."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from secondlook.pipeline.learn.batches import spans
from secondlook.pipeline.learn.training.pictures import Held, Pictures, shuffled
from secondlook.pipeline.learn.training.streamed import Decode, Parts, Streamed

Pixels = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

BLOCK = 512  # pictures that are asked about at once


class Source(Protocol):
    """N pictures, by their number. `len` is N."""

    def __len__(self) -> int: ...

    def shown(self, rows: Ints, seed: int, batch: int, where: torch.device) -> Pictures:
        """The pictures `rows` (n,) for a fit, in an order of each epoch that follows from the seed."""
        ...

    def blocks(self, rows: Ints) -> Iterator[tuple[Ints, Pixels]]:
        """All pictures of `rows` (n,) some at a time: their places in `rows`, and pixels (m, side, side, 3)."""
        ...


@dataclass(frozen=True)
class InMemory:
    """Pixels (N, side, side, 3), which a fit puts on the device."""

    pixels: Pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def shown(self, rows: Ints, seed: int, batch: int, where: torch.device) -> Pictures:
        """See `Source`."""
        return Held(self.pixels, shuffled(torch.from_numpy(rows), seed), batch, where)

    def blocks(self, rows: Ints) -> Iterator[tuple[Ints, Pixels]]:
        """See `Source`."""
        for part in spans(len(rows), BLOCK):
            yield np.arange(part.start, part.stop), self.pixels[rows[part]]


@dataclass(frozen=True)
class FromParts:
    """Encoded pictures in parts. `row_of` (N,): the row of each picture through the parts; `threads`: that decode."""

    parts: Parts
    decode: Decode
    row_of: Ints
    threads: int = 4

    def __len__(self) -> int:
        return len(self.row_of)

    def shown(self, rows: Ints, seed: int, batch: int, where: torch.device) -> Pictures:
        """See `Source`."""
        wanted = torch.from_numpy(np.sort(self.row_of[rows]))
        stream = Streamed(self.parts, self.decode, batch, seed, where, rows=wanted, threads=self.threads)
        number = np.full(sum(self.parts.sizes), -1, np.int64)
        number[self.row_of[rows]] = rows
        return _Numbered(stream, torch.from_numpy(number))

    def blocks(self, rows: Ints) -> Iterator[tuple[Ints, Pixels]]:
        """See `Source`."""
        order = np.argsort(self.row_of[rows], kind="stable")
        at = self.row_of[rows][order]
        ends = np.cumsum(self.parts.sizes)
        cuts = np.searchsorted(at, [0, *ends])
        with ThreadPoolExecutor(self.threads) as decoders:
            for part, (first, last) in enumerate(pairwise(cuts.tolist())):
                data = self.parts.read(part) if last > first else ()
                start = int(ends[part]) - self.parts.sizes[part]
                for some in spans(last - first, BLOCK):
                    here = slice(first + some.start, first + some.stop)
                    pixels = list(decoders.map(self.decode, (data[row - start] for row in at[here].tolist())))
                    yield order[here], np.stack(pixels)


class _Numbered:
    """Pictures of a stream by their own numbers (R,), not by their rows through the parts."""

    def __init__(self, stream: Streamed, number: Tensor) -> None:
        self.stream, self.number, self.steps = stream, number, stream.steps

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Pictures`."""
        for rows, pictures in self.stream.batches(epoch):
            yield self.number[rows], pictures
