"""The generalist as one thing, whatever is in it: made of pictures and labels, stored as arrays, asked about pictures."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import TrainSettings
from secondlook.pipeline.learn import backbones, ensemble, fold_nets, small_net, whole
from secondlook.pipeline.learn.backbones import Backbone
from secondlook.pipeline.learn.calibration import at_temperature
from secondlook.pipeline.learn.ensemble import Ensemble
from secondlook.pipeline.learn.fold_nets import Fitter, FoldNets
from secondlook.pipeline.learn.nets.family import FAMILIES
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.sources import InMemory, Source
from secondlook.pipeline.learn.training.recipe import Recipe

SMALL = "small"
TOLD = {
    "family": "{} from random weights, {:,} parameters",
    "scratch": "the architecture of {} with random weights, {:,} parameters: nothing pretrained is used",
    "finetune": "{} from its pretrained weights, {:,} parameters, all of which are fitted",
}
FORMAT = 2  # of what is stored: 1 knew no whole nets but `small`

Reals = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Frozen:
    """A frozen backbone and the heads on it."""

    backbone: Backbone
    heads: Ensemble

    def score(self, pixels: Pixels) -> tuple[Reals, Reals]:
        """Pictures (n, side, side, 3) → (embeddings (n, D), calibrated probabilities (n, K))."""
        embeddings = self.backbone.embed(pixels)
        seen = self.heads.space.see(embeddings)
        probs = self.heads.probs(seen, np.arange(len(embeddings)))
        return embeddings, at_temperature(probs, self.heads.temperature)


@dataclass(frozen=True)
class Small:
    """Small nets from scratch."""

    nets: FoldNets
    where: torch.device

    def score(self, pixels: Pixels) -> tuple[Reals, Reals]:
        """Pictures (n, side, side, 3) → (embeddings (n, D), calibrated probabilities (n, K))."""
        embeddings = small_net.ask(pixels, self.nets.whole, self.where)[0]
        return embeddings, at_temperature(small_net.probs(pixels, self.nets, self.where), self.nets.temperature)

    @cached_property
    def modules(self) -> tuple[nn.Module, ...]:
        """The net of all labels, then those of each fold."""
        return tuple(small_net.net_of(weights, self.where) for weights in (self.nets.whole, *self.nets.folds))


@dataclass(frozen=True)
class Whole:
    """Nets that were fitted whole, asked in a precision as of `Recipe`."""

    net: whole.Net
    nets: FoldNets
    where: torch.device
    precision: str = "auto"

    def score(self, pixels: Pixels) -> tuple[Reals, Reals]:
        """Pictures (n, side, side, 3) → (embeddings (n, D), calibrated probabilities (n, K))."""
        source, rows = InMemory(pixels), np.arange(len(pixels))
        first, *others = (whole.ask(net, source, self.precision, self.where, rows) for net in self.modules)
        probs = np.asarray(sum(said for _, said in others) / np.float32(len(others)), np.float32)
        return first[0], at_temperature(probs, self.nets.temperature)

    @cached_property
    def modules(self) -> tuple[Classifier, ...]:
        """The net of all labels, then those of each fold."""
        return tuple(self.net.with_weights(weights, self.where) for weights in (self.nets.whole, *self.nets.folds))


def mode_of(wanted: TrainSettings) -> str:
    """frozen, finetune or scratch, as the settings say; raises UserError for a mode that the backbone does not have."""
    name, mode = wanted.backbone, wanted.mode
    made_here = name == SMALL or is_family(name)
    if mode == "auto":
        return "scratch" if made_here else "frozen"
    if made_here and mode != "scratch":
        what = "there is nothing in it to freeze" if mode == "frozen" else "it has no pretrained weights to start from"
        raise UserError(
            f"[train] mode is {mode}, and {name} is a net from random weights: {what}; give a transformers model as "
            "--backbone, or leave the mode out"
        )
    return mode


def is_family(name: str) -> bool:
    """Whether a backbone is meant as a net by name, such as resnet:32, and not as a transformers model."""
    first, colon, _ = name.partition(":")
    return (first in FAMILIES or bool(colon)) and not Path(name).expanduser().is_dir()


@dataclass(frozen=True)
class Plan:
    """Nets that learn whole, before pictures are read: `net` is None for `small`."""

    image_px: int
    batch: int
    n_classes: int
    mode: str = "scratch"
    folder: str = ""
    net: whole.Net | None = None
    recipe: Recipe = dataclasses.field(default_factory=Recipe)
    pretrained: fold_nets.Weights | None = None
    told: str = ""  # what it is, for people
    sampled: int = 0

    def fitter(
        self,
        pictures: Pixels | Source,
        labels: npt.NDArray[np.int64],
        where: torch.device,
        importance: Reals | None = None,
        checkpoint: Callable[[str], whole.Checkpoint] | None = None,
    ) -> Fitter:
        """What `fold_nets.cross_fit` is given for pixels (N, side, side, 3) and labels (N,).

        Of nets other than `small` also for pictures of a source; `small` is never kept: it takes seconds.
        """
        if self.net is None:
            assert isinstance(pictures, np.ndarray), "small pictures are held"
            return small_net.SmallFitter(pictures, labels, self.n_classes, self.batch, where, importance)
        source = InMemory(pictures) if isinstance(pictures, np.ndarray) else pictures
        return whole.WholeFitter(
            self.net, source, labels, self.recipe, where, self.pretrained, importance, checkpoint, self.sampled
        )

    def facts(self) -> dict[str, Any]:
        """What `restored` needs beside the weights."""
        if self.net is None:
            return {"format": 1, "backbone": SMALL, "folder": "", "image_px": self.image_px}
        return {
            "format": FORMAT,
            "backbone": self.net.name,
            "folder": self.folder,
            "image_px": self.image_px,
            "mode": self.mode,
            "precision": self.recipe.precision,
            "net": self.net.facts(),
        }


def plan(wanted: TrainSettings, n_classes: int) -> Plan:
    """What is fitted by the settings in the modes scratch and finetune.

    Raises UserError for a net that is none or that takes no pictures of this side, and as `backbones.load`.
    """
    mode, name = mode_of(wanted), wanted.backbone
    side_px = wanted.image_px or default_px(name)
    if wanted.sampled and wanted.reweigh:
        raise UserError("[train] sampled and reweigh don't go together: what is weighed is compared with all classes")
    if name == SMALL:
        return Plan(max(side_px, small_net.MIN_PX), wanted.batch, n_classes)
    folder, pretrained = "", None
    if is_family(name):  # which says itself, when it is made, what it takes
        net = whole.Net(name, n_classes, side_px)
    else:
        net, pretrained = whole.of_backbone(name, n_classes, side_px, random=mode == "scratch")
        at = Path(name).expanduser()
        folder = str(at.resolve()) if at.is_dir() else ""
    made = net.make(0, torch.device("cpu"))
    recipe = whole.recipe_of(wanted, mode, made)
    told = TOLD["family" if is_family(name) else mode].format(name, sum(weight.numel() for weight in made.parameters()))
    return Plan(side_px, wanted.batch, n_classes, mode, folder, net, recipe, pretrained, told, wanted.sampled)


def default_px(backbone: str) -> int:
    """Side that pictures are resized to where nobody says otherwise."""
    return 32 if backbone == SMALL or is_family(backbone) else 128


def stored(model: Ensemble | FoldNets, temperature: float) -> dict[str, npt.NDArray[Any]]:
    """The model's arrays by name, for a safetensors file."""
    if isinstance(model, Ensemble):
        return ensemble.to_arrays(dataclasses.replace(model, temperature=temperature))
    return fold_nets.to_arrays(dataclasses.replace(model, temperature=temperature))


