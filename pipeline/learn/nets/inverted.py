"""MobileNetV2 (Sandler et al. 2018) and EfficientNet (Tan and Le 2019): blocks that are wide inside and thin outside."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from secondlook.pipeline.learn.nets.layers import SMALL_PX, convolved, divisible

# Of each stage: how many times wider inside, side of the depthwise kernel, channels, blocks, stride of the first.
Stage = tuple[int, int, int, int, int]
MOBILENET_V2: tuple[Stage, ...] = (  # table 2 of its paper
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 3, 32, 3, 2),
    (6, 3, 64, 4, 2),
    (6, 3, 96, 3, 1),
    (6, 3, 160, 3, 2),
    (6, 3, 320, 1, 1),
)
EFFICIENTNET: tuple[Stage, ...] = (  # table 1 of its paper
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
)
SCALES = {  # of width and depth; the paper's resolution is the side of the pictures
    "b0": (1.0, 1.0),
    "b1": (1.0, 1.1),
    "b2": (1.1, 1.2),
    "b3": (1.2, 1.4),
    "b4": (1.4, 1.8),
    "b5": (1.6, 2.2),
    "b6": (1.8, 2.6),
    "b7": (2.0, 3.1),
}


class Excited(nn.Module):
    """Channels weighed by what all of the picture holds (squeeze and excitation, Hu et al. 2018)."""

    def __init__(self, channels: int, inside: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.Conv2d(channels, inside, 1), nn.SiLU(), nn.Conv2d(inside, channels, 1), nn.Sigmoid()
        )

    def forward(self, shown: Tensor) -> Tensor:
        """(n, channels, h, w) → the same shape."""
        out: Tensor = shown * self.weigh(shown.mean(dim=(2, 3), keepdim=True))
        return out


class Inverted(nn.Module):
    """Widened, convolved channel by channel, and narrowed without a rectifier; beside a way around where shapes allow."""

    def __init__(
        self, into: int, out: int, wider: int, side: int, stride: int, act: type[nn.Module], excited: bool
    ) -> None:
        super().__init__()
        inside = into * wider
        layers: list[nn.Module] = [convolved(into, inside, 1, act=act)] if wider > 1 else []
        layers.append(convolved(inside, inside, side, stride, inside, act))
        if excited:
            layers.append(Excited(inside, max(1, into // 4)))
        self.body = nn.Sequential(*layers, convolved(inside, out, 1, act=None))
        self.around = into == out and stride == 1

    def forward(self, shown: Tensor) -> Tensor:
        """(n, into, h, w) → (n, out, h / stride, w / stride)."""
        out: Tensor = self.body(shown)
        return out + shown if self.around else out


def mobilenet_v2(alpha: float, image_px: int) -> tuple[nn.Module, int]:
    """(features, D) with every number of channels times α; D is 1280 times α, and 1280 for an α below 1."""
    stages = [(wider, side, divisible(out * alpha), n, stride) for wider, side, out, n, stride in MOBILENET_V2]
    last = divisible(1280 * max(1.0, alpha))
    return stacked(divisible(32 * alpha), stages, last, image_px, nn.ReLU6, excited=False), last


def efficientnet(size: str, image_px: int) -> tuple[nn.Module, int]:
    """(features, D) of a size from b0 to b7."""
    width, depth = SCALES[size]
    stages = [
        (wider, side, divisible(out * width), math.ceil(n * depth), stride)
        for wider, side, out, n, stride in EFFICIENTNET
    ]
    last = divisible(1280 * width)
    return stacked(divisible(32 * width), stages, last, image_px, nn.SiLU, excited=True), last


def stacked(
    first: int, stages: Sequence[Stage], last: int, image_px: int, act: type[nn.Module], *, excited: bool
) -> nn.Module:
    """Stages of blocks between a first convolution and a last one, of so many channels."""
    small = image_px < SMALL_PX
    layers: list[nn.Module] = [convolved(3, first, stride=1 if small else 2, act=act)]
    into = first
    for number, (wider, side, out, n, stride) in enumerate(stages):
        for block in range(n):
            halves = stride if block == 0 and not (small and number < 2) else 1
            layers.append(Inverted(into, out, wider, side, halves, act, excited))
            into = out
    return nn.Sequential(*layers, convolved(into, last, 1, act=act))
