"""A fit with checkpoints in a lake, as a process that a test kills: `python -m tests.jobs.killed_fit LAKE`."""

import sys
import time
from dataclasses import replace

import torch

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train.checkpoints import Checkpoints
from tests.learn.training.made import RECIPE, fitted

SLOW = replace(RECIPE, epochs=12)


def main(lake: str) -> None:
    """Two nets side by side, a step each 50 milliseconds at least, so that it is killed in the middle."""
    torch.set_num_threads(1)
    checkpoint = Checkpoints(Lake(lake), "generalist-1").of("whole")
    fitted(SLOW, 1, 2, resume=checkpoint.kept(), keep=checkpoint.keep, advance=lambda n: time.sleep(0.05))


if __name__ == "__main__":
    main(sys.argv[1])
