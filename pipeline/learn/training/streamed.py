"""Pictures that fit on no device: read in large parts, decoded ahead, in a random order, within a bounded memory.

A disk is fast where it reads megabytes in one go, and slow where it looks for files. So a whole part (a row group, a shard)
is read at once; a few parts, in a random order, make a window, and the pictures of a window are shuffled while they are
still encoded, ten times smaller than pixels. Threads decode the next batches while the net is busy with this one: decoders
let go of Python's lock. The order follows from the seed and the epoch alone, never from which thread was faster.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from secondlook.pipeline.learn.training.distributed import ALONE, Group
from secondlook.pipeline.learn.training.pictures import in_batches

Pixels = npt.NDArray[np.uint8]
Decode = Callable[[bytes], Pixels]  # an encoded picture → (side, side, 3)


class Parts(Protocol):
    """Encoded pictures in parts that are read at once. `sizes`: pictures in each part; a picture's row counts through them."""

    sizes: Sequence[int]

    def read(self, part: int) -> Sequence[bytes]:
        """All pictures of a part, in order; called from one thread."""
        ...


class Streamed:
    """Pictures for `fit`, read and decoded anew each epoch. At any time there are at most two windows of encoded pictures
    and `ahead` + 1 batches of decoded ones in memory.

    `rows` (n,), ascending: which pictures; None: all. `window`: parts that are shuffled together; the more, the nearer to a
    shuffle of all. `threads`: that decode. Of several processes each reads everything and decodes its share.
    """

    def __init__(
        self,
        parts: Parts,
        decode: Decode,
        batch: int,
        seed: int,
        where: torch.device,
        *,
        rows: Tensor | None = None,
        window: int = 16,
        ahead: int = 4,
        threads: int = 4,
        group: Group = ALONE,
    ) -> None:
        self.parts, self.decode, self.batch, self.seed, self.where = parts, decode, batch, seed, where
        self.window, self.ahead, self.threads, self.group = window, ahead, threads, group
        starts = np.concatenate([[0], np.cumsum(parts.sizes)]).astype(np.int64)
        self.starts = torch.from_numpy(starts)
        chosen = torch.arange(int(starts[-1])) if rows is None else rows.contiguous()
        self.rows = torch.tensor_split(chosen, torch.searchsorted(chosen, self.starts[1:-1]))
        self.steps = len(chosen) // batch or 1

    def windows(self, epoch: int) -> list[tuple[list[int], Tensor]]:
        """The parts of each window of an epoch, and its rows in their order."""
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        order = [part for part in torch.randperm(len(self.rows), generator=rng).tolist() if len(self.rows[part])]
        found = []
        for first in range(0, len(order), self.window):
            inside = order[first : first + self.window]
            rows = torch.cat([self.rows[part] for part in inside])
            found.append((inside, rows[torch.randperm(len(rows), generator=rng)]))
        return found

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Pictures`."""
        windows = self.windows(epoch)
        shown = in_batches(torch.cat([rows for _, rows in windows]), self.batch)
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(self.threads) as decoders:
            encoded = self._encoded(windows, reader)
            waiting: deque[tuple[Tensor, list[Future[Pixels]]]] = deque()
            try:
                for rows in shown:
                    taken = list(islice(encoded, len(rows)))
                    mine = [decoders.submit(self.decode, one) for one in taken[self.group.part]]
                    waiting.append((rows, mine))
                    if len(waiting) > self.ahead:
                        yield self._ready(*waiting.popleft())
                while waiting:
                    yield self._ready(*waiting.popleft())
            finally:  # who stops in the middle of an epoch waits for no more than what is being decoded
                reader.shutdown(wait=False, cancel_futures=True)
                decoders.shutdown(wait=False, cancel_futures=True)

    def _encoded(self, windows: Sequence[tuple[list[int], Tensor]], reader: ThreadPoolExecutor) -> Iterator[bytes]:
        """The encoded pictures in the order of the epoch; the next window is read while this one is used up."""
        coming: Future[dict[int, bytes]] | None = None
        for number in range(len(windows)):
            coming = coming or reader.submit(self._read, windows[number])
            there = coming.result()
            following = windows[number + 1 : number + 2]
            coming = reader.submit(self._read, following[0]) if following else None
            for row in windows[number][1].tolist():
                yield there.pop(row)

    def _read(self, window: tuple[list[int], Tensor]) -> dict[int, bytes]:
        """The wanted pictures of the parts of a window, by row."""
        found: dict[int, bytes] = {}
        for part in window[0]:
            data, start = self.parts.read(part), int(self.starts[part])
            found |= {row: data[row - start] for row in self.rows[part].tolist()}
        return found

    def _ready(self, rows: Tensor, decoded: Sequence[Future[Pixels]]) -> tuple[Tensor, Tensor]:
        pictures = torch.from_numpy(np.stack([one.result() for one in decoded])).permute(0, 3, 1, 2)
        if self.where.type == "cuda":  # so that the copy runs beside what the GPU is busy with
            rows, pictures = rows.pin_memory(), pictures.pin_memory()
        return rows, pictures.to(self.where, non_blocking=True)
