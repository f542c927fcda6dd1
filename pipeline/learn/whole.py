"""Nets that are fitted whole, from random weights or from pretrained ones: which net, how it is fitted, how it is asked."""

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import TrainSettings
from secondlook.pipeline.learn import backbones, tuned
from secondlook.pipeline.learn.batches import spans
from secondlook.pipeline.learn.dynamics import Margins
from secondlook.pipeline.learn.fold_nets import Fit, Ints, Reals, Weights
from secondlook.pipeline.learn.nets import family
from secondlook.pipeline.learn.torch_setup import Advance, seeded
from secondlook.pipeline.learn.training import loop
from secondlook.pipeline.learn.training.loop import Learner, Loss, Shown
from secondlook.pipeline.learn.training.pictures import Held, shuffled
from secondlook.pipeline.learn.training.recipe import Recipe

Pixels = npt.NDArray[np.uint8]

BLOCK = 512  # pictures that are asked about at once
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

    def make(self, seed: int, where: torch.device) -> nn.Module:
        """The net with weights drawn from a seed, channels-last, on a device."""
        if self.config is None:
            return family.make(family.NetSpec(self.name, self.n_classes, self.image_px), seed, where)
        config = self.config

        def built(rng: torch.Generator) -> nn.Module:
            return tuned.Tuned(tuned.body_of(config), self.width, self.n_classes, self.mean, self.std)

        return seeded(built, seed, where).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def with_weights(self, weights: Weights, where: torch.device) -> nn.Module:
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


def of_family(name: str, n_classes: int, image_px: int) -> Net:
    """A net by name; UserError for a name that is none, and where the pictures are too small for it."""
    net = Net(name, n_classes, image_px)
    made = net.make(0, torch.device("cpu")).eval()
    try:
        with torch.inference_mode():
            made(torch.zeros(1, 3, image_px, image_px, dtype=torch.uint8))
    except RuntimeError:
        raise UserError(f"pictures of {image_px} px are too small for the net {name}; --image-px takes more") from None
    return net


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


def recipe_of(wanted: TrainSettings, mode: str) -> Recipe:
    """How nets are fitted by the settings, in the mode scratch or finetune."""
    optimizer = wanted.optimizer
    if optimizer == "auto":
        optimizer = "adamw" if mode == "finetune" else "sgd"
    return Recipe(
        epochs=wanted.epochs,
        batch=wanted.batch,
        optimizer=optimizer,
        rate=wanted.rate or USUAL_RATES[mode, optimizer],
        decay=5e-2 if optimizer == "adamw" else 5e-4,
        smoothing=wanted.smoothing,
        flip=wanted.flip,
        precision=wanted.precision,
        compile=wanted.compile,
        seed=wanted.seed,
    )


@dataclass(frozen=True)
class WholeFitter:
    """A `fold_nets.Fitter` of whole nets for pixels (N, side, side, 3) with labels (N,) in 0..K-1.

    `pretrained`: what each first fit starts from; None: random weights. `importance` (N,), mean 1: how much labels count.
    """

    net: Net
    pixels: Pixels
    labels: Ints
    recipe: Recipe
    where: torch.device
    pretrained: Weights | None = None
    importance: Reals | None = None

    @property
    def at_once(self) -> int:
        """Bodies of `transformers` draw from torch's one generator, and use all threads well: one after the other."""
        return 1 if self.net.config is not None else 64

    def fit(self, one: Fit, advance: Advance) -> Weights:
        """See `Fitter`. The same seed gives the same bytes on a CPU in float32."""
        net = self.net.make(one.seed, self.where)
        if one.start is not None:
            net.load_state_dict(_tensors(one.start))
        elif self.pretrained is not None:
            net.load_state_dict(_tensors(self.pretrained), strict=False)  # but for `last`, which is new
        recipe = dataclasses.replace(
            self.recipe,
            epochs=one.epochs,
            batch=min(self.recipe.batch, max(16, len(one.rows) // 8)),
            rate=self.recipe.rate * (1.0 if one.start is None else AGAIN),
            seed=one.seed,
        )
        pictures = Held(self.pixels, shuffled(torch.from_numpy(one.rows), one.seed), recipe.batch, self.where)
        loss = told_loss(self.labels, recipe, self.importance, one.watch, recipe.epochs * pictures.steps, self.where)
        with _drawing(one.seed, self.where) if self.net.config is not None else contextlib.nullcontext():
            loop.fit([Learner(net, loss)], pictures, recipe, self.where, advance=advance)
        return {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}

    def ask(self, rows: Ints, weights: Weights) -> tuple[Reals, Reals]:
        """See `Fitter`."""
        net = self.net.with_weights(weights, self.where)
        return ask(net, self.pixels, self.recipe.precision, self.where, rows)


def told_loss(
    labels: Ints,
    recipe: Recipe,
    importance: Reals | None,
    watch: Margins | None,
    steps: int,
    where: torch.device,
) -> Loss:
    """Cross-entropy against labels (N,), each weighed by its importance (N,); from the step on when the rate has risen,
    of all `steps`, `watch` sees what is said of them: before, a net knows too little to say anything of a label."""
    told_all = torch.from_numpy(labels).to(where)
    counts = None if importance is None else torch.from_numpy(importance).to(where)
    warm = max(1, round(recipe.warm_up * steps))
    step = 0

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        nonlocal step
        rows = shown.rows.to(where)
        told = told_all[rows]
        if watch is not None and step >= warm:
            watch(shown.rows, logits.detach(), told)
        step += 1
        if counts is None:
            return nn.functional.cross_entropy(logits, told, label_smoothing=recipe.smoothing)
        each = nn.functional.cross_entropy(logits, told, label_smoothing=recipe.smoothing, reduction="none")
        return (each * counts[rows]).mean()

    return loss


@torch.inference_mode()
def ask(
    net: nn.Module, pixels: Pixels, precision: str, where: torch.device, rows: Ints | None = None
) -> tuple[Reals, Reals]:
    """(embeddings (n, D), probabilities (n, K)) by a `Classifier` of pictures (n, side, side, 3), or of some `rows` of them."""
    recipe = Recipe(precision=precision)
    rows = np.arange(len(pixels)) if rows is None else rows
    last: nn.Linear = net.last  # type: ignore[assignment]
    embeddings = np.empty((len(rows), last.in_features), np.float32)
    probs = np.empty((len(rows), last.out_features), np.float32)
    for part in spans(len(rows), BLOCK):
        shown = torch.from_numpy(pixels[rows[part]]).permute(0, 3, 1, 2).to(where)  # channels-last in memory as it is
        with loop.autocast(recipe, where):
            seen = net.embed(shown)  # type: ignore[operator]
            logits = last(seen)
        embeddings[part] = seen.float().cpu().numpy()
        probs[part] = torch.softmax(logits.float(), dim=1).cpu().numpy()
    return embeddings, probs


def _tensors(weights: Weights) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}


@contextlib.contextmanager
def _drawing(seed: int, where: torch.device) -> Any:
    """Torch's own generators follow from a seed inside, and are as they were afterwards."""
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
