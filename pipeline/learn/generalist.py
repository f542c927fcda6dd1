"""The generalist as one thing, whatever is in it: made of pictures and labels, stored as arrays, asked about pictures."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn import backbones, ensemble, small_net
from secondlook.pipeline.learn.backbones import Backbone
from secondlook.pipeline.learn.calibration import at_temperature
from secondlook.pipeline.learn.ensemble import Ensemble
from secondlook.pipeline.learn.small_net import SmallModel

SMALL = "small"
FORMAT = 1  # of what is stored

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
    """A small net from scratch."""

    model: SmallModel
    where: torch.device

    def score(self, pixels: Pixels) -> tuple[Reals, Reals]:
        """Pictures (n, side, side, 3) → (embeddings (n, D), calibrated probabilities (n, K))."""
        embeddings = small_net.ask(pixels, self.model.whole, self.where)[0]
        return embeddings, at_temperature(self.model.probs(pixels, self.where), self.model.temperature)


def default_px(backbone: str) -> int:
    """Side that pictures are resized to where nobody says otherwise."""
    return 32 if backbone == SMALL else 128


def stored(model: Ensemble | SmallModel, temperature: float) -> dict[str, npt.NDArray[Any]]:
    """The model's arrays by name, for a safetensors file."""
    if isinstance(model, Ensemble):
        return ensemble.to_arrays(dataclasses.replace(model, temperature=temperature))
    return small_net.to_arrays(dataclasses.replace(model, temperature=temperature))


def restored(facts: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]], where: torch.device) -> Frozen | Small:
    """The model that was stored with these facts: backbone, its folder, image_px, embedder.

    Raises UserError where the backbone is not the one that the heads were fitted on any more.
    """
    if facts["format"] != FORMAT:
        raise UserError(f"the model is stored in format {facts['format']}, this secondlook reads {FORMAT}; train again")
    if facts["backbone"] == SMALL:
        return Small(small_net.from_arrays(dict(arrays)), where)
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
