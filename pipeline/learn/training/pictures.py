"""Where a fit takes its pictures from, epoch by epoch: held on the device as uint8 where they fit."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Order = Callable[[int], Tensor]  # epoch → rows in the order of that epoch


class Pictures(Protocol):
    """What a fit goes through. `steps`: batches in an epoch."""

    steps: int

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(rows (n,) on the CPU, pictures (n, 3, side, side) uint8 on the device, channels-last) of one epoch."""
        ...


def shuffled(rows: Tensor, seed: int) -> Order:
    """All of `rows` (n,) in another order each epoch, which follows from the seed and the epoch alone."""

    def order(epoch: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        return rows[torch.randperm(len(rows), generator=rng)]

    return order


class Held:
    """Pictures (N, side, side, 3) that fit on the device: nothing is read or copied while a net is fitted."""

    def __init__(self, pixels: npt.NDArray[np.uint8], order: Order, batch: int, where: torch.device) -> None:
        self.all = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(where)  # channels-last in memory as it is
        self.order, self.batch = order, batch
        self.steps = len(order(0)) // batch or 1

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Pictures`. Of an order that batches don't divide, the rest waits for another epoch's order."""
        rows = self.order(epoch)
        for part in rows[: max(self.steps * self.batch, len(rows) if self.steps == 1 else 0)].split(self.batch):  # type: ignore[no-untyped-call]
            yield part, self.all[part.to(self.all.device)]
