"""The loop that fits nets to pictures. Several nets may go through the same pictures side by side: what is read, changed
and (for students) shown to a teacher is so once for all of them.

On a GPU nothing in a step waits for it: losses are summed on the device, changes are drawn there, and rows are copied from
pinned memory, so that the CPU is always some steps ahead.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.torch_setup import Advance, drawing_from
from secondlook.pipeline.learn.training.augment import augmented, changed, drawn
from secondlook.pipeline.learn.training.distributed import ALONE, Group
from secondlook.pipeline.learn.training.kept import Keep, Kept, go_on, kept
from secondlook.pipeline.learn.training.pictures import Pictures
from secondlook.pipeline.learn.training.recipe import Recipe
from secondlook.pipeline.learn.training.steps import Stepper, autocast, optimizer, rate_at

__all__ = [
    "Learner",
    "Loss",
    "Shown",
    "ask",
    "augmented",
    "autocast",
    "by_row",
    "fit",
    "labels_loss",
    "optimizer",
    "rate_at",
]


@dataclass(frozen=True)
class Shown:
    """What a step shows: `rows` (n,) on the CPU, `pictures` (n, 3, side, side) as changed, and what a teacher `said` of them."""

    rows: Tensor
    pictures: Tensor
    said: Mapping[str, Tensor] = field(default_factory=dict)


Loss = Callable[[Tensor, Shown], Tensor]  # logits (n, K) in float32, what was shown → a number, the mean over pictures
Teach = Callable[[Tensor], Mapping[str, Tensor]]  # pictures → what is said of them, such as logits by name
Change = Callable[[Tensor], Tensor]  # what a batch holds → what nets are shown


@dataclass(frozen=True)
class Learner:
    """A net that is fitted, and what it is fitted to."""

    net: nn.Module
    loss: Loss


def by_row(values: Tensor) -> Callable[[Shown], Tensor]:
    """Looks up values (N, …) by the rows shown, on the device of the pictures, where all of them are held."""
    held = {values.device: values}

    def look_up(shown: Shown) -> Tensor:
        where = shown.pictures.device
        if where not in held:
            held[where] = values.to(where)
        return held[where][shown.rows.to(where, non_blocking=True)]

    return look_up


def labels_loss(labels: Tensor, smoothing: float) -> Loss:
    """Cross-entropy against labels (N,), class numbers by row, with label smoothing."""
    told = by_row(labels)

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        return nn.functional.cross_entropy(logits, told(shown), label_smoothing=smoothing)

    return loss


def fit(
    learners: Sequence[Learner],
    pictures: Pictures,
    recipe: Recipe,
    where: torch.device,
    *,
    teach: Teach | None = None,
    change: Change | None = None,
    on_epoch: Callable[[int, Sequence[float]], None] = lambda epoch, losses: None,
    advance: Advance = lambda n: None,
    keep: Keep | None = None,
    resume: Kept | None = None,
    group: Group = ALONE,
) -> list[list[float]]:
    """Fit each learner's net in place; returns the mean loss of each epoch, for each learner.

    `teach` is asked about what is shown in each step. `change` changes pictures in place of what the recipe says of that,
    and then they may be any inputs (n, …). `on_epoch` is called with the epoch, from 0, and the losses when it is over; `advance` with each step's number of
    pictures; `keep` after each epoch with all that a fit needs to go on from there. `resume` is what was kept: on a CPU
    the fit ends with the same bytes as one that was never stopped. `group`: processes that fit together, all of which
    call this with the same arguments but the group and the pictures.
    """
    steppers = [Stepper(learner.net, recipe, where, group) for learner in learners]
    rng = torch.Generator(where).manual_seed(recipe.seed)
    history: list[list[float]] = [[] for _ in learners]
    first = 0
    with drawing_from(recipe.seed, where), _fastest(where):
        if resume is not None:
            first, history = go_on(resume, steppers, rng, recipe)
            advance(first * pictures.steps * recipe.batch)
        for learner in learners:
            learner.net.train()
        for epoch in range(first, recipe.epochs):
            losses = torch.zeros(len(learners), device=where)
            step = epoch * pictures.steps
            for rows, batch in pictures.batches(epoch):
                shown = _shown(rows, batch, recipe, where, rng, teach, change, group)
                rate = rate_at(step, recipe.epochs * pictures.steps, recipe.warm_up)
                for number, (learner, stepper) in enumerate(zip(learners, steppers, strict=True)):
                    with autocast(recipe, where):
                        logits = stepper.called(shown.pictures)
                    loss = learner.loss(logits.float(), shown) * group.weight(len(rows))
                    stepper.step(loss, rate)
                    losses[number] += loss.detach()
                step += 1
                advance(len(rows))
            means = (group.mean(losses) / pictures.steps).tolist()
            for one, value in zip(history, means, strict=True):
                one.append(value)
            on_epoch(epoch, means)
            if keep is not None and group.rank == 0:
                keep(kept(steppers, rng, recipe, epoch + 1, history))
    for learner in learners:
        learner.net.eval()
    return history


def _shown(
    rows: Tensor,
    batch: Tensor,
    recipe: Recipe,
    where: torch.device,
    rng: torch.Generator,
    teach: Teach | None,
    change: Change | None,
    group: Group,
) -> Shown:
    """One batch as it is shown: this process's share of its pictures, changed by its share of what all draw alike."""
    if change is None:
        pictures = changed(batch, drawn(len(rows), batch.shape[2], recipe, rng).of(group.part), recipe)
    else:
        pictures = change(batch)
    if teach is None:
        return Shown(rows[group.part], pictures)
    with torch.no_grad(), autocast(recipe, where):
        return Shown(rows[group.part], pictures, teach(pictures))


@contextlib.contextmanager
def _fastest(where: torch.device) -> Iterator[None]:
    """On a GPU, cuDNN tries its convolutions and takes the fastest for pictures of one size."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before or where.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@torch.inference_mode()
def ask(net: nn.Module, pictures: Tensor, recipe: Recipe, where: torch.device, size: int = 512) -> Tensor:
    """(N, K) logits on the CPU for pictures (N, 3, side, side) uint8."""
    net.eval()
    said = []
    for part in pictures.split(size):  # type: ignore[no-untyped-call]
        with autocast(recipe, where):
            said.append(net(part.to(where)).float().cpu())
    return torch.cat(said)
