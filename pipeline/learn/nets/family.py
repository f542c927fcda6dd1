"""Nets by name: `resnet:32`, `mobilenet-v1:0.5`, `efficientnet:b0`. A name and three numbers make a net again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.learn.nets import from_config, inverted
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.nets.mobilenet_v1 import mobilenet_v1
from secondlook.pipeline.learn.nets.resnet import quick, resnet
from secondlook.pipeline.learn.nets.squeezenet import squeezenet
from secondlook.pipeline.learn.torch_setup import Dropout, seeded


@dataclass(frozen=True)
class NetSpec:
    """What a net is before it has weights. `name`: family and size, such as mobilenet-v1:0.5; `drop`: share of the
    embedding that is dropped in training."""

    name: str
    n_classes: int
    image_px: int
    drop: float = 0.0


@dataclass(frozen=True)
class Family:
    """Nets that differ in one size. `make`: size and image_px → features and their width. The size is one of `sizes`, or
    where there are none a number of `kind` from `low` to `high`. `least_px`: side of the smallest pictures that they halve
    as often as they do."""

    make: Callable[[Any, int], tuple[nn.Module, int]]
    about: str
    size: str
    example: str
    sizes: tuple[str, ...] = ()
    kind: type[int] | type[float] = float
    low: float = 0.05
    high: float = 4.0
    least_px: int = 8

    def allowed(self) -> str:
        """What a size may be, for sentences."""
        return ", ".join(self.sizes) if self.sizes else f"from {self.low:g} to {self.high:g}"

    def read(self, text: str) -> str | float | None:
        """The size of a text; None where it is none."""
        if self.sizes:
            return text if text in self.sizes else None
        try:
            number = self.kind(text)
        except ValueError:
            return None
        return number if self.low <= number <= self.high else None


_residual: Callable[..., Family] = partial(
    Family, size="channels of the first of three stages", example="16", kind=int, low=4, high=1024
)
_thinned: Callable[..., Family] = partial(Family, size="width multiplier α", example="0.5")


def _listed(
    make: Callable[[Any, int], tuple[nn.Module, int]], about: str, sizes: Mapping[str, Any], least_px: int = 8
) -> Family:
    return Family(make, about, "size", next(iter(sizes)), tuple(sizes), least_px=least_px)


FAMILIES: dict[str, Family] = {
    "quick": Family(
        lambda size, px: quick(size),
        "nine wide layers that learn fast on a GPU (Page 2018)",
        "channels of the first layer",
        "32",
        kind=int,
        low=4,
        high=1024,
    ),
    "resnet": _residual(lambda size, px: resnet(size), "residual net of 8 layers for small pictures (He et al. 2016)"),
    "resnet-2": _residual(lambda size, px: resnet(size, 2), "residual net of 14 layers"),
    "resnet-3": _residual(
        lambda size, px: resnet(size, 3), "residual net of 20 layers: with 16 channels the paper's ResNet-20"
    ),
    "resnet-9": _residual(
        lambda size, px: resnet(size, 9), "residual net of 56 layers: with 16 channels the paper's ResNet-56"
    ),
    "resnet-deep": _listed(
        from_config.resnet_deep, "residual net for large pictures (He et al. 2016)", from_config.RESNETS
    ),
    "mobilenet-v1": _thinned(mobilenet_v1, "depthwise separable convolutions (Howard et al. 2017)"),
    "mobilenet-v2": _thinned(inverted.mobilenet_v2, "inverted residuals (Sandler et al. 2018)"),
    "squeezenet": _thinned(squeezenet, "few parameters (Iandola et al. 2016), with batch normalization"),
    "efficientnet": _listed(
        inverted.efficientnet, "width and depth scaled together (Tan and Le 2019)", inverted.SCALES
    ),
    "convnext": _listed(from_config.convnext, "ConvNeXt V2 (Woo et al. 2023)", from_config.CONVNEXTS, least_px=16),
    "vit": _listed(from_config.vit, "vision transformer (Touvron et al. 2021)", from_config.VITS),
}


def described() -> list[tuple[str, str, str]]:
    """Of each family, for people: an example of a name, what the size means and may be, what it is."""
    return [(f"{name}:{one.example}", f"{one.size}, {one.allowed()}", one.about) for name, one in FAMILIES.items()]


def features(name: str, image_px: int) -> tuple[nn.Module, int]:
    """The net of a name without its last layer, and the width of its embedding.

    Raises UserError for a name that is none, and for pictures that are too small.
    """
    first, _, text = name.partition(":")
    if first not in FAMILIES:
        raise unknown("net", first, FAMILIES)
    family = FAMILIES[first]
    size = family.read(text)
    if size is None:
        raise UserError(
            f"a net {first} takes its {family.size} after a colon ({family.allowed()}), such as "
            f"{first}:{family.example}, got {name[:60]!r}"
        )
    if image_px < family.least_px:
        raise UserError(f"a net {first} takes pictures of at least {family.least_px} pixels a side, got {image_px}")
    return family.make(size, image_px)


def make(spec: NetSpec, seed: int, where: torch.device) -> nn.Module:
    """The net of a spec with initial weights drawn from a seed, channels-last, on a device."""

    def built(rng: torch.Generator) -> nn.Module:
        body, width = features(spec.name, spec.image_px)
        drop = (lambda: Dropout(spec.drop, rng)) if spec.drop else None
        return Classifier(body, width, spec.n_classes, drop)

    return seeded(built, seed, where).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
