"""SqueezeNet 1.1 (Iandola et al. 2016, and its authors' later version with 2.4 times fewer multiply-adds).

Its authors trained it without batch normalization; here every convolution has it, since without it such a net does not
learn from random weights at the rates of the others. It is folded into the weights when the net is exported.
"""

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.nets.layers import SMALL_PX, convolved

# Channels that are squeezed, and those of each of two expansions; None is a pooling.
FIRES = (None, (16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256))


class Fire(nn.Module):
    """Squeezed to few channels, and expanded by 1×1 and 3×3 side by side."""

    def __init__(self, into: int, squeezed: int, each: int) -> None:
        super().__init__()
        self.squeeze = convolved(into, squeezed, 1)
        self.near, self.wide = convolved(squeezed, each, 1), convolved(squeezed, each)

    def forward(self, shown: Tensor) -> Tensor:
        """(n, into, h, w) → (n, 2 × each, h, w)."""
        squeezed = self.squeeze(shown)
        return torch.cat([self.near(squeezed), self.wide(squeezed)], dim=1)


def squeezenet(alpha: float, image_px: int) -> tuple[nn.Module, int]:
    """(features, D) with every number of channels times α."""
    small = image_px < SMALL_PX
    into = _thinned(64, alpha)
    layers: list[nn.Module] = [convolved(3, into, stride=1 if small else 2)]
    for number, fire in enumerate(FIRES):
        if fire is None:
            layers.append(nn.Identity() if small and number == 0 else nn.MaxPool2d(3, 2, 1))
            continue
        squeezed, each = (_thinned(channels, alpha) for channels in fire)
        layers.append(Fire(into, squeezed, each))
        into = 2 * each
    return nn.Sequential(*layers), into


def _thinned(channels: int, alpha: float) -> int:
    return max(4, round(channels * alpha))
