"""The heads of K folds on one embedding: fitted, asked, and turned into arrays that can be stored."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from secondlook.pipeline.core.odds import as_score, log_odds_against
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.learn import heads
from secondlook.pipeline.learn.crossfit import trusted
from secondlook.pipeline.learn.dynamics import Margins, on_scale_of
from secondlook.pipeline.learn.heads import Ints, Nets, Reals, Seen, Space, Weights
from secondlook.pipeline.learn.torch_setup import Advance, side_by_side

MOST_REFERENCES = 60_000  # labeled pictures that neighbours are looked for among: more cost time and help little
WITNESS = "mlp"  # the net whose word is evidence: the linear one is less often right, and beside it adds nothing
Arrays = dict[str, npt.NDArray[Any]]
Views = dict[str, Reals]


@dataclass(frozen=True)
class Round:
    """One fit: `nets` of each fold, and for neighbours the `references` (R, d) with their labels, folds and importance (R,), None: all 1."""

    nets: tuple[Nets, ...]
    references: Tensor
    reference_labels: Ints
    reference_folds: Ints
    reference_importance: Reals | None = None

    @property
    def _importance(self) -> Tensor | None:
        return None if self.reference_importance is None else torch.from_numpy(self.reference_importance)

    def views(self, seen: Seen, rows: Ints, fold: int, n_classes: int) -> Views:
        """Probabilities (n, K) by each head of one fold, which knows nothing of the pictures of that fold."""
        others = torch.from_numpy(self.reference_folds != fold)
        references, labels = self.references[others], torch.from_numpy(self.reference_labels)[others]
        importance = None if self._importance is None else self._importance[others]
        directions = seen.directions[torch.from_numpy(rows)]
        neighbors = heads.neighbor_view(directions, references, labels, n_classes, importance)
        return heads.net_views(seen, rows, self.nets[fold], n_classes) | {"neighbors": neighbors}

    def probs(self, seen: Seen, rows: Ints, n_classes: int) -> Reals:
        """Probabilities (n, K) for pictures that no fold has seen: the average of all folds."""
        labels = torch.from_numpy(self.reference_labels)
        directions = seen.directions[torch.from_numpy(rows)]
        neighbors = {"neighbors": heads.neighbor_view(directions, self.references, labels, n_classes, self._importance)}
        total = np.zeros((len(rows), n_classes), np.float32)
        for nets in self.nets:
            total += heads.averaged(heads.net_views(seen, rows, nets, n_classes) | neighbors)
        return total / np.float32(len(self.nets))


@dataclass(frozen=True)
class Ensemble:
    """The heads of all rounds, averaged: the first has learned from all labels, a refit from those that held up.

    A refit alone is surer of itself, but its heads, which never saw a label that they would have disagreed on, are wrong
    in the same places; with the first fit beside it the average keeps what each knows (docs/results/heads.md).
    """

    n_classes: int
    space: Space
    rounds: tuple[Round, ...]
    temperature: float = 1.0

    def probs(self, seen: Seen, rows: Ints) -> Reals:
        """Probabilities (n, K), before calibration, for pictures that no fold has seen."""
        said = [one.probs(seen, rows, self.n_classes) for one in self.rounds]
        return np.asarray(sum(said) / np.float32(len(said)), np.float32)


@dataclass(frozen=True)
class CrossFit:
    """What cross-fitting gives: probs (N, K) out of sample for every picture with a fold (other rows are 0), averaged
    over rounds; each head's own in the last round; the labels (N,) that this round learned from; all heads. `evidence`:
    by the names of pipeline.audit.labels.evidence.KINDS, scores (N,) that the label is wrong, nan without one."""

    probs: Reals
    views: Mapping[str, Reals]
    learned: npt.NDArray[np.bool_]
    ensemble: Ensemble
    evidence: Mapping[str, Reals]


def rounds(
    space: Space,
    seen: Seen,
    labels: Ints,
    folds: Ints,
    n_classes: int,
    *,
    refits: int,
    seed: int,
    where: torch.device,
    importance: Reals | None = None,
    advance: Advance = lambda n: None,
) -> Iterator[CrossFit]:
    """Fit the heads K times, each time without one fold, and ask them about that fold; then again on trusted labels.

    `labels`, `folds`: (N,), both -1 for pictures without a label. A refit leaves out the labels that the fit before
    found clearly less probable, out of sample, than another class. The probability of a picture is then still out of
    sample: its own label has no part in the heads that are asked about it. (It had one in deciding which
    labels of *other* pictures are trusted, which flatters it a little where pictures are few: docs/guide/training.md.)
    `importance` (N,), mean 1: how much each label counts in every fit; None: all the same.
    """
    learned = folds >= 0
    total = np.zeros((len(labels), n_classes), np.float32)
    given = np.where(folds >= 0, labels, -1)
    fitted: list[Round] = []
    odds: list[Views] = []
    for again in range(refits + 1):
        one, area = _fit_round(seen, labels, folds, learned, n_classes, seed + again, where, importance, advance)
        fitted.append(one)
        views = _held_out(one, seen, folds, n_classes)
        odds.append({name: log_odds_against(given, view) for name, view in views.items()} | {"area": area})
        left_out = np.flatnonzero((folds >= 0) & ~learned)
        odds[-1]["all folds"] = _left_out(one, seen, given, left_out, n_classes, odds[-1][WITNESS])
        total += heads.averaged(views)
        probs = total / np.float32(again + 1)
        yield CrossFit(probs, views, learned, Ensemble(n_classes, space, tuple(fitted)), _evidence(odds))
        learned = (folds >= 0) & trusted(given, probs)


def _left_out(fitted: Round, seen: Seen, given: Ints, rows: Ints, n_classes: int, odds: Reals) -> Reals:
    """Log odds (N,) where labels of `rows` (n,), from which no fold has learned, are judged by the nets of all folds.

    Five nets are right more often than one, and on the labels that it is about.
    """
    said = [heads.net_views(seen, rows, nets, n_classes)[WITNESS] for nets in fitted.nets]
    result = odds.copy()
    result[rows] = log_odds_against(given[rows], np.mean(said, axis=0))
    return result


def _evidence(odds: list[Views]) -> Views:
    """Scores by kind, from each round's log odds against labels: of the heads, and the `area` under the margin.

    The dynamics are those of the first round, which was told all labels; neighbours speak in all rounds.
    """
    first, last = odds[0], odds[-1]
    kinds = {
        "held_out": first[WITNESS],
        "neighbors": np.mean([one["neighbors"] for one in odds], axis=0),
        "dynamics": on_scale_of(-first["area"], first[WITNESS]),
    }
    if len(odds) > 1:
        kinds["refit"] = last["all folds"]
    return {name: as_score(value) for name, value in kinds.items()}


def cross_fit(
    space: Space,
    seen: Seen,
    labels: Ints,
    folds: Ints,
    n_classes: int,
    *,
    refits: int,
    seed: int,
    where: torch.device,
    importance: Reals | None = None,
    advance: Advance = lambda n: None,
) -> CrossFit:
    """The last of the `rounds`."""
    options = {"refits": refits, "seed": seed, "where": where, "importance": importance, "advance": advance}
    *_, last = rounds(space, seen, labels, folds, n_classes, **options)  # type: ignore[arg-type]
    return last


def work(folds: Ints, refits: int) -> int:
    """About how much `cross_fit` will advance: a refit learns from somewhat fewer labels."""
    labeled = folds[folds >= 0]
    return sum(heads.work(len(labeled) - int(n)) for n in np.bincount(labeled)) * (1 + refits)


def _fit_round(
    seen: Seen,
    labels: Ints,
    folds: Ints,
    learned: npt.NDArray[np.bool_],
    n_classes: int,
    seed: int,
    where: torch.device,
    importance: Reals | None,
    advance: Advance,
) -> tuple[Round, Reals]:
    """The heads, and the area under the margin (N,) of labels that they learned from, nan for others."""
    n_folds = int(folds.max()) + 1
    rows = np.flatnonzero(learned)
    if len(rows) > MOST_REFERENCES:
        rows = np.sort(generator(seed, "references").choice(rows, MOST_REFERENCES, replace=False))
    jobs = [(fold, name) for name in sorted(heads.NETS, reverse=True) for fold in range(n_folds)]  # longest first
    margins = [Margins(len(labels)) for _ in range(n_folds)]  # one a fit: they run side by side
    fits = [
        partial(
            _fit,
            name,
            seen,
            labels,
            np.flatnonzero(learned & (folds != fold)),
            n_classes,
            seed * 100 + fold,
            where,
            importance,
            margins[fold] if name == WITNESS else None,
        )
        for fold, name in jobs
    ]
    weights = dict(zip(jobs, side_by_side(fits, where, advance), strict=True))
    nets = tuple({name: weights[fold, name] for name in heads.NETS} for fold in range(n_folds))
    area = sum(margins[1:], start=margins[0]).area()
    its = None if importance is None else importance[rows]
    return Round(nets, seen.directions[torch.from_numpy(rows)], labels[rows], folds[rows], its), area


def _held_out(fitted: Round, seen: Seen, folds: Ints, n_classes: int) -> Views:
    views: Views = {name: np.zeros((len(folds), n_classes), np.float32) for name in heads.WEIGHTS}
    for fold in range(int(folds.max()) + 1):
        rows = np.flatnonzero(folds == fold)
        for name, view in fitted.views(seen, rows, fold, n_classes).items():
            views[name][rows] = view
    return views


def _fit(
    name: str,
    seen: Seen,
    labels: Ints,
    rows: Ints,
    n_classes: int,
    seed: int,
    where: torch.device,
    importance: Reals | None,
    watch: Margins | None,
    advance: Advance,
) -> Weights:
    return heads.fit_net(
        name, seen, labels, rows, n_classes, seed=seed, where=where, importance=importance, watch=watch, advance=advance
    )


def to_arrays(ensemble: Ensemble) -> Arrays:
    """All of it as arrays by name, for a safetensors file; `from_arrays` takes them back."""
    arrays: Arrays = {
        "temperature": np.array([ensemble.temperature], np.float64),
        "classes": np.array([ensemble.n_classes], np.int64),
    }
    arrays |= {f"space/{name}": value for name, value in dataclasses.asdict(ensemble.space).items()}
    for number, one in enumerate(ensemble.rounds):
        arrays[f"{number}/directions"] = one.references.numpy().astype(np.float16)
        arrays[f"{number}/labels"], arrays[f"{number}/folds"] = one.reference_labels, one.reference_folds
        if one.reference_importance is not None:
            arrays[f"{number}/importance"] = one.reference_importance
        for fold, nets in enumerate(one.nets):
            for head, weights in nets.items():
                arrays |= {f"{number}/{fold}/{head}/{name}": value for name, value in weights.items()}
    return arrays


def from_arrays(arrays: Arrays) -> Ensemble:
    """The ensemble that `to_arrays` was given."""
    nets: dict[tuple[int, int], Nets] = {}
    for name, value in arrays.items():
        if name.count("/") == 3:
            number, fold, head, weight = name.split("/")
            nets.setdefault((int(number), int(fold)), {}).setdefault(head, {})[weight] = value
    rounds_ = tuple(
        Round(
            tuple(nets[key] for key in sorted(nets) if key[0] == number),
            torch.from_numpy(arrays[f"{number}/directions"].astype(np.float32)),
            arrays[f"{number}/labels"],
            arrays[f"{number}/folds"],
            arrays.get(f"{number}/importance"),
        )
        for number in sorted({number for number, _ in nets})
    )
    stored = {field.name: f"space/{field.name}" for field in dataclasses.fields(Space)}
    space = Space(**{name: arrays[key] for name, key in stored.items() if key in arrays})  # older ones have no `rooted`
    return Ensemble(int(arrays["classes"][0]), space, rounds_, float(arrays["temperature"][0]))
