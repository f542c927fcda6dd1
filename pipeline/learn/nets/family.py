"""Nets by name: `resnet:32`, `quick:32`, `mobilenet-v1:0.5`. A name and three numbers make a net again."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.nets.mobilenet_v1 import mobilenet_v1
from secondlook.pipeline.learn.nets.resnet import quick, resnet
from secondlook.pipeline.learn.torch_setup import Dropout, seeded


@dataclass(frozen=True)
class NetSpec:
    """What a net is before it has weights. `name`: family and size, such as mobilenet-v1:0.5; `drop`: share of the
    embedding that is dropped in training."""

    name: str
    n_classes: int
    image_px: int
    drop: float = 0.0


Features = Callable[[float, int], tuple[nn.Module, int]]  # size, image_px → features, their width

FAMILIES: dict[str, tuple[Features, str]] = {
    "resnet": (lambda size, px: resnet(int(size)), "channels of the first of three stages"),
    "resnet-2": (lambda size, px: resnet(int(size), 2), "channels of the first of three stages of two blocks"),
    "quick": (lambda size, px: quick(int(size)), "channels of the first layer"),
    "mobilenet-v1": (mobilenet_v1, "width multiplier α"),
}


def features(name: str, image_px: int) -> tuple[nn.Module, int]:
    """The net of a name without its last layer, and the width of its embedding; UserError for a name that is none."""
    family, _, size = name.partition(":")
    if family not in FAMILIES:
        raise unknown("net", family, FAMILIES)
    make, meaning = FAMILIES[family]
    try:
        number = float(size)
    except ValueError:
        number = 0.0
    if not 0 < number <= 4096:
        raise UserError(
            f"a net {family} takes its {meaning} after a colon, such as {family}:{_example(family)}, got {name!r}"
        )
    return make(number, image_px)


def _example(family: str) -> str:
    return "0.5" if family == "mobilenet-v1" else "32"


def make(spec: NetSpec, seed: int, where: torch.device) -> nn.Module:
    """The net of a spec with initial weights drawn from a seed, channels-last, on a device."""

    def built(rng: torch.Generator) -> nn.Module:
        body, width = features(spec.name, spec.image_px)
        drop = (lambda: Dropout(spec.drop, rng)) if spec.drop else None
        return Classifier(body, width, spec.n_classes, drop)

    return seeded(built, seed, where).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
