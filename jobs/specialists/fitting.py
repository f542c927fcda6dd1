"""The fits of specialists: tasks that need nothing of one another, side by side here or one each on Spark.

What a task ends with lies below `models/NAME/unfinished` until the set is committed: a command that was killed fits again
only what was not finished, from its last whole epoch.
"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from secondlook.jobs.specialists.lessons import Lessons
from secondlook.jobs.terminal import console
from secondlook.jobs.train.checkpoints import Checkpoint, Checkpoints
from secondlook.pipeline.core.models_config import SpecialistSettings

if TYPE_CHECKING:
    import torch
    from torch import nn

    from secondlook.pipeline.learn.specialists.fit import Specialist
    from secondlook.pipeline.learn.torch_setup import Advance
    from secondlook.pipeline.learn.training.recipe import Recipe

Ints = npt.NDArray[np.int64]
Result = TypeVar("Result")

NET = "0/net/"  # what names of a net's weights begin with, where a fit is kept


@dataclass(frozen=True)
class Task:
    """One fit. `name` is its own among all of a set; `net`: place among the generalist's nets, 0 that of all labels, 1 + fold that
    of a fold; `members`: class numbers, ascending; `rows`: what is learned from; `start`: the task whose net it starts from, ""
    for the generalist's."""

    name: str
    net: int
    members: tuple[int, ...]
    rows: Ints
    seed: int
    start: str = ""


@dataclass(frozen=True)
class How:
    """What all tasks of a set share."""

    n_classes: int
    recipe: "Recipe"
    inside: float
    soft: float


def how_of(wanted: SpecialistSettings, of_generalist: "Recipe", n_classes: int) -> How:
    """The settings, and for all that they leave open what the generalist was fitted by."""
    recipe = dataclasses.replace(
        of_generalist,
        epochs=wanted.epochs,
        rate=wanted.rate or of_generalist.rate / 5,
        compile=False,  # of many short fits it would be most of the time
    )
    return How(n_classes, recipe, wanted.inside, wanted.soft)


def shown(task: Task, labels: Ints, how: How) -> int:
    """About how many pictures a task's net is shown."""
    from secondlook.pipeline.learn.specialists.fit import shares

    inside = int(np.isin(labels[task.rows], task.members).sum())
    return how.recipe.epochs * (inside + shares(inside, len(task.rows) - inside, how.inside)[0])


def fit_here(
    tasks: Sequence[Task],
    nets: "Sequence[nn.Module]",
    lessons: Lessons,
    how: How,
    where: "torch.device",
    checkpoints: Checkpoints,
    title: str,
    then: "Callable[[Task, Specialist], Result]",
) -> "list[Result]":
    """What `then` makes of the specialist of each task, in order: on a CPU as many at a time as there are threads.

    `nets`: the generalist's. Nets that `then` does not return are not held.
    """
    from secondlook.pipeline.learn.torch_setup import side_by_side

    def job(task: Task) -> "Callable[[Advance], Result]":
        start = checkpoints.of(task.start) if task.start else None
        return lambda advance: then(
            task,
            fit_one(
                task,
                nets[task.net],
                lessons.pixels,
                lessons.labels,
                how,
                where,
                checkpoints.of(task.name),
                start,
                advance,
            ),
        )

    total = sum(shown(task, lessons.labels, how) for task in tasks)
    with console.progress(title, total, "steps of pictures") as advance:
        return side_by_side([job(task) for task in tasks], where, advance)


def fit_one(
    task: Task,
    net: "nn.Module",
    pixels: npt.NDArray[np.uint8],
    labels: Ints,
    how: How,
    where: "torch.device",
    checkpoint: Checkpoint,
    start: Checkpoint | None = None,
    advance: "Advance" = lambda n: None,
) -> "Specialist":
    """The specialist of a task; of one that was finished before, as it was. `start`: of the task whose net it starts from."""
    import torch

    from secondlook.pipeline.learn.specialists import fit
    from secondlook.pipeline.learn.training.pictures import Held

    batch = min(how.recipe.batch, max(16, shown(task, labels, how) // how.recipe.epochs // 8))
    return fit.fit(
        net,
        task.members,
        torch.from_numpy(labels),
        torch.from_numpy(task.rows),
        how.n_classes,
        lambda order: Held(pixels, order, batch, where),
        dataclasses.replace(how.recipe, batch=batch, seed=task.seed),
        where,
        inside=how.inside,
        soft=how.soft,
        start=_finished(start, net) if start else None,
        keep=checkpoint.keep,
        resume=checkpoint.kept(),
        advance=advance,
    )


def _finished(checkpoint: Checkpoint, like: "nn.Module") -> "nn.Module":
    """The net that a fit ended with."""
    kept = checkpoint.kept()
    assert kept is not None, "it is fitted before what starts from it"
    net = copy.deepcopy(like)
    net.load_state_dict({name.removeprefix(NET): value for name, value in kept.arrays.items() if name.startswith(NET)})
    return net
