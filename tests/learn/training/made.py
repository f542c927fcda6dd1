"""Small pictures whose class can be seen, and nets that learn it in a second."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.torch_setup import Dropout, seeded
from secondlook.pipeline.learn.training.loop import Learner, fit, labels_loss
from secondlook.pipeline.learn.training.pictures import Held, shuffled
from secondlook.pipeline.learn.training.recipe import Recipe

CPU = torch.device("cpu")
N, SIDE, K = 48, 8, 3
RECIPE = Recipe(epochs=4, batch=16, rate=0.05, colour=0.1, cut=0.25, seed=3)


def pictures(n: int = N, side: int = SIDE, seed: int = 0) -> tuple["np.ndarray[Any, Any]", Tensor]:
    """(n, side, side, 3) uint8 of noise, whose upper half is as bright as its class; labels (n,) in 0..2."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, K, n)
    pixels = rng.integers(0, 80, (n, side, side, 3), dtype=np.uint8)
    pixels[:, : side // 2] += (labels * 80).astype(np.uint8)[:, None, None, None]
    return pixels, torch.from_numpy(labels)


def conv_net(seed: int) -> nn.Module:
    """A net with batch normalization and dropout of its own generator."""
    return make(NetSpec("resnet:4", K, SIDE, drop=0.2), seed, CPU)


def plain_net(seed: int) -> nn.Module:
    """A net without batch statistics, whose dropout draws from torch's one generator where `seed` is odd."""

    def built(rng: torch.Generator) -> nn.Module:
        drop = nn.Dropout(0.1) if seed % 2 else Dropout(0.0, rng)
        return nn.Sequential(Scaled(), nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), drop, nn.Linear(6 * 36, K))

    return seeded(built, seed, CPU)


class Scaled(nn.Module):
    """Pictures 0..255 → about -2..2."""

    def forward(self, shown: Tensor) -> Tensor:
        return shown.float() / 63.75 - 2


def fitted(
    recipe: Recipe, *seeds: int, net: Callable[[int], nn.Module] = conv_net, **options: object
) -> tuple[list[nn.Module], list[list[float]]]:
    """Nets of these seeds, fitted side by side to the made pictures, and their losses."""
    pixels, labels = pictures()
    nets = [net(seed) for seed in seeds]
    loss = labels_loss(labels, recipe.smoothing)
    held = Held(pixels, shuffled(torch.arange(N), recipe.seed), recipe.batch, CPU)
    losses = fit([Learner(one, loss) for one in nets], held, recipe, CPU, **options)  # type: ignore[arg-type]
    return nets, losses


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether two nets have the same bytes."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(left, right) for left, right in pairs)
