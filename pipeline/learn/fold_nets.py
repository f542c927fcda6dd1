"""Nets that learn from pictures themselves, cross-fitted: K of them, each without one fold, and one of all labels.

Which nets, and how one is fitted and asked, is told by a `Fitter`: the small net, any net of the family, a backbone.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from secondlook.pipeline.core.odds import as_score, log_odds_against
from secondlook.pipeline.learn.crossfit import trusted
from secondlook.pipeline.learn.dynamics import Margins, on_scale_of
from secondlook.pipeline.learn.torch_setup import Advance, side_by_side

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]
Weights = dict[str, npt.NDArray[Any]]

REFIT_SHARE = 0.5  # of the epochs, for a fit that goes on from the one before


@dataclass(frozen=True)
class Fit:
    """One fit: the pictures `rows` (n,) that it learns from, its seed, its epochs, the weights that it goes on from (None:
    new ones), and what watches the logits of labels that it is told. `name` is its own among all fits of a cross-fit."""

    name: str
    rows: Ints
    seed: int
    epochs: int
    start: Weights | None = None
    watch: Margins | None = None


class Fitter(Protocol):
    """What cross-fitting has to know of a kind of net."""

    @property
    def at_once(self) -> int:
        """Fits that may run side by side on a CPU."""
        ...

    def fit(self, one: Fit, advance: Advance) -> Weights:
        """The weights that a fit ends with; `advance` is called with the number of pictures of each step."""
        ...

    def ask(self, rows: Ints, weights: Weights) -> tuple[Reals, Reals]:
        """(embeddings (n, D), probabilities (n, K)) of the pictures `rows` (n,)."""
        ...


@dataclass(frozen=True)
class FoldNets:
    """Weights of the net of each fold, whose average says what a picture shows, and of one of all labels, which embeds it."""

    folds: tuple[Weights, ...]
    whole: Weights
    temperature: float = 1.0


@dataclass(frozen=True)
class CrossFit:
    """probs (N, K): out of sample for every picture with a fold (other rows are 0); `learned` (N,): the labels that the
    last fit learned from; the nets; `evidence` as of `ensemble.CrossFit`."""

    probs: Reals
    learned: npt.NDArray[np.bool_]
    nets: FoldNets
    evidence: Mapping[str, Reals]


def cross_fit(
    fitter: Fitter,
    labels: Ints,
    folds: Ints,
    n_classes: int,
    *,
    refits: int,
    epochs: int,
    seed: int,
    where: torch.device,
    advance: Advance = lambda n: None,
) -> CrossFit:
    """As `ensemble.cross_fit`, for whole nets: a refit goes on from the weights before, on trusted labels.

    Neighbours give no evidence: the embedding's net has learned from the labels that they would speak of.
    """
    n_folds = int(folds.max()) + 1
    learned = folds >= 0
    given = np.where(folds >= 0, labels, -1)
    margins = [Margins(len(labels)) for _ in range(n_folds)]  # of the first fits, which run side by side
    odds: list[Reals] = []
    weights: list[Weights] = []
    probs = np.zeros((len(labels), n_classes), np.float32)
    for again in range(refits + 1):
        if again:
            learned = (folds >= 0) & trusted(given, probs)
        fits = [
            Fit(
                f"{again}.{fold}",
                np.flatnonzero(learned & (folds != fold)),
                (seed + again) * 100 + fold,
                epochs_of(epochs, again),
                weights[fold] if again else None,
                None if again else margins[fold],
            )
            for fold in range(n_folds)
        ]
        if again == refits:  # and next to the last ones the net of all labels
            fits.insert(0, Fit("whole", np.flatnonzero(learned), (seed + again) * 100 + n_folds, epochs))
        done = side_by_side([_task(fitter, one) for one in fits], where, advance, fitter.at_once)
        weights = done[-n_folds:]
        for fold in range(n_folds):
            held_out = np.flatnonzero(folds == fold)
            probs[held_out] = fitter.ask(held_out, weights[fold])[1]
        odds.append(log_odds_against(given, probs))
    kinds = {"held_out": odds[0], "dynamics": on_scale_of(-sum(margins[1:], start=margins[0]).area(), odds[0])}
    if refits:
        kinds["refit"] = odds[-1]
    evidence = {name: as_score(value) for name, value in kinds.items()}
    return CrossFit(probs, learned, FoldNets(tuple(weights), done[0]), evidence)


def averaged(fitter: Fitter, rows: Ints, nets: FoldNets) -> Reals:
    """(n, K), before calibration, for pictures `rows` (n,) that no fold has seen: the average of all folds."""
    said = [fitter.ask(rows, weights)[1] for weights in nets.folds]
    return np.asarray(sum(said) / np.float32(len(said)), np.float32)


def _task(fitter: Fitter, one: Fit) -> Callable[[Advance], Weights]:
    return lambda advance: fitter.fit(one, advance)


def epochs_of(epochs: int, again: int) -> int:
    """Epochs of a first fit, or of one that goes on from it."""
    return epochs if again == 0 else math.ceil(REFIT_SHARE * epochs)


def work(folds: Ints, refits: int, epochs: int) -> int:
    """About how much `cross_fit` will advance: a refit learns from somewhat fewer labels."""
    labeled = folds[folds >= 0]
    one_round = sum(len(labeled) - int(n) for n in np.bincount(labeled))
    return one_round * sum(epochs_of(epochs, again) for again in range(refits + 1)) + len(labeled) * epochs


def passes(folds: Ints, refits: int, epochs: int) -> int:
    """Epochs of all fits of a cross-fit together."""
    return (int(folds.max()) + 1) * sum(epochs_of(epochs, again) for again in range(refits + 1)) + epochs


def to_arrays(nets: FoldNets) -> Weights:
    """All of it as arrays by name, for a safetensors file; `from_arrays` takes them back."""
    arrays = {"temperature": np.array([nets.temperature], np.float64)}
    for part, weights in [
        *((f"fold.{fold}", weights) for fold, weights in enumerate(nets.folds)),
        ("whole", nets.whole),
    ]:
        arrays |= {f"{part}/{name}": value for name, value in weights.items()}
    return arrays


def from_arrays(arrays: Mapping[str, npt.NDArray[Any]]) -> FoldNets:
    """The nets that `to_arrays` was given."""
    parts: dict[str, Weights] = {}
    for name, value in arrays.items():
        part, _, weight = name.partition("/")
        if weight:
            parts.setdefault(part, {})[weight] = value
    whole = parts.pop("whole")
    folds = tuple(parts[part] for part in sorted(parts, key=lambda part: int(part.split(".")[1])))
    return FoldNets(folds, whole, float(arrays["temperature"][0]))
