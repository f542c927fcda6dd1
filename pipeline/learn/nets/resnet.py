"""Residual nets for small pictures (He et al. 2016, section 4.2), and a shallow wide one that is trained fastest."""

from torch import Tensor, nn

from secondlook.pipeline.learn.nets.layers import convolved


class Residual(nn.Module):
    """Two convolutions of 3×3 beside a way around them."""

    def __init__(self, into: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(convolved(into, out, stride=stride), convolved(out, out, act=None))
        same = into == out and stride == 1
        self.around = nn.Identity() if same else convolved(into, out, 1, stride, act=None)
        self.act = nn.ReLU()

    def forward(self, shown: Tensor) -> Tensor:
        """(n, into, h, w) → (n, out, h / stride, w / stride)."""
        out: Tensor = self.act(self.body(shown) + self.around(shown))
        return out


def resnet(width: int, blocks: int = 1) -> tuple[nn.Module, int]:
    """Three stages of `blocks` residual blocks with width, 2 × width and 4 × width channels: (features, D)."""
    layers: list[nn.Module] = [convolved(3, width)]
    into = width
    for stage in range(3):
        for block in range(blocks):
            out = width * 2**stage
            layers.append(Residual(into, out, 2 if stage and not block else 1))
            into = out
    return nn.Sequential(*layers), into


def quick(width: int) -> tuple[nn.Module, int]:
    """The nine layers of the fastest entries to DAWNBench (Page 2018, "How to Train Your ResNet"): (features, D)."""
    layers = [
        convolved(3, width),
        convolved(width, 2 * width),
        nn.MaxPool2d(2),
        Residual(2 * width, 2 * width),
        convolved(2 * width, 4 * width),
        nn.MaxPool2d(2),
        convolved(4 * width, 8 * width),
        nn.MaxPool2d(2),
        Residual(8 * width, 8 * width),
    ]
    return nn.Sequential(*layers), 8 * width
