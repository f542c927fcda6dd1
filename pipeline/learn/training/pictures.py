"""Where a fit takes its pictures from, epoch by epoch: held on the device as uint8 where they fit, else `streamed.py`."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from secondlook.pipeline.learn.training.distributed import ALONE, Group

Order = Callable[[int], Tensor]  # epoch → rows in the order of that epoch


class Pictures(Protocol):
    """What a fit goes through."""

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        ...

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """(rows (n,) on the CPU, pictures (n, 3, side, side) uint8 on the device, channels-last) of one epoch.

        Of several processes each yields all rows of a batch, and only its own share of the pictures: `Group.part`.
        """
        ...


def shuffled(rows: Tensor, seed: int) -> Order:
    """All of `rows` (n,) in another order each epoch, which follows from the seed and the epoch alone."""

    def order(epoch: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        return rows[torch.randperm(len(rows), generator=rng)]

    return order


def in_batches(rows: Tensor, batch: int) -> tuple[Tensor, ...]:
    """Rows in the order of an epoch, cut into whole batches: what is left over waits for another epoch's order. Where there
    are too few for one, all of them are one."""
    whole = len(rows) // batch * batch or len(rows)
    return rows[:whole].split(batch)  # type: ignore[no-untyped-call, no-any-return]


class Held:
    """Pictures (N, side, side, 3) that fit on the device: nothing is read or copied while a net is fitted."""

    def __init__(
        self, pixels: npt.NDArray[np.uint8], order: Order, batch: int, where: torch.device, group: Group = ALONE
    ) -> None:
        self.all = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(where)  # channels-last in memory as it is
        self.order, self.batch, self.group = order, batch, group
        self.steps = len(order(0)) // batch or 1

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Pictures`."""
        rows = self.order(epoch)
        if self.all.is_cuda:
            rows = rows.pin_memory()  # so that no step waits until the GPU is done with the one before
        for part in in_batches(rows, self.batch):
            yield part, self.all[part[self.group.part].to(self.all.device, non_blocking=True)]
