"""Students taught side by side: each batch is read, changed and shown to the teacher once, whatever their number."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from secondlook.jobs.distill.lessons import Lessons
from secondlook.jobs.terminal import console
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.learn.students.named import Named

if TYPE_CHECKING:
    import torch
    from torch import nn

    from secondlook.jobs.train.checkpoints import Checkpoints
    from secondlook.pipeline.learn.training.loop import Loss, Teach
    from secondlook.pipeline.learn.training.recipe import Recipe

AGAIN = 0.5  # of the epochs, for what a student is taught after channels were cut out of it


@dataclass(frozen=True)
class Taught:
    """A student after it was taught: its net, the mean loss of each epoch, and the share of its channels that was cut out."""

    named: Named
    net: "nn.Module"
    losses: list[float]
    pruned: float = 0.0


def recipe_of(settings: Settings, n: int) -> "Recipe":
    """How students are fitted to n pictures. How pictures may be changed, and what computes, stands in [train]."""
    from secondlook.pipeline.learn.training.recipe import Recipe

    wanted, shared = settings.distill, settings.train
    return Recipe(
        epochs=wanted.epochs,
        batch=min(wanted.batch, max(16, n // 8)),
        rate=wanted.rate,
        flip=shared.flip,
        precision=shared.precision,
        compile=shared.compile,
        seed=wanted.seed,
    )


def loss_of(settings: Settings, lessons: Lessons, before: "torch.Tensor | None") -> "Loss":
    """What students are fitted to. `before`: logits (N, K) that the teacher gave earlier, where it is not asked live."""
    import torch

    from secondlook.pipeline.learn.students import distill

    wanted = settings.distill
    loss = distill.loss_of(
        wanted.method,
        torch.from_numpy(lessons.labels),
        temperature=wanted.temperature,
        soft=wanted.soft,
        others=wanted.others,
        standardize=wanted.standardize,
        smoothing=0.0
        if wanted.soft
        else settings.train.smoothing,  # a teacher says more than that all others are alike
    )
    return loss if before is None else distill.remembered(before, loss)


def taught(
    students: Sequence[Named],
    n_classes: int,
    settings: Settings,
    lessons: Lessons,
    loss: "Loss",
    teach: "Teach | None",
    where: "torch.device",
    checkpoints: "Checkpoints",
) -> list[Taught]:
    """All students, in order; after each, where channels are to be cut out, what is left of it, taught again.

    Goes on from `checkpoints` where an earlier run was stopped: on a CPU with the same bytes as one that was not.
    """
    from secondlook.pipeline.learn.nets.family import NetSpec, make
    from secondlook.pipeline.learn.students.prune import pruned

    wanted = settings.distill
    recipe = recipe_of(settings, len(lessons.learned))
    nets = [
        make(NetSpec(one.net, n_classes, one.image_px), wanted.seed * 100 + number, where)
        for number, one in enumerate(students)
    ]

    def fit(some: "Sequence[nn.Module]", how: "Recipe", name: str) -> list[list[float]]:
        return _fit(some, students, lessons, loss, teach, how, where, checkpoints, name)

    first = [Taught(*one) for one in zip(students, nets, fit(nets, recipe, "first"), strict=True)]
    if not wanted.prune:
        return first
    cut = [pruned(net, wanted.prune, one.image_px) for one, net in zip(students, nets, strict=True)]
    how = dataclasses.replace(recipe, epochs=max(1, round(recipe.epochs * AGAIN)), seed=recipe.seed + 1)
    again = zip(students, cut, fit(cut, how, "again"), strict=True)
    second = [Taught(named, net, losses, wanted.prune) for named, net, losses in again]
    return [one for both in zip(first, second, strict=True) for one in both]


def _fit(
    nets: "Sequence[nn.Module]",
    students: Sequence[Named],
    lessons: Lessons,
    loss: "Loss",
    teach: "Teach | None",
    recipe: "Recipe",
    where: "torch.device",
    checkpoints: "Checkpoints",
    name: str,
) -> list[list[float]]:
    from secondlook.pipeline.learn.students.teachers import Resized
    from secondlook.pipeline.learn.training import loop

    pictures = lessons.pictures.shown(lessons.learned, recipe.seed, recipe.batch, where)
    learners = [loop.Learner(Resized(net, student.image_px), loss) for net, student in zip(nets, students, strict=True)]
    checkpoint = checkpoints.of(name)
    kept = checkpoint.kept()
    if kept is not None:
        console.say(f"going on after epoch {kept.facts['epoch']} of {recipe.epochs}, where an earlier run was stopped")
    title = "teaching" if name == "first" else "teaching again what is left"
    total = recipe.epochs * min(pictures.steps * recipe.batch, len(lessons.learned))
    with console.progress(title, total, "pictures", recipe.epochs) as advance:
        return loop.fit(
            learners, pictures, recipe, where, teach=teach, advance=advance, keep=checkpoint.keep, resume=kept
        )  # fmt: skip
