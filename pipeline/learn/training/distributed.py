"""Several processes that fit one net together, each on its share of every batch: torch's DistributedDataParallel.

All draw the same order and the same changes of pictures, and each takes every so-many-th picture of a batch. Losses are
weighed by how many pictures a process has, so that the gradient is that of the batch as one process would have it.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import UserError


@dataclass(frozen=True)
class Group:
    """`size` processes, of which this one has the number `rank`."""

    rank: int = 0
    size: int = 1

    @property
    def part(self) -> slice:
        """This process's share of the pictures of a batch."""
        return slice(self.rank, None, self.size)

    def weight(self, n: int) -> float:
        """What the mean loss of this process's share of n pictures counts, so that the mean over processes is that of all n.

        Raises UserError where there are fewer pictures than processes.
        """
        if n < self.size:
            raise UserError(f"a step of {n} pictures can't be shared by {self.size} processes; take fewer of them")
        return self.size * len(range(n)[self.part]) / n

    def joined(self, net: nn.Module) -> nn.Module:
        """The net as it is called: gradients become the mean over processes while they are computed."""
        if self.size == 1:
            return net
        return nn.parallel.DistributedDataParallel(net)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
            values = values / self.size
        return values


ALONE = Group()


@contextlib.contextmanager
def group(where: torch.device) -> Iterator[Group]:
    """The group that torchrun (or Spark's TorchDistributor) told this process about in its environment; alone without one.

    NCCL between GPUs, gloo between CPUs.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    torch.distributed.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield Group(torch.distributed.get_rank(), torch.distributed.get_world_size())
    finally:
        torch.distributed.destroy_process_group()


def own_device(where: torch.device) -> torch.device:
    """Of the GPUs of a machine, this process's own."""
    if where.type != "cuda":
        return where
    mine = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    torch.cuda.set_device(mine)
    return mine
