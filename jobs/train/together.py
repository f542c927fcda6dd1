"""One net fitted by several processes: what torchrun, or Spark's TorchDistributor, starts in each of them.

What they need lies in one folder that all of them can read, of any file system: pictures, labels, and a task. The first
process writes weights and losses there, and a checkpoint after every epoch.

    torchrun --nproc-per-node 8 -m secondlook.jobs.train.together FOLDER
"""

import dataclasses
import io
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from secondlook.pipeline.learn.nets.family import NetSpec
    from secondlook.pipeline.learn.training.recipe import Recipe

CHECKPOINT, DONE = "checkpoint.safetensors", "weights.safetensors"


@dataclass(frozen=True)
class Together:
    """What was fitted: weights by name, and the mean loss of each epoch."""

    weights: dict[str, npt.NDArray[Any]]
    losses: list[float]


def write_task(
    url: str,
    spec: "NetSpec",
    recipe: "Recipe",
    device: str,
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
) -> None:
    """Put a task into a folder: the net and the recipe, pictures (N, side, side, 3), labels (N,) in 0..K-1.

    `device`: cpu or cuda; each process takes its own GPU of its machine.
    """
    fs, folder = fsspec.core.url_to_fs(url)
    fs.makedirs(folder, exist_ok=True)
    for name, array in (("pixels", pixels), ("labels", labels)):
        stream = io.BytesIO()
        np.save(stream, array)
        fs.pipe_file(f"{folder}/{name}.npy", stream.getbuffer().tobytes())
    task = {"net": dataclasses.asdict(spec), "recipe": dataclasses.asdict(recipe), "device": device}
    fs.pipe_file(f"{folder}/task.json", json.dumps(task).encode())


def work(url: str) -> None:
    """The part of one process: goes on after the last whole epoch, if some were done."""
    import torch

    from secondlook.jobs.train.checkpoints import Checkpoint
    from secondlook.pipeline.learn.nets.family import NetSpec, make
    from secondlook.pipeline.learn.training.distributed import group, own_device
    from secondlook.pipeline.learn.training.loop import Learner, fit, labels_loss
    from secondlook.pipeline.learn.training.pictures import Held, shuffled
    from secondlook.pipeline.learn.training.recipe import Recipe

    fs, folder = fsspec.core.url_to_fs(url)
    task = json.loads(fs.cat_file(f"{folder}/task.json"))
    pixels, labels = (np.load(io.BytesIO(fs.cat_file(f"{folder}/{name}.npy"))) for name in ("pixels", "labels"))
    recipe = Recipe(**task["recipe"])
    where = own_device(torch.device(task["device"]))
    checkpoint = Checkpoint(fs, f"{folder}/{CHECKPOINT}")
    with group(where) as one:
        net = make(NetSpec(**task["net"]), recipe.seed, where)
        order = shuffled(torch.arange(len(labels)), recipe.seed)
        held = Held(pixels, order, recipe.batch, where, one)
        loss = labels_loss(torch.from_numpy(labels), recipe.smoothing)
        losses = fit(
            [Learner(net, loss)], held, recipe, where, group=one, resume=checkpoint.kept(), keep=checkpoint.keep
        )
    if one.rank == 0:
        _write(fs, folder, {name: value.cpu() for name, value in net.state_dict().items()}, losses[0])


def _write(fs: Any, folder: str, weights: dict[str, Any], losses: list[float]) -> None:
    from safetensors.torch import save

    arrays = {name: value.contiguous() for name, value in weights.items()}
    fs.pipe_file(f"{folder}/{DONE}", save(arrays, {"facts": json.dumps(losses)}))


def read(url: str) -> Together:
    """What the processes wrote, when all of them have ended well."""
    from safetensors.numpy import load

    from secondlook.jobs.train.checkpoints import metadata

    fs, folder = fsspec.core.url_to_fs(url)
    data = fs.cat_file(f"{folder}/{DONE}")
    return Together(load(data), json.loads(metadata(data)["facts"]))


if __name__ == "__main__":
    work(sys.argv[1])
