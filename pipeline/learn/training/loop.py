"""The loop that fits nets to pictures. Several nets may go through the same pictures side by side: what is read, changed
and (for students) shown to a teacher is so once for all of them."""

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.torch_setup import Advance
from secondlook.pipeline.learn.training.augment import augmented
from secondlook.pipeline.learn.training.pictures import Pictures
from secondlook.pipeline.learn.training.recipe import Recipe


@dataclass(frozen=True)
class Shown:
    """What a step shows: `rows` (n,) on the CPU, `pictures` (n, 3, side, side) as changed, and what a teacher `said` of them."""

    rows: Tensor
    pictures: Tensor
    said: Mapping[str, Tensor] = field(default_factory=dict)


Loss = Callable[[Tensor, Shown], Tensor]  # logits (n, K) in float32, what was shown → a number
Teach = Callable[[Tensor], Mapping[str, Tensor]]  # pictures → what is said of them, such as logits by name


@dataclass(frozen=True)
class Learner:
    """A net that is fitted, and what it is fitted to."""

    net: nn.Module
    loss: Loss


def labels_loss(labels: Tensor, smoothing: float) -> Loss:
    """Cross-entropy against labels (N,), class numbers by row, with label smoothing."""

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        told = labels[shown.rows].to(logits.device)
        return nn.functional.cross_entropy(logits, told, label_smoothing=smoothing)

    return loss


def fit(
    learners: Sequence[Learner],
    pictures: Pictures,
    recipe: Recipe,
    where: torch.device,
    *,
    teach: Teach | None = None,
    on_epoch: Callable[[int, Sequence[float]], None] = lambda epoch, losses: None,
    advance: Advance = lambda n: None,
) -> list[list[float]]:
    """Fit each learner's net in place; returns the mean loss of each epoch, for each learner.

    `on_epoch` is called with the epoch, from 0, and the losses when it is over; `advance` with each step's number of pictures.
    """
    rng = torch.Generator().manual_seed(recipe.seed)
    optimizers = [optimizer(learner.net, recipe) for learner in learners]
    steps = recipe.epochs * pictures.steps
    history: list[list[float]] = [[] for _ in learners]
    step = 0
    for learner in learners:
        learner.net.train()
    for epoch in range(recipe.epochs):
        sums = torch.zeros(len(learners))
        for rows, batch in pictures.batches(epoch):
            changed = augmented(batch, recipe, rng)
            said: Mapping[str, Tensor] = {}
            if teach is not None:
                with torch.no_grad(), autocast(recipe, where):
                    said = teach(changed)
            shown = Shown(rows, changed, said)
            for number, (learner, stepper) in enumerate(zip(learners, optimizers, strict=True)):
                for group in stepper.param_groups:
                    group["lr"] = recipe.rate * rate_at(step, steps, recipe.warm_up)
                with autocast(recipe, where):
                    logits = learner.net(changed)
                loss = learner.loss(logits.float(), shown)
                stepper.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                stepper.step()
                sums[number] += loss.detach().cpu()
            step += 1
            advance(len(rows))
        losses = (sums / pictures.steps).tolist()
        for one, value in zip(history, losses, strict=True):
            one.append(value)
        on_epoch(epoch, losses)
    for learner in learners:
        learner.net.eval()
    return history


def autocast(recipe: Recipe, where: torch.device) -> Any:
    """Mixed precision as the recipe says; weights stay in float32."""
    wanted = recipe.precision
    if wanted == "auto":
        wanted = "float32" if where.type != "cuda" else "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return contextlib.nullcontext() if wanted == "float32" else torch.autocast(where.type, getattr(torch, wanted))


def optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum, or AdamW; normalization and biases don't decay."""
    there = [weight for weight in net.parameters() if weight.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [weight for weight in there if weight.ndim > 1], "weight_decay": recipe.decay},
        {"params": [weight for weight in there if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.rate)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=True)


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """Share of the highest rate at a step: rises evenly over `warm_up` of the steps, then falls by a cosine."""
    warm = max(1, round(warm_up * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


@torch.inference_mode()
def ask(net: nn.Module, pictures: Tensor, recipe: Recipe, where: torch.device, size: int = 512) -> Tensor:
    """(N, K) logits on the CPU for pictures (N, 3, side, side) uint8."""
    net.eval()
    said = []
    for part in pictures.split(size):  # type: ignore[no-untyped-call]
        with autocast(recipe, where):
            said.append(net(part.to(where)).float().cpu())
    return torch.cat(said)
