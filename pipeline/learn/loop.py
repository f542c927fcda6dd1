"""How heads on embeddings and the small net are fitted, by the one loop of `training`: AdamW that spares no weight from decay,
whole epochs, changes of their own in place of the recipe's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.torch_setup import Advance
from secondlook.pipeline.learn.training.loop import Learner, Loss, Shown, by_row
from secondlook.pipeline.learn.training.loop import fit as fit_by
from secondlook.pipeline.learn.training.recipe import Recipe

Augment = Callable[[Tensor, torch.Generator], Tensor]
Watch = Callable[[Tensor, Tensor, Tensor], None]
WARM_UP = 0.2  # share of the steps in which the learning rate rises


@dataclass
class Rows:
    """Some `rows` (n,) of inputs (N, …) as pictures of the loop: all of them each epoch, but a last one that is alone, since
    batch normalization needs two. Orders are drawn from one generator, epoch after epoch."""

    inputs: Tensor
    rows: Tensor
    batch: int
    rng: torch.Generator
    where: torch.device

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.rows), self.batch)
        return max(1, whole + (rest > 1))

    def batches(self, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        """See `Pictures`."""
        for chosen in self.rows[torch.randperm(len(self.rows), generator=self.rng)].split(self.batch):  # type: ignore[no-untyped-call]
            if len(chosen) > 1:
                yield chosen, self.inputs[chosen].to(self.where, non_blocking=True)


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
    rng = torch.Generator().manual_seed(seed)
    shown = Rows(inputs, rows, batch, rng, where)
    recipe = Recipe(
        epochs=epochs,
        batch=batch,
        optimizer="adamw",
        rate=rate,
        decay=decay,
        spare=False,
        warm_up=WARM_UP,
        smoothing=smoothing,
        seed=seed,
    )
    watched_from = max(1, round(WARM_UP * epochs * shown.steps))
    loss = _told(targets, smoothing, importance, watch, watched_from)

    def change(batch: Tensor) -> Tensor:
        return batch if augment is None else augment(batch, rng)

    fit_by([Learner(net, loss)], shown, recipe, where, change=change, advance=advance)


def _told(targets: Tensor, smoothing: float, importance: Tensor | None, watch: Watch | None, watched_from: int) -> Loss:
    """The loss of a fit, by rows: see `fit`."""
    told_of = by_row(targets)
    counts_of = None if importance is None else by_row(importance)
    steps = 0

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        nonlocal steps
        told = told_of(shown)
        if watch is not None and steps >= watched_from:
            watch(shown.rows, logits.detach(), told)
        steps += 1
        return _loss(logits, told, smoothing, None if counts_of is None else counts_of(shown))

    return loss


def _loss(logits: Tensor, told: Tensor, smoothing: float, importance: Tensor | None) -> Tensor:
    if importance is None:
        return nn.functional.cross_entropy(logits, told, label_smoothing=smoothing)
    each = nn.functional.cross_entropy(logits, told, label_smoothing=smoothing, reduction="none")
    return (each * importance).mean()
