"""A small convolutional net from scratch, for small pictures: what a laptop trains in seconds where nothing is pretrained."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn import fold_nets, loop
from secondlook.pipeline.learn.batches import spans
from secondlook.pipeline.learn.fold_nets import CrossFit, Fit, FoldNets
from secondlook.pipeline.learn.torch_setup import Advance, Dropout, mixed, seeded

Pixels = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]
Weights = dict[str, npt.NDArray[Any]]

CHANNELS = (24, 48, 96)
MIN_PX = 8
BLOCK = 512
RATE, DECAY, SMOOTHING = 4e-3, 2e-2, 0.1
SHIFT, TURN, ZOOM = 0.06, 0.12, 0.08  # share of the side, radians, share: never a flip, that turns a 2 into no digit


class SmallNet(nn.Module):
    """Three convolutions with pooling, then mean and maximum over places (the embedding), then a linear layer.

    Input (n, 3, side, side) in 0..255; `embed` gives (n, 192), `forward` logits (n, K).
    """

    def __init__(self, n_classes: int, rng: torch.Generator) -> None:
        super().__init__()
        widths = (3, *CHANNELS)
        blocks: list[nn.Module] = []
        for into, out in pairwise(widths):
            first = into == 3
            blocks.append(nn.Conv2d(into, out, 3, stride=2 if first else 1, padding=1, bias=False))
            if not first:
                blocks.append(nn.MaxPool2d(2, ceil_mode=True))  # before what follows: a quarter of the places
            blocks += [nn.BatchNorm2d(out), nn.ReLU()]
        self.features = nn.Sequential(*blocks)
        self.drop = Dropout(0.2, rng)
        self.last = nn.Linear(2 * CHANNELS[-1], n_classes)

    def embed(self, shown: Tensor) -> Tensor:
        """(n, 3, side, side) → (n, 192)."""
        maps = self.features(shown.float() / 127.5 - 1.0)
        return torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)

    def forward(self, shown: Tensor) -> Tensor:
        """(n, 3, side, side) → (n, K) logits."""
        out: Tensor = self.last(self.drop(self.embed(shown)))
        return out


def jitter(shown: Tensor, rng: torch.Generator) -> Tensor:
    """Pictures (n, 3, side, side) moved, turned and zoomed a little, each by its own draw; edges are repeated."""
    n = len(shown)
    turn = (torch.rand(n, generator=rng) * 2 - 1) * TURN
    zoom = 1 + (torch.rand(n, 2, generator=rng) * 2 - 1) * ZOOM
    moved = (torch.rand(n, 2, generator=rng) * 2 - 1) * 2 * SHIFT
    maps = torch.empty(n, 2, 3)
    maps[:, 0, 0], maps[:, 0, 1] = turn.cos() * zoom[:, 0], -turn.sin()
    maps[:, 1, 0], maps[:, 1, 1] = turn.sin(), turn.cos() * zoom[:, 1]
    maps[:, :, 2] = moved
    grid = nn.functional.affine_grid(maps.to(shown.device), list(shown.shape), align_corners=False)
    moved_pictures = nn.functional.grid_sample(shown.float(), grid, padding_mode="border", align_corners=False)
    return moved_pictures.contiguous(memory_format=torch.channels_last)


def _tensor(pixels: Pixels) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)  # channels-last in memory as it is


def fit(
    pixels: Pixels,
    labels: Ints,
    rows: Ints,
    n_classes: int,
    *,
    epochs: int,
    batch: int,
    seed: int,
    where: torch.device,
    start: Weights | None = None,
    importance: Reals | None = None,
    watch: loop.Watch | None = None,
    advance: Advance = lambda n: None,
) -> Weights:
    """Weights fitted to the pictures `rows` of pixels (N, side, side, 3), with labels (N,) in 0..K-1.

    With `start` the fit goes on from those weights, at half the rate. `importance` (N,), `watch`: see loop.fit. The same seed gives the same bytes on a CPU.
    """
    net = seeded(partial(SmallNet, n_classes), seed, where)
    if start is not None:
        net.load_state_dict(_tensors(start))
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loop.fit(
        net,
        _tensor(pixels),
        torch.from_numpy(labels),
        torch.from_numpy(rows),
        epochs=epochs,
        batch=min(batch, max(16, len(rows) // 8)),
        rate=RATE if start is None else RATE / 2,
        decay=DECAY,
        smoothing=SMOOTHING,
        seed=seed,
        importance=None if importance is None else torch.from_numpy(importance),
        augment=jitter,
        watch=watch,
        advance=advance,
    )
    return {name: value.detach().cpu().numpy() for name, value in net.state_dict().items()}


def _tensors(weights: Weights) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}


def net_of(weights: Weights, where: torch.device) -> SmallNet:
    """The net that these weights are of, ready to be asked."""
    net = SmallNet(len(weights["last.weight"]), torch.Generator())
    net.load_state_dict(_tensors(weights))
    made: SmallNet = net.to(device=where, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return made


@torch.inference_mode()
def ask(pixels: Pixels, weights: Weights, where: torch.device) -> tuple[Reals, Reals]:
    """(embeddings (n, D), probabilities (n, K)) of pictures (n, side, side, 3)."""
    n_classes, width = weights["last.weight"].shape
    net = net_of(weights, where)
    embeddings = np.empty((len(pixels), width), np.float32)
    probs = np.empty((len(pixels), n_classes), np.float32)
    for part in spans(len(pixels), BLOCK):
        with mixed(where):
            seen = net.embed(_tensor(pixels[part]).to(where))
            logits = net.last(seen)
        embeddings[part] = seen.float().cpu().numpy()
        probs[part] = torch.softmax(logits.float(), dim=1).cpu().numpy()
    return embeddings, probs


@dataclass(frozen=True)
class SmallFitter:
    """A `fold_nets.Fitter` of small nets for pixels (N, side, side, 3) with labels (N,) in 0..K-1; see `fit`."""

    pixels: Pixels
    labels: Ints
    n_classes: int
    batch: int
    where: torch.device
    importance: Reals | None = None
    at_once: int = 64  # a small net leaves cores idle: as many as there are threads

    def fit(self, one: Fit, advance: Advance) -> Weights:
        """See `Fitter`."""
        return fit(
            self.pixels, self.labels, one.rows, self.n_classes,
            epochs=one.epochs, batch=self.batch, seed=one.seed, where=self.where, start=one.start,
            importance=self.importance, watch=one.watch, advance=advance,
        )  # fmt: skip

    def ask(self, rows: Ints, weights: Weights) -> tuple[Reals, Reals]:
        """See `Fitter`."""
        parts = [ask(self.pixels[rows[part]], weights, self.where) for part in spans(max(1, len(rows)), 16 * BLOCK)]
        return np.concatenate([seen for seen, _ in parts]), np.concatenate([said for _, said in parts])


def probs(pixels: Pixels, nets: FoldNets, where: torch.device) -> Reals:
    """(n, K), before calibration, for pictures (n, side, side, 3) that no fold has seen: the average of all folds."""
    asked = [ask(pixels, weights, where)[1] for weights in nets.folds]
    return np.asarray(sum(asked) / np.float32(len(asked)), np.float32)


def cross_fit(
    pixels: Pixels,
    labels: Ints,
    folds: Ints,
    n_classes: int,
    *,
    refits: int,
    epochs: int,
    batch: int,
    seed: int,
    where: torch.device,
    importance: Reals | None = None,
    advance: Advance = lambda n: None,
) -> CrossFit:
    """`fold_nets.cross_fit` of small nets. `importance` (N,), mean 1: how much each label counts."""
    fitter = SmallFitter(pixels, labels, n_classes, batch, where, importance)
    options = {"refits": refits, "epochs": epochs, "seed": seed, "where": where, "advance": advance}
    return fold_nets.cross_fit(fitter, labels, folds, n_classes, **options)  # type: ignore[arg-type]
