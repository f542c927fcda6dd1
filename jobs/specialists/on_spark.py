"""Specialists as tasks of Spark, one each.

A worker reads the generalist and the pictures from the lake, fits, and keeps its epochs where the command that sent it looks
for what is finished. So nothing comes back through Spark, and what was begun by one way is finished by the other.
"""

import functools
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import numpy.typing as npt

from secondlook.jobs.specialists.fitting import How, Task, fit_one
from secondlook.jobs.specialists.lessons import Lessons
from secondlook.jobs.specialists.tried import Elsewhere
from secondlook.jobs.terminal import console
from secondlook.jobs.train.checkpoints import Checkpoint, Checkpoints
from secondlook.pipeline.core.config import Settings

if TYPE_CHECKING:
    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lake.store import Lake

PICTURES = "pictures"


@dataclass(frozen=True)
class Plan:
    """What a worker needs: where the generalist is, where pictures and checkpoints are (a folder's URL), and how it fits."""

    model_url: str
    url: str
    how: How
    device: str


def elsewhere(
    lake: "Lake", settings: Settings, model: "Model", lessons: Lessons, how: How, checkpoints: Checkpoints
) -> Elsewhere:
    """Fits tasks on Spark's workers, as far as they are not finished; pictures and labels are written for them once."""
    path = checkpoints.of(PICTURES).path.rpartition("/")[0]
    url = f"{lake.url}/{path.removeprefix(lake.root).strip('/')}"
    plan = Plan(f"{lake.url}/{model.path}", url, how, settings.train.device)

    @functools.cache
    def written() -> None:
        arrays: dict[str, npt.NDArray[Any]] = {PICTURES: lessons.pixels, "labels": lessons.labels}
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.save(buffer, array)
            lake.fs.pipe_file(f"{path}/{name}.npy", buffer.getvalue())

    def fit(tasks: Sequence[Task]) -> None:
        from secondlook.jobs.machine.spark import session

        left = [task for task in tasks if not finished(checkpoints.of(task.name), how)]
        if not left:
            return
        written()
        spark = session(settings.spark)
        spark.sparkContext.setLocalProperty("spark.job.description", f"{len(left)} specialists")
        console.say(f"{len(left)} specialists are fitted on Spark, a task each")
        spark.sparkContext.parallelize(left, len(left)).foreach(functools.partial(fit_there, plan))

    return fit


def finished(checkpoint: Checkpoint, how: How) -> bool:
    """Whether a fit was kept after its last epoch."""
    kept = checkpoint.kept()
    return kept is not None and kept.facts["epoch"] == how.recipe.epochs


# On the workers


@functools.lru_cache(maxsize=1)
def _held(plan: Plan) -> tuple[Any, Any, Any, Any]:
    """Pictures, labels, the generalist's nets and the device, read once a worker process."""
    import torch

    from secondlook.jobs.train import stored
    from secondlook.pipeline.learn import torch_setup

    torch.set_num_threads(1)  # Spark runs a task a core
    arrays = []
    for name in (PICTURES, "labels"):
        with fsspec.open(f"{plan.url}/{name}.npy", "rb") as stream:
            arrays.append(np.load(stream))
    where = torch_setup.device(plan.device)
    return (*arrays, stored.read(plan.model_url, where)[1].modules, where)


def fit_there(plan: Plan, task: Task) -> None:
    """Fit one specialist on a worker, from its last whole epoch if there is one."""
    pixels, labels, nets, where = _held(plan)
    fs, path = fsspec.core.url_to_fs(plan.url)
    start = Checkpoint(fs, f"{path}/{task.start}.safetensors") if task.start else None
    checkpoint = Checkpoint(fs, f"{path}/{task.name}.safetensors")
    fit_one(task, nets[task.net], pixels, labels, plan.how, where, checkpoint, start)
