"""The one training loop: AdamW, a learning rate that warms up and falls to zero, every order drawn from a seed."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.torch_setup import Advance, mixed

Augment = Callable[[Tensor, torch.Generator], Tensor]
Watch = Callable[[Tensor, Tensor, Tensor], None]
WARM_UP = 0.2  # share of the steps in which the learning rate rises


def fit(
    net: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    rows: Tensor,
    *,
    epochs: int,
    batch: int,
    rate: float,
    decay: float,
    smoothing: float,
    seed: int,
    importance: Tensor | None = None,
    augment: Augment | None = None,
    watch: Watch | None = None,
    advance: Advance = lambda n: None,
) -> None:
    """Fit `net` (inputs (N, …) → logits (N, K)) to targets (N,), class numbers, of `rows` (n,), by cross-entropy.

    `smoothing` is label smoothing: with wrong labels about, a net must not be sure of what it is told (Lukasik et al.
    2020, "Does label smoothing mitigate label noise?"). `importance` (N,), mean 1: how much each row's loss counts. `augment` changes a batch of inputs before the net sees it.
    `watch` is called with the rows (n,), logits (n, K) and targets (n,) of each step after the rate has risen: before, a
    net knows too little to say anything of a label. `advance` is called with the number of rows of each step.
    """
    where = next(net.parameters()).device
    order = torch.Generator().manual_seed(seed)
    steps = epochs * math.ceil(len(rows) / batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    net.train()
    for _ in range(epochs):
        for chosen in rows[torch.randperm(len(rows), generator=order)].split(batch):  # type: ignore[no-untyped-call]
            if len(chosen) < 2:  # batch normalization needs two
                continue
            shown = inputs[chosen].to(where, non_blocking=True)
            if augment is not None:
                shown = augment(shown, order)
            told = targets[chosen].to(where)
            with mixed(where):
                logits = net(shown)
                loss = _loss(logits, told, smoothing, None if importance is None else importance[chosen].to(where))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if watch is not None and schedule.last_epoch >= _warm(steps):
                watch(chosen, logits.detach(), told)
            schedule.step()
            advance(len(chosen))
    net.eval()


def _loss(logits: Tensor, told: Tensor, smoothing: float, importance: Tensor | None) -> Tensor:
    if importance is None:
        return nn.functional.cross_entropy(logits, told, label_smoothing=smoothing)
    each = nn.functional.cross_entropy(logits, told, label_smoothing=smoothing, reduction="none")
    return (each * importance).mean()


def _warm(steps: int) -> int:
    return max(1, round(WARM_UP * steps))


def _rate(step: int, steps: int) -> float:
    warm = _warm(steps)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