def restored(
    facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], where: torch.device
) -> Frozen | Small | Whole:
    """The model that was stored with these facts: backbone, its folder, image_px, embedder; of whole nets `net`.

    Raises UserError where the backbone is not the one that the heads were fitted on any more.
    """
    if facts["format"] > FORMAT:
        raise UserError(
            f"the model is stored in format {facts['format']}, this secondlook reads up to {FORMAT}; train again"
        )
    if "net" in facts:
        return Whole(whole.from_facts(facts["net"]), fold_nets.from_arrays(arrays), where, facts["precision"])
    if facts["backbone"] == SMALL:
        return Small(fold_nets.from_arrays(arrays), where)
    backbone = backbones.load(facts["folder"] or facts["backbone"], facts["image_px"], where)
    if backbone.embedder != facts["embedder"]:
        raise UserError(
            f"the backbone {facts['backbone']} has other weights than when the model was trained; run `secondlook train`"
        )
    return Frozen(backbone, ensemble.from_arrays(dict(arrays)))


def top_k(probs: Reals, k: int) -> tuple[npt.NDArray[np.int32], Reals]:
    """The k most probable classes (n, k) of probs (n, K), most probable first, and their probabilities (n, k)."""
    n_classes = probs.shape[1]
    k = min(k, n_classes)
    if 4 * k < n_classes:  # sort only those that can be among them
        some = np.sort(np.argpartition(-probs, k, axis=1)[:, :k], axis=1)
        order = np.argsort(-np.take_along_axis(probs, some, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(some, order, axis=1)
    else:
        best = np.argsort(-probs, axis=1, kind="stable")[:, :k]
    return best.astype(np.int32), np.take_along_axis(probs, best, axis=1)
