"""Real digits, and nets that have learned a little of them."""

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn

from secondlook.pipeline.learn.nets import family, inverted
from secondlook.pipeline.learn.nets.family import NetSpec
from secondlook.pipeline.learn.nets.layers import SMALL_PX, Classifier
from secondlook.pipeline.learn.students.onnx_file import exported
from secondlook.pipeline.learn.torch_setup import seeded
from secondlook.pipeline.learn.training.loop import Learner, fit, labels_loss
from secondlook.pipeline.learn.training.pictures import Held, shuffled
from secondlook.pipeline.learn.training.recipe import Recipe

CPU = torch.device("cpu")
SIDE = 16
FITTED = 1200  # digits that nets are fitted to
CLASSES = ["<script>alert(1)</script>", 'a "quoted"\nline', "🦁\u202e", "x" * 10_000, "", "\ud800", "b\x00c", *"789"]


@cache
def digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """1,797 pictures (n, SIDE, SIDE, 3), in colours that say nothing, and their labels."""
    data = load_digits()
    grey = [np.asarray(Image.fromarray((one * 15.9).astype(np.uint8)).resize((SIDE, SIDE))) for one in data.images]
    tint = np.random.default_rng(0).uniform(0.5, 1, (len(grey), 1, 1, 3))
    return (np.stack(grey)[..., None] * tint).astype(np.uint8), data.target.astype(np.int64)


def shown(pixels: npt.NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def short() -> nn.Module:
    """EfficientNet's blocks, two of them and not sixteen: every kind of layer of it, and fast to export."""

    def built(rng: torch.Generator) -> nn.Module:
        stages = ((1, 3, 8, 1, 1), (4, 5, 8, 1, 1), (4, 3, 16, 2, 2))
        return Classifier(inverted.stacked(8, stages, 32, SMALL_PX, nn.SiLU, excited=True), 32, 10)

    return seeded(built, 1, CPU).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def made(name: str, seed: int = 1) -> nn.Module:
    return short() if name == "short" else family.make(NetSpec(name, 10, SIDE, drop=0.1), seed, CPU)


@cache
def learned(name: str) -> nn.Module:
    """A net that was fitted to the first digits; not to be changed by who gets it."""
    pixels, labels = digits()
    net = made(name)
    recipe = Recipe(epochs=3, rate=0.1, batch=50, flip=False, shift=0.0, precision="float32")
    held = Held(pixels, shuffled(torch.arange(FITTED), 1), 50, CPU)
    fit([Learner(net, labels_loss(torch.from_numpy(labels), 0.1))], held, recipe, CPU)
    return net.eval()


@cache
def file_of(name: str, *, fitted: bool = True) -> bytes:
    """The ONNX file of a net that has learned, or of one from random weights."""
    return exported(learned(name) if fitted else made(name), SIDE, CLASSES)
