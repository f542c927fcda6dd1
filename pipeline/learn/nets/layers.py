"""What nets are made of: a convolution with its normalization, depthwise ones, and a head that embeds before it decides."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.torch_setup import Dropout

# Nets that were made for 224 px halve their maps five times. For pictures below this side the first two halvings are left
# out: at 32 px one place would be left, at which all that is known of where something lies is gone.
SMALL_PX = 96


# Below so many channels oneDNN (3.12 and before, with AVX-512) writes beyond its memory in the gradient of the weights of a
# 1×1 convolution that skips places, where pictures lie channels last: https://github.com/uxlfoundation/oneDNN/issues/6035
FEW = 16


class Convolution(nn.Conv2d):
    """`nn.Conv2d`, whose gradient is right and kills no process where a 1×1 convolution of few channels skips places."""

    def forward(self, shown: Tensor) -> Tensor:
        """(n, into, h, w) → (n, out, h / stride, w / stride)."""
        down, right = self.stride
        if self.training and shown.is_cpu and self.kernel_size == (1, 1) and down * right > 1 and shown.shape[1] < FEW:
            kept = shown[:, :, ::down, ::right]  # the places that it looks at: the same products
            return nn.functional.conv2d(kept, self.weight, self.bias, groups=self.groups)
        return super().forward(shown)


def convolved(
    into: int, out: int, side: int = 3, stride: int = 1, groups: int = 1, act: type[nn.Module] | None = nn.ReLU
) -> nn.Sequential:
    """A convolution without bias, batch normalization, and what activates (a rectifier, another, or nothing)."""
    layers: list[nn.Module] = [
        Convolution(into, out, side, stride, side // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, *([act()] if act else []))


@contextlib.contextmanager
def evaluated(net: nn.Module) -> Iterator[nn.Module]:
    """The net as it is asked, and afterwards each part of it as it was."""
    learning = [one for one in net.modules() if one.training]
    try:
        yield net.eval()
    finally:
        for one in learning:
            one.training = True


def divisible(channels: float) -> int:
    """The multiple of 8 next to a number of channels, at least 8 and at least 9/10 of it: as the MobileNets are scaled."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class Classifier(nn.Module):
    """`features` (n, 3, side, side) → maps (n, D, h, w), their mean (the embedding), then a linear layer `last`.

    Every net of the family is one, so that whoever cuts a head off, adds a class or exports one knows where it is.
    Pictures come as they are, 0..255 of any number type: how they are scaled is a part of the net.
    """

    def __init__(
        self, features: nn.Module, width: int, n_classes: int, drop: Callable[[], Dropout] | None = None
    ) -> None:
        super().__init__()
        self.features = features
        self.drop: nn.Module = drop() if drop else nn.Identity()
        self.last = nn.Linear(width, n_classes)

    def embed(self, shown: Tensor) -> Tensor:
        """(n, 3, side, side) → (n, D)."""
        return torch.flatten(self.features(shown.float() / 63.75 - 2.0).mean(dim=(2, 3)), 1)

    def forward(self, shown: Tensor) -> Tensor:
        """(n, 3, side, side) → (n, K) logits."""
        out: Tensor = self.last(self.drop(self.embed(shown)))
        return out
