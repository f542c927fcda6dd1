"""A model of the lake, ready to be asked: its probabilities, its nets, and who was held out of which."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import numpy.typing as npt

from secondlook.jobs.lake import dataset

if TYPE_CHECKING:
    import torch
    from torch import nn

    from secondlook.jobs.lake.store import Lake, Version

Reals = npt.NDArray[np.float32]
FILES = ("weights.safetensors", "model.json")


@dataclass(frozen=True)
class Stored:
    """A model on a device. `classes`: what each of its K outputs is called today, "" where that class is gone (two may be
    equal where classes were merged); `facts`: its model.json."""

    name: str
    classes: tuple[str, ...]
    image_px: int
    facts: Mapping[str, Any]
    model: Any

    def score(self, pixels: npt.NDArray[np.uint8]) -> tuple[Reals, Reals]:
        """Pictures (n, side, side, 3) of side `image_px` → (embeddings (n, D), calibrated probabilities (n, K)).

        Of nets that were fitted whole these are the average of all folds: too good for a picture that one learned from.
        """
        scored: tuple[Reals, Reals] = self.model.score(pixels)
        return scored

    @property
    def temperature(self) -> float:
        """What the logarithms of averaged probabilities are divided by."""
        kept = getattr(self.model, "nets", None) or self.model.heads
        return float(kept.temperature)

    @property
    def net(self) -> "nn.Module | None":
        """The net of all labels, as a `Classifier`; None where the model is heads on a frozen backbone."""
        return self._modules[0] if self._modules else None

    @property
    def fold_nets(self) -> "Sequence[nn.Module]":
        """The net of each fold, which has not learned from the pictures of that fold; none on a frozen backbone."""
        return self._modules[1:]

    @property
    def _modules(self) -> "tuple[nn.Module, ...]":
        return getattr(self.model, "modules", ())


def load(lake: "Lake", model: dataset.Model, where: "torch.device") -> Stored:
    """A model of the kind generalist with its weights; UserError where they can't be used any more."""
    facts, restored = read(f"{lake.url}/{model.path}", where)
    means = (model.classes[place] if place >= 0 else "" for place in model.follows)
    return Stored(model.name, tuple(means), facts["image_px"], facts, restored)


def read(url: str, where: "torch.device") -> tuple[dict[str, Any], Any]:
    """(facts, model) of a model's folder."""
    from safetensors.numpy import load as arrays_of

    from secondlook.pipeline.learn import generalist

    parts = {}
    for file in FILES:
        with fsspec.open(f"{url}/{file}", "rb") as stream:
            parts[file] = stream.read()
    facts = json.loads(parts["model.json"])
    return facts, generalist.restored(facts, arrays_of(parts["weights.safetensors"]), where)


def folds_by_content(lake: "Lake", version: "Version", model: str) -> dict[str, int]:
    """content_id → the fold whose net has not learned from it; -1 where none has."""
    rows = dataset.predictions(lake, version, model)
    return dict(zip(rows["content_id"].to_pylist(), rows["fold"].to_pylist(), strict=True))
