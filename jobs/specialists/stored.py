"""A set of specialists as it lies in the lake: `model.json` says which generalist they stand beside and which classes each
tells apart; each specialist is a model of its own with its weights."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.lake import dataset
from secondlook.pipeline.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lake.store import Lake, Version
    from secondlook.pipeline.learn.specialists.fit import Specialist
    from secondlook.pipeline.learn.specialists.together import Together

Reals = npt.NDArray[np.float32]

KIND, OF_ONE = "specialists", "specialist"
FACTS, WEIGHTS = "model.json", "weights.safetensors"
FORMAT = 1


@dataclass(frozen=True)
class Stored:
    """A generalist with its specialists on a device. `classes`: what each of the K outputs is called today, "" where that class is
    gone; `facts`: its model.json."""

    name: str
    classes: tuple[str, ...]
    image_px: int
    facts: dict[str, Any]
    together: "Together"
    precision: str
    where: "torch.device"

    def log_probs(self, pictures: "Tensor") -> "Tensor":
        """Pictures (n, 3, image_px, image_px) on the device → (n, K) log probabilities, calibrated."""
        return self.together.log_probs(pictures)

    def teach(self, pictures: "Tensor") -> "dict[str, Tensor]":
        """The same as what a teacher says in a step of training."""
        from secondlook.pipeline.learn.students.distill import TEACHER

        return {TEACHER: self.log_probs(pictures)}

    def score(self, pixels: npt.NDArray[np.uint8]) -> tuple[Reals, Reals]:
        """Pictures (n, image_px, image_px, 3) → (embeddings (n, D) of the generalist's net, calibrated probabilities (n, K))."""
        from secondlook.pipeline.learn.specialists.together import asked

        rows = np.arange(len(pixels))
        embed: Any = self.together.generalist.embed
        return (
            asked(embed, pixels, rows, self.precision, self.where),
            asked(self.together.probs, pixels, rows, self.precision, self.where),
        )


def load(lake: "Lake", version: "Version", model: "Model", where: "torch.device") -> Stored:
    """A set with its weights; UserError where its generalist is gone or can't be used any more."""
    from safetensors.torch import load as arrays_of

    from secondlook.jobs.train import stored
    from secondlook.pipeline.learn.specialists.together import Together

    facts = json.loads(read(lake, model.path, FACTS))
    if facts["format"] != FORMAT:
        raise UserError(
            f"{model.name} is stored in format {facts['format']}, this secondlook reads {FORMAT}; make them again"
        )
    general = dataset.model_named(lake, version, facts["generalist"])
    if general is None:
        raise UserError(
            f"{facts['generalist']}, the generalist of {model.name}, is gone; `secondlook specialists` makes new ones"
        )
    found = stored.load(lake, general, where)
    assert found.net is not None, "specialists are made of whole nets alone"
    made = [
        specialist(found.net, one["members"], arrays_of(read(lake, one["path"], WEIGHTS)))
        for one in facts["specialists"]
    ]
    means = tuple(model.classes[place] if place >= 0 else "" for place in model.follows)
    together = Together(found.net, made, facts["active"], facts["temperature"])
    return Stored(model.name, means, found.image_px, facts, together, precision_of(found.facts), where)


def specialist(like: "nn.Module", members: Sequence[int], weights: "Mapping[str, Tensor]") -> "Specialist":
    """The specialist for `members`, class numbers, that these weights are of; its net is made as the generalist's, `like`."""
    import torch

    from secondlook.pipeline.learn.specialists.fit import Specialist

    net = copy.deepcopy(like)
    net.load_state_dict(weights)
    return Specialist(net.eval(), torch.tensor(members))


def precision_of(facts: Mapping[str, Any]) -> str:
    """What the generalist is asked in, of its model.json: `small` knows one way only."""
    return str(facts.get("precision", "auto"))


def read(lake: "Lake", path: str, file: str) -> bytes:
    """A file of a model's folder."""
    data: bytes = lake.fs.cat_file(f"{lake.root}/{path}/{file}")
    return data
