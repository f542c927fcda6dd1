"""What turns an embedding into probabilities: three cheap views of it, averaged.

A linear softmax sees directions, nearest neighbours see places, a small MLP sees both and more; they are wrong in
different places, so that their average is better than each (measured: docs/results/heads.md). All of them are fitted
and applied in blocks, so that many pictures and many classes cost time, not memory.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn import loop
from secondlook.pipeline.learn.batches import spans
from secondlook.pipeline.learn.torch_setup import Advance, Dropout, seeded

Reals = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Weights = dict[str, npt.NDArray[Any]]
Nets = dict[str, Weights]  # by name of the head

BLOCK = 2048  # rows that are looked at at once
NEIGHBORS = 50
SHARPNESS = 0.1  # a neighbour counts exp((similarity - that of the nearest) / this)
NEIGHBOR_DIMENSIONS = 256
HIDDEN = 512
WEIGHTS = {"linear": 1.0, "neighbors": 2.0, "mlp": 2.0}  # of the average


@dataclass(frozen=True)
class Seen:
    """Embeddings as heads see them: `scaled` (N, D), and `directions` (N, d), unit vectors for neighbours."""

    scaled: Tensor
    directions: Tensor


@dataclass(frozen=True)
class Space:
    """How heads see an embedding (N, D): centred and scaled, and (for neighbours) turned to its main directions.

    Fitted on all embeddings; it never sees a label. `center`, `scale`: (D,). `basis`: (D, d). `rooted`: (1,), not 0 where
    square roots are taken first.
    """

    center: Reals
    scale: Reals
    basis: Reals
    rooted: Reals = field(default_factory=lambda: np.zeros(1, np.float32))

    def see(self, embeddings: Reals) -> Seen:
        """Embeddings (N, D) in this space. Directions are rounded to half precision, as they are stored."""
        basis = torch.from_numpy(self.basis)
        scaled = torch.empty(embeddings.shape)
        directions = torch.empty((len(embeddings), basis.shape[1]))
        for rows in spans(len(embeddings), BLOCK):
            scaled[rows] = torch.from_numpy((self.eased(embeddings[rows]) - self.center) / self.scale)
            directions[rows] = nn.functional.normalize(scaled[rows] @ basis).half().float()
        return Seen(scaled, directions)

    def eased(self, embeddings: Reals) -> Reals:
        """Embeddings (n, D), their roots where the space is `rooted`."""
        return np.sqrt(np.maximum(embeddings, 0)) if self.rooted.any() else embeddings


def fit_space(embeddings: Reals, *, most: int = 100_000) -> Space:
    """The space of embeddings (N, D): the main directions are divided by the fourth root of their variance.

    Half-way between the principal components as they are and whitened ones, where weak directions drown in noise; on
    CIFAR-10N neighbours in it are right 1.4 points of a hundred more often than in the components as they are. Embeddings
    that are never negative are means of what a rectifier let through, few large among many small; their square roots are
    spread more evenly, and neighbours and nets on them are right 0.7 points more often (docs/results/evidence.md).
    """
    sample = embeddings[:: -(-len(embeddings) // most)] if len(embeddings) else embeddings
    rooted = bool(len(sample)) and float(sample.min()) >= 0
    if rooted:
        sample = np.sqrt(sample)
    center = sample.mean(axis=0, dtype=np.float64)
    scale = sample.std(axis=0, dtype=np.float64) + 1e-6
    width = embeddings.shape[1]
    moments = np.zeros((width, width))
    for rows in spans(len(sample), 8 * BLOCK):
        block = ((sample[rows] - center) / scale).astype(np.float32)
        moments += block.T @ block
    variances, vectors = np.linalg.eigh(moments / max(1, len(sample)))
    kept = min(NEIGHBOR_DIMENSIONS, width)
    variances, vectors = variances[::-1][:kept], vectors[:, ::-1][:, :kept]
    vectors = vectors * np.where(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0) < 0, -1, 1)
    basis = vectors / np.maximum(variances, 1e-6) ** 0.25
    return Space(
        center.astype(np.float32),
        scale.astype(np.float32),
        np.ascontiguousarray(basis, np.float32),
        np.full(1, rooted, np.float32),
    )


def _linear(width: int, n_classes: int, rng: torch.Generator) -> nn.Module:
    layer = nn.Linear(width, n_classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _mlp(width: int, n_classes: int, rng: torch.Generator) -> nn.Module:
    return nn.Sequential(
        Dropout(0.2, rng),
        nn.Linear(width, HIDDEN),
        nn.BatchNorm1d(HIDDEN),
        nn.ReLU(),
        Dropout(0.5, rng),
        nn.Linear(HIDDEN, n_classes),
    )


@dataclass(frozen=True)
class Recipe:
    """How a head that is a net is fitted; `epochs` for up to 80,000 pictures, fewer for more."""

    make: Callable[[int, int, torch.Generator], nn.Module]
    epochs: int
    batch: int
    rate: float
    decay: float
    smoothing: float


NETS = {
    "linear": Recipe(_linear, epochs=12, batch=512, rate=1e-3, decay=1e-1, smoothing=0.1),
    "mlp": Recipe(_mlp, epochs=12, batch=256, rate=3e-3, decay=1e-2, smoothing=0.1),
}


def _epochs(recipe: Recipe, n: int) -> int:
    """At least some 300 steps where there are few pictures, at least 2 passes where there are millions."""
    steps = max(1, math.ceil(n / _batch(recipe, n)))
    few, many = math.ceil(300 / steps), recipe.epochs * 80_000 // max(n, 1)
    return min(max(recipe.epochs, few), max(2, many), 60)


def _batch(recipe: Recipe, n: int) -> int:
    return min(recipe.batch, max(16, n // 8))


def fit_net(
    name: str,
    seen: Seen,
    labels: Ints,
    rows: Ints,
    n_classes: int,
    *,
    seed: int,
    where: torch.device,
    importance: Reals | None = None,
    watch: loop.Watch | None = None,
    advance: Advance = lambda n: None,
) -> Weights:
    """Fit one of NETS to the pictures `rows`, whose labels (N,) are in 0..K-1.

    The same seed gives the same bytes on a CPU. `importance` (N,), `watch`: see loop.fit. `advance` is called with each step's number of rows; see `work`.
    """
    recipe = NETS[name]
    net = seeded(partial(recipe.make, seen.scaled.shape[1], n_classes), seed, where)
    loop.fit(
        net,
        seen.scaled,
        torch.from_numpy(labels),
        torch.from_numpy(rows),
        epochs=_epochs(recipe, len(rows)),
        batch=_batch(recipe, len(rows)),
        rate=recipe.rate,
        decay=recipe.decay,
        smoothing=recipe.smoothing,
        seed=seed,
        importance=None if importance is None else torch.from_numpy(importance),
        watch=watch,
        advance=advance,
    )
    return {key: value.detach().cpu().numpy() for key, value in net.state_dict().items()}


def work(n: int) -> int:
    """Rows that fitting all NETS goes through for n pictures: the length of its progress bar."""
    return sum(_epochs(recipe, n) * n for recipe in NETS.values())


@torch.inference_mode()
def net_views(seen: Seen, rows: Ints, nets: Nets, n_classes: int) -> dict[str, Reals]:
    """Probabilities (n, K) by each net for the pictures `rows` (n,)."""
    views: dict[str, Reals] = {}
    for name, recipe in NETS.items():
        net = recipe.make(seen.scaled.shape[1], n_classes, torch.Generator())
        net.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in nets[name].items()})
        net.eval()
        views[name] = np.empty((len(rows), n_classes), np.float32)
        for part in spans(len(rows), BLOCK):
            views[name][part] = torch.softmax(net(seen.scaled[torch.from_numpy(rows[part])]), dim=1).numpy()
    return views


@torch.inference_mode()
def neighbor_view(
    directions: Tensor, references: Tensor, labels: Tensor, n_classes: int, importance: Tensor | None = None
) -> Reals:
    """(n, K): the votes of the nearest references by cosine, nearer ones more, and one vote spread over all classes.

    `directions` (n, d), `references` (R, d): unit vectors. `labels`: (R,) in 0..K-1. `importance` (R,), mean 1: what a vote counts.
    """
    view = np.empty((len(directions), n_classes), np.float32)
    for part in spans(len(directions), BLOCK):
        near, who = (directions[part] @ references.T).topk(min(NEIGHBORS, len(references)), dim=1)
        votes = torch.exp((near - near[:, :1]) / SHARPNESS)
        votes = votes if importance is None else votes * importance[who]
        counts = torch.full((len(near), n_classes), 1.0 / n_classes)
        counts.scatter_add_(1, labels[who], votes)
        view[part] = (counts / counts.sum(dim=1, keepdim=True)).numpy()
    return view


def averaged(views: Mapping[str, Reals]) -> Reals:
    """The average (n, K) of the heads' probabilities, by WEIGHTS."""
    total = sum(WEIGHTS[name] for name in views)
    return np.asarray(sum(np.float32(WEIGHTS[name] / total) * view for name, view in views.items()), np.float32)
