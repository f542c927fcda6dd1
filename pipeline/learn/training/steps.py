"""One step of one net: number types, loss scaling, optimizer, learning rate."""

import contextlib
import math
from typing import Any

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.training.distributed import ALONE, Group
from secondlook.pipeline.learn.training.recipe import Recipe


def number_type(recipe: Recipe, where: torch.device) -> torch.dtype:
    """What products are computed in; weights stay in float32."""
    if recipe.precision != "auto":
        return getattr(torch, recipe.precision)  # type: ignore[no-any-return]
    if where.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16


def autocast(recipe: Recipe, where: torch.device) -> Any:
    """Mixed precision as the recipe says."""
    kind = number_type(recipe, where)
    return contextlib.nullcontext() if kind == torch.float32 else torch.autocast(where.type, kind)


def optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov's momentum, or AdamW; normalization and biases don't decay if they are to be spared, and `share` is of the rate.

    On a GPU all weights change in one kernel, which also looks after loss scaling without waiting for the GPU.
    """
    there = [
        (
            name.removeprefix("net.").startswith("last."),
            weight,
        )  # `net.` where many_classes.py has put it inside another
        for name, weight in net.named_parameters()
        if weight.requires_grad
    ]
    groups: list[dict[str, Any]] = [
        {
            "params": [weight for is_last, weight in there if is_last == last and (weight.ndim > 1) == decays],
            "weight_decay": recipe.decay if decays or not recipe.spare else 0.0,
            "share": 1.0 if last else recipe.body,
        }
        for last in (False, True)
        for decays in (True, False)
    ]
    groups = [group for group in groups if group["params"]]
    fused = True if any(weight.is_cuda for _, weight in there) else None
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.rate, fused=fused)
    return torch.optim.SGD(groups, lr=recipe.rate, momentum=recipe.momentum, nesterov=True, fused=fused)


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """Share of the highest rate at a step: rises evenly over `warm_up` of the steps, then falls by a cosine."""
    warm = max(1, round(warm_up * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


class Stepper:
    """A net with all that changes it: its optimizer, and the scale of its loss where float16 has too few small numbers.

    `called` is the net as it is to be called: compiled, and joined to other processes.
    """

    def __init__(self, net: nn.Module, recipe: Recipe, where: torch.device, group: Group = ALONE) -> None:
        self.net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.recipe = recipe
        self.optimizer = optimizer(net, recipe)
        self.scaler = torch.amp.GradScaler(where.type, enabled=number_type(recipe, where) == torch.float16)
        called = group.joined(net)
        self.called: nn.Module = torch.compile(called) if recipe.compile else called  # type: ignore[assignment]

    def step(self, loss: Tensor, rate: float) -> None:
        """Change the net against the gradient of a loss, at a share of the recipe's rate."""
        for part in self.optimizer.param_groups:
            part["lr"] = self.recipe.rate * part["share"] * rate
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
