"""A small convolutional net from scratch, for small pictures: what a laptop trains in seconds where nothing is pretrained."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from secondlook.pipeline.core.odds import as_score, log_odds_against
from secondlook.pipeline.learn import loop
from secondlook.pipeline.learn.batches import spans
from secondlook.pipeline.learn.crossfit import trusted
from secondlook.pipeline.learn.dynamics import Margins, on_scale_of
from secondlook.pipeline.learn.torch_setup import Advance, Dropout, mixed, seeded, side_by_side

Pixels = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]
Weights = dict[str, npt.NDArray[Any]]

CHANNELS = (24, 48, 96)
MIN_PX = 8
BLOCK = 512
RATE, DECAY, SMOOTHING = 4e-3, 2e-2, 0.1
SHIFT, TURN, ZOOM = 0.06, 0.12, 0.08  # share of the side, radians, share: never a flip, that turns a 2 into no digit
REFIT_SHARE = 0.5  # of the epochs, for a fit that goes on from the one before


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


@torch.inference_mode()
def ask(pixels: Pixels, weights: Weights, where: torch.device) -> tuple[Reals, Reals]:
    """(embeddings (n, D), probabilities (n, K)) of pictures (n, side, side, 3)."""
    n_classes, width = weights["last.weight"].shape
    net = SmallNet(n_classes, torch.Generator())
    net.load_state_dict(_tensors(weights))
    net = net.to(device=where, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
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
class SmallModel:
    """Nets of each fold, whose average says what a picture shows, and one of all labels, which embeds it."""

    folds: tuple[Weights, ...]
    whole: Weights
    temperature: float = 1.0

    def probs(self, pixels: Pixels, where: torch.device) -> Reals:
        """(n, K), before calibration, for pictures that no fold has seen: the average of all folds."""
        asked = [ask(pixels, weights, where)[1] for weights in self.folds]
        return np.asarray(sum(asked) / np.float32(len(asked)), np.float32)


@dataclass(frozen=True)
class CrossFit:
    """probs (N, K): out of sample for every picture with a fold (other rows are 0); `learned` (N,): the labels that the
    last fit learned from; the model; `evidence` as of `ensemble.CrossFit`."""

    probs: Reals
    learned: npt.NDArray[np.bool_]
    model: SmallModel
    evidence: Mapping[str, Reals]


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
    """As `ensemble.cross_fit`, for nets from scratch: a refit goes on from the weights before, on trusted labels.

    Neighbours give no evidence: the embedding's net has learned from the labels that they would speak of.
    `importance` (N,), mean 1: how much each label counts.
    """
    n_folds = int(folds.max()) + 1
    learned = folds >= 0
    given = np.where(folds >= 0, labels, -1)
    margins = [Margins(len(labels)) for _ in range(n_folds)]  # of the first fits, which run side by side
    odds: list[Reals] = []
    weights: list[Weights] = []
    probs = np.zeros((len(labels), n_classes), np.float32)

    def fit_on(rows: Ints, number: int, again: int, start: Weights | None) -> Callable[[Advance], Weights]:
        options = {"epochs": _epochs(epochs, again if start else 0), "batch": batch}
        number_seed = (seed + again) * 100 + number
        watch = margins[number] if again == 0 and number < n_folds else None
        return lambda told: fit(
            pixels, labels, rows, n_classes,
            **options, seed=number_seed, where=where, start=start, importance=importance, watch=watch, advance=told,
        )  # fmt: skip

    for again in range(refits + 1):
        if again:
            learned = (folds >= 0) & trusted(given, probs)
        tasks = [
            fit_on(np.flatnonzero(learned & (folds != fold)), fold, again, weights[fold] if again else None)
            for fold in range(n_folds)
        ]
        if again == refits:  # and next to the last ones the net of all labels
            tasks.insert(0, fit_on(np.flatnonzero(learned), n_folds, again, None))
        done = side_by_side(tasks, where, advance)
        weights = done[-n_folds:]
        for fold in range(n_folds):
            held_out = np.flatnonzero(folds == fold)
            probs[held_out] = ask(pixels[held_out], weights[fold], where)[1]
        odds.append(log_odds_against(given, probs))
    kinds = {"held_out": odds[0], "dynamics": on_scale_of(-sum(margins[1:], start=margins[0]).area(), odds[0])}
    if refits:
        kinds["refit"] = odds[-1]
    evidence = {name: as_score(value) for name, value in kinds.items()}
    return CrossFit(probs, learned, SmallModel(tuple(weights), done[0]), evidence)


def _epochs(epochs: int, again: int) -> int:
    return epochs if again == 0 else math.ceil(REFIT_SHARE * epochs)


def work(folds: Ints, refits: int, epochs: int) -> int:
    """About how much `cross_fit` will advance: a refit learns from somewhat fewer labels."""
    labeled = folds[folds >= 0]
    one_round = sum(len(labeled) - int(n) for n in np.bincount(labeled))
    return one_round * sum(_epochs(epochs, again) for again in range(refits + 1)) + len(labeled) * epochs


def to_arrays(model: SmallModel) -> Weights:
    """All of it as arrays by name, for a safetensors file; `from_arrays` takes them back."""
    arrays = {"temperature": np.array([model.temperature], np.float64)}
    for part, weights in [
        *((f"fold.{fold}", weights) for fold, weights in enumerate(model.folds)),
        ("whole", model.whole),
    ]:
        arrays |= {f"{part}/{name}": value for name, value in weights.items()}
    return arrays


def from_arrays(arrays: Weights) -> SmallModel:
    """The model that `to_arrays` was given."""
    parts: dict[str, Weights] = {}
    for name, value in arrays.items():
        part, _, weight = name.partition("/")
        if weight:
            parts.setdefault(part, {})[weight] = value
    whole = parts.pop("whole")
    folds = tuple(parts[part] for part in sorted(parts, key=lambda part: int(part.split(".")[1])))
    return SmallModel(folds, whole, float(arrays["temperature"][0]))
