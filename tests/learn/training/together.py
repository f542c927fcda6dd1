"""One process of several that fit nets together, as torchrun starts it: `torchrun … -m tests.learn.training.together FOLDER`."""

import json
import sys
from pathlib import Path

import torch

from secondlook.pipeline.learn.training.distributed import ALONE, Group, group
from secondlook.pipeline.learn.training.kept import Kept
from secondlook.pipeline.learn.training.loop import Learner, fit, labels_loss
from secondlook.pipeline.learn.training.pictures import Held, shuffled
from tests.learn.training.made import CPU, RECIPE, N, pictures, plain_net

SEEDS = (2, 4)  # whose nets have no layer that draws


def fit_in(one: Group = ALONE) -> tuple[list[list[float]], list[torch.nn.Module], list[Kept]]:
    """Two nets without batch statistics, side by side, by all processes of a group; batches of 15 can't be halved."""
    pixels, labels = pictures()
    nets = [plain_net(seed) for seed in SEEDS]
    held = Held(pixels, shuffled(torch.arange(N), 1), 15, CPU, one)
    kept: list[Kept] = []
    learners = [Learner(net, labels_loss(labels, 0.1)) for net in nets]
    return fit(learners, held, RECIPE, CPU, group=one, keep=kept.append), nets, kept


def main(folder: str) -> None:
    """Fit, and write what this process has: losses, weights, how often it kept."""
    torch.set_num_threads(1)
    with group(CPU) as one:
        losses, nets, kept = fit_in(one)
    weights = [{name: value.tolist() for name, value in net.state_dict().items()} for net in nets]
    told = {"size": one.size, "losses": losses, "weights": weights, "kept": len(kept)}
    (Path(folder) / f"{one.rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1])
