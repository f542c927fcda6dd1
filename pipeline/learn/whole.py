"""Nets that are fitted whole, from random weights or from pretrained ones: which net, how it is fitted, how it is asked."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import TrainSettings
from secondlook.pipeline.learn import backbones, tuned
from secondlook.pipeline.learn.dynamics import Margins
from secondlook.pipeline.learn.fold_nets import Fit, Ints, Reals, Weights
from secondlook.pipeline.learn.nets import family
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.sources import Source
from secondlook.pipeline.learn.torch_setup import Advance, seeded
from secondlook.pipeline.learn.training import loop, many_classes
from secondlook.pipeline.learn.training.kept import Kept
from secondlook.pipeline.learn.training.loop import Learner, Shown
from secondlook.pipeline.learn.training.recipe import Recipe

USUAL_RATES = {
    ("scratch", "sgd"): 0.1,
    ("scratch", "adamw"): 2e-3,
    ("finetune", "sgd"): 0.05,
    ("finetune", "adamw"): 1e-3,
}
BODY = 0.1  # of a rate, for layers that were pretrained: they know more than the new one
AGAIN = 0.5  # of a rate, for a fit that goes on from the one before


@dataclass(frozen=True)
class Net:
    """What a net is before it has weights: a name of the family; or a body of `transformers` by its `config`, with the
    `mean` and `std` that pictures in 0..1 are normalized by, and the `width` D of its embedding."""

    name: str
    n_classes: int
    image_px: int
    config: Mapping[str, Any] | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    width: int = 0

    def make(self, seed: int, where: torch.device) -> Classifier:
        """The net with weights drawn from a seed, channels-last, on a device."""
        if self.config is None:
            return cast(Classifier, family.make(family.NetSpec(self.name, self.n_classes, self.image_px), seed, where))
        config = self.config

        def built(rng: torch.Generator) -> nn.Module:
            return tuned.Tuned(tuned.body_of(config), self.width, self.n_classes, self.mean, self.std)

        return seeded(built, seed, where).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def with_weights(self, weights: Weights, where: torch.device) -> Classifier:
        """The net that these weights are of, ready to be asked."""
        net = self.make(0, where)
        net.load_state_dict(_tensors(weights))
        return net.eval()

    def facts(self) -> dict[str, Any]:
        """For JSON; `from_facts` takes it back."""
        return dataclasses.asdict(self)


def from_facts(facts: Mapping[str, Any]) -> Net:
    """The net that `Net.facts` is of."""
    return Net(**{**facts, "mean": tuple(facts["mean"]), "std": tuple(facts["std"])})


def of_backbone(name: str, n_classes: int, image_px: int, *, random: bool) -> tuple[Net, Weights | None]:
    """A transformers model with a linear layer for K classes, and its pretrained weights; None with `random` ones.

    Raises as `backbones.load`.
    """
    body, mean, std = backbones.opened(name, image_px, random=random)
    try:
        width = tuned.width_of(body, image_px)
    except (ValueError, RuntimeError) as problem:
        said = str(problem).strip().splitlines()[0][:200]
        raise UserError(f"the backbone {name} does not take pictures of {image_px} px: {said}") from None
    net = Net(name, n_classes, image_px, tuned.described(body), mean, std, width)
    pretrained = {f"features.{key}": value.numpy() for key, value in body.state_dict().items()}
    return net, None if random else pretrained


def recipe_of(wanted: TrainSettings, mode: str, net: nn.Module) -> Recipe:
    """How a net is fitted by the settings, in the mode scratch or finetune.

    SGD with its large steps is for nets from scratch with batch normalization; without it, as in transformers, they diverge.
    """
    optimizer = wanted.optimizer
    if optimizer == "auto":
        steady = any(isinstance(layer, nn.BatchNorm2d) for layer in net.modules())
        optimizer = "sgd" if mode == "scratch" and steady else "adamw"
    return Recipe(
        epochs=wanted.epochs,
        batch=wanted.batch,
        optimizer=optimizer,
        rate=wanted.rate or USUAL_RATES[mode, optimizer],
        body=BODY if mode == "finetune" else 1.0,
        decay=5e-2 if optimizer == "adamw" else 5e-4,
        smoothing=wanted.smoothing,
        flip=wanted.flip,
        precision=wanted.precision,
        compile=wanted.compile,
        seed=wanted.seed,
    )


class Checkpoint(Protocol):
    """Where one fit is kept while it runs."""

    def kept(self) -> Kept | None:
        """What was kept last; None where nothing was."""
        ...

    def keep(self, kept: Kept) -> None:
        """Replace it."""
        ...


@dataclass(frozen=True)
class WholeFitter:
    """A `fold_nets.Fitter` of whole nets for N pictures of a source with labels (N,) in 0..K-1.

    `pretrained`: what each first fit starts from; None: random weights. `importance` (N,), mean 1: how much labels count.
    `checkpoint`: by the name of a fit where it is kept, so that it goes on from there; None: nowhere. `sampled`: classes that
    each label is compared with in a step, 0: all; with some of them importance and margins are left out.
    """

    net: Net
    source: Source
    labels: Ints
    recipe: Recipe
    where: torch.device
    pretrained: Weights | None = None
    importance: Reals | None = None
    checkpoint: Callable[[str], Checkpoint] | None = None
    sampled: int = 0

    @property
    def at_once(self) -> int:
        """Bodies of `transformers` draw from torch's one generator, and use all threads well: one after the other."""
        return 1 if self.net.config is not None or self.recipe.compile else 64

    def fit(self, one: Fit, advance: Advance) -> Weights:
        """See `Fitter`. The same seed gives the same bytes on a CPU in float32, also where the fit went on."""
        kept_at = self.checkpoint(one.name) if self.checkpoint else None
        was = kept_at.kept() if kept_at else None
        recipe = dataclasses.replace(
            self.recipe,
            epochs=one.epochs,
            batch=min(self.recipe.batch, max(16, len(one.rows) // 8)),
            rate=self.recipe.rate * (1.0 if one.start is None else AGAIN),
            seed=one.seed,
        )
        pictures = self.source.shown(one.rows, one.seed, recipe.batch, self.where)
        told = Told(self.labels, recipe, pictures.steps, self.importance, one.watch)
        if was is not None and was.facts["recipe"] != dataclasses.asdict(recipe):
            was = None  # by another version of this program
        if was is not None:
            told.go_on(was)
            if was.facts["epoch"] == recipe.epochs:
                self._refuse_diverged(was.facts["history"][0])
                advance(recipe.epochs * pictures.steps * recipe.batch)
                return {name: value.numpy() for name, value in weights_of(was).items()}
        net = self._started(one)
        learner = Learner(net, told)
        if 0 < self.sampled < self.net.n_classes:
            learner = many_classes.sampled(net, torch.from_numpy(self.labels), self.sampled, one.seed)
        (losses,) = loop.fit(
            [learner], pictures, recipe, self.where,
            advance=advance, resume=was, keep=told.keeping(kept_at) if kept_at else None,
        )  # fmt: skip
        self._refuse_diverged(losses)
        return {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}

    def _refuse_diverged(self, losses: Sequence[float]) -> None:
        if not math.isfinite(losses[-1]):
            raise UserError(
                f"{self.net.name} diverged: its loss is no number any more; set [train] rate below {self.recipe.rate:g}"
            )

    def _started(self, one: Fit) -> Classifier:
        net = self.net.make(one.seed, self.where)
        if one.start is not None:
            net.load_state_dict(_tensors(one.start))
        elif self.pretrained is not None:
            net.load_state_dict(_tensors(self.pretrained), strict=False)  # but for `last`, which is new
        return net

    def ask(self, rows: Ints, weights: Weights) -> tuple[Reals, Reals]:
        """See `Fitter`."""
        net = self.net.with_weights(weights, self.where)
        return ask(net, self.source, self.recipe.precision, self.where, rows)


class Told:
    """The loss of a fit: cross-entropy against labels (N,), each weighed by its importance (N,), with label smoothing.

    Once the rate has risen, `watch` sees what is said of them: before, a net knows too little to say anything of a label.
    """

    def __init__(
        self, labels: Ints, recipe: Recipe, steps: int, importance: Reals | None = None, watch: Margins | None = None
    ) -> None:
        self.labels = loop.by_row(torch.from_numpy(labels))
        self.counts = None if importance is None else loop.by_row(torch.from_numpy(importance))
        self.recipe, self.watch, self.steps = recipe, watch, steps
        self.step, self.warm = 0, max(1, round(recipe.warm_up * recipe.epochs * steps))

    def __call__(self, logits: Tensor, shown: Shown) -> Tensor:
        """The mean over what was shown."""
        told = self.labels(shown)
        if self.watch is not None and self.step >= self.warm:
            self.watch(shown.rows, logits.detach(), told)
        self.step += 1
        smoothing = self.recipe.smoothing
        if self.counts is None:
            return nn.functional.cross_entropy(logits, told, label_smoothing=smoothing)
        each = nn.functional.cross_entropy(logits, told, label_smoothing=smoothing, reduction="none")
        return (each * self.counts(shown)).mean()

    def keeping(self, checkpoint: Checkpoint) -> Callable[[Kept], None]:
        """What keeps a fit after an epoch: with what was watched, and after the last one without the optimizer's state."""

        def keep(now: Kept) -> None:
            arrays = now.arrays
            if now.facts["epoch"] == self.recipe.epochs:
                arrays = {name: value for name, value in arrays.items() if name.startswith(NET)}
            if self.watch is not None:
                watched = {"watched/total": self.watch.total, "watched/times": self.watch.times}
                arrays = arrays | {name: value.cpu().clone() for name, value in watched.items()}
            checkpoint.keep(Kept(arrays, now.facts))

        return keep

    def go_on(self, was: Kept) -> None:
        """Make what was watched what it was."""
        self.step = was.facts["epoch"] * self.steps
        if self.watch is not None:
            self.watch.total, self.watch.times = (was.arrays[f"watched/{name}"].clone() for name in ("total", "times"))


NET = "0/net/"  # where the weights of the one net lie in what is kept


def weights_of(kept: Kept) -> dict[str, Tensor]:
    """The weights in what was kept of a fit of one net; with sampled classes it is the `net` of what was fitted."""
    weights = {name.removeprefix(NET): value for name, value in kept.arrays.items() if name.startswith(NET)}
    return {name.removeprefix("net."): value for name, value in weights.items()}


@torch.inference_mode()
def ask(net: Classifier, source: Source, precision: str, where: torch.device, rows: Ints) -> tuple[Reals, Reals]:
    """(embeddings (n, D), probabilities (n, K)) by a `Classifier` of the pictures `rows` (n,) of a source."""
    recipe = Recipe(precision=precision)
    embeddings = np.empty((len(rows), net.last.in_features), np.float32)
    probs = np.empty((len(rows), net.last.out_features), np.float32)
    for places, pixels in source.blocks(rows):
        shown = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(where)  # channels-last in memory as it is
        with loop.autocast(recipe, where):
            seen = net.embed(shown)
            logits = net.last(seen)
        embeddings[places] = seen.float().cpu().numpy()
        probs[places] = torch.softmax(logits.float(), dim=1).cpu().numpy()
    return embeddings, probs


def _tensors(weights: Weights) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
