"""MobileNetV1 (Howard et al. 2017, table 1): depthwise separable convolutions, thinner by a width multiplier α.

The resolution multiplier ρ is the side of the pictures. At 128 to 224 px multiply-adds and parameters are those of the
paper's tables 6 and 7.
"""

from torch import nn

from secondlook.pipeline.learn.nets.layers import SMALL_PX, convolved

# Channels and stride of the thirteen pairs of a depthwise and a pointwise convolution.
PAIRS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


def mobilenet_v1(alpha: float, image_px: int) -> tuple[nn.Module, int]:
    """(features, D) with every number of channels times α."""
    halvings_left_out = 2 if image_px < SMALL_PX else 0
    into = _thinned(32, alpha)
    layers: list[nn.Module] = [convolved(3, into, stride=1 if halvings_left_out else 2)]
    for number, (channels, stride) in enumerate(PAIRS):
        out = _thinned(channels, alpha)
        stride = 1 if halvings_left_out and number < 2 else stride  # noqa: PLW2901 — the paper's stride, but for small pictures
        layers += [convolved(into, into, stride=stride, groups=into), convolved(into, out, 1)]
        into = out
    return nn.Sequential(*layers), into


def _thinned(channels: int, alpha: float) -> int:
    return max(8, round(channels * alpha))
