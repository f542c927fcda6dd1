"""The two kinds of generalist, fitted on what the lake holds: heads on a frozen backbone, or nets that learn whole."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.lake.store import Attempt, Lake, Version
from secondlook.jobs.terminal import console
from secondlook.jobs.train import features
from secondlook.jobs.train.checkpoints import Checkpoint, Checkpoints
from secondlook.jobs.train.reweighed import importance
from secondlook.jobs.train.training_set import TrainingSet
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import TrainSettings

if TYPE_CHECKING:
    from secondlook.pipeline.learn.generalist import Plan
    from secondlook.pipeline.learn.training.kept import Kept

Reals = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SELDOM_S = 5.0  # a fit is kept after an epoch that ends so long after the last one that was kept


@dataclass(frozen=True)
class Fitted:
    """What a backbone gives: for N contents probabilities (N, K) before calibration and which label was learned from
    (N,), out of sample where `folds` (N,) is not -1; which could be read (N,); the model; embeddings and facts; `evidence`,
    by kind, scores (N,) against the labels; and where pictures were weighed what there is to say of it, `reweighed`."""

    probs: Reals
    folds: Ints
    learned: Flags
    readable: Flags
    model: Any
    embedder: str
    facts: dict[str, Any]
    seconds: dict[str, float]
    embedded: dict[str, int]
    evidence: Mapping[str, Reals]
    reweighed: Mapping[str, Any] = field(default_factory=dict)


def folds_of(data: TrainingSet, readable: Flags, wanted: TrainSettings) -> Ints:
    """(N,) fold of each content that is fitted on, -1 of all others."""
    from secondlook.pipeline.core.seeds import generator
    from secondlook.pipeline.learn.crossfit import assign_folds

    rows = np.flatnonzero((data.labels >= 0) & readable)
    folds = np.full(len(data.labels), -1, np.int64)
    folds[rows] = assign_folds(data.labels[rows], data.groups[rows], wanted.folds, generator(wanted.seed, "folds"))
    return folds


def fit_frozen(
    attempt: Attempt, settings: Settings, version: Version, data: TrainingSet, name: str, where: Any
) -> Fitted:
    """Vectors of a frozen backbone, computed once for a content, and the ensemble of heads on them."""
    from secondlook.pipeline.learn import backbones, ensemble, generalist, heads

    wanted = settings.train
    backbone = backbones.load(wanted.backbone, wanted.image_px or generalist.default_px(wanted.backbone), where)
    vectors, readable, embedded = features.embed(
        attempt, version, data.content_ids, backbone, wanted.batch, settings.ingest
    )
    start = time.monotonic()
    folds = folds_of(data, readable, wanted)
    counts = importance(attempt.lake, version, settings, data, np.flatnonzero(folds >= 0))
    space = heads.fit_space(vectors[readable] if not readable.all() else vectors)
    seen = space.see(vectors)
    with console.progress("fitting heads", ensemble.work(folds, wanted.refits), "steps of pictures") as advance:
        result = ensemble.cross_fit(
            space, seen, data.labels, folds, len(data.classes),
            refits=wanted.refits, seed=wanted.seed, where=where, importance=counts.weights if counts else None, advance=advance,
        )  # fmt: skip
    unseen = np.flatnonzero(folds < 0)
    result.probs[unseen] = result.ensemble.probs(seen, unseen)
    folder = Path(wanted.backbone).expanduser()
    facts = {
        "format": 1,  # of all that `small` and frozen backbones store: older versions read it, too
        "backbone": wanted.backbone,
        "folder": str(folder.resolve()) if folder.is_dir() else "",
        "image_px": backbone.image_px,
    }
    seconds = {"embedding": embedded.pop("seconds"), "fitting": time.monotonic() - start}
    return Fitted(
        result.probs, folds, result.learned, readable, result.ensemble, backbone.embedder, facts, seconds, embedded,
        result.evidence, counts.facts if counts else {},
    )  # fmt: skip


class _Seldom:
    """A checkpoint that is written after an epoch, but not every moment: what takes no time is not worth a file."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.last = checkpoint, time.monotonic()

    def kept(self) -> "Kept | None":
        """See `Checkpoint`."""
        return self.checkpoint.kept()

    def keep(self, kept: "Kept") -> None:
        """See `Checkpoint`."""
        if time.monotonic() - self.last >= SELDOM_S:
            self.checkpoint.keep(kept)
            self.last = time.monotonic()


def _pictures(lake: Lake, settings: Settings, version: Version, data: TrainingSet, plan: "Plan") -> tuple[Any, Flags]:
    """The pictures for a plan: pixels (N, side, side, 3), or a source of more than may be held; (N,) which could be read."""
    from secondlook.jobs.train import streaming
    from secondlook.pipeline.learn.torch_setup import cores

    wanted, side_px = settings.train, plan.image_px
    size_mb = len(data.content_ids) * side_px**2 * 3 / 2**20
    if plan.net is None or size_mb <= wanted.hold_mb:
        return features.pixels(lake, version, data.content_ids, side_px, settings.ingest)
    console.say(f"{size_mb:,.0f} MB of pictures, [train] hold_mb is {wanted.hold_mb:,}: decoded anew in each epoch")
    return streaming.source(lake, version, data.content_ids, side_px, settings.ingest, cores(wanted.threads))


def _refuse_too_few(folds: Ints) -> None:
    """A net with batch normalization learns nothing from a single picture."""
    held_out = np.bincount(folds[folds >= 0])
    if (fewest := int(held_out.sum() - held_out.max(initial=0))) < 2:
        raise UserError(f"a net takes at least 2 labeled pictures to learn from, and there is {fewest} beside a fold")


@contextlib.contextmanager
def _memory_told(wanted: TrainSettings, side_px: int) -> Iterator[None]:
    """What to change where the GPU's memory is too small."""
    import torch

    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise UserError(
            f"the GPU has too little memory for {wanted.backbone} at {side_px} px and {wanted.batch} pictures in a step; "
            "lower [train] batch, image_px or hold_mb"
        ) from None


def fit_nets(
    attempt: Attempt, settings: Settings, version: Version, data: TrainingSet, name: str, where: Any
) -> Fitted:
    """Nets that learn from pictures themselves: one a fold, and one of all labels whose last layer but one embeds.

    `small`, a net by name, or a transformers model as a whole, from its own weights or from random ones.
    """
    from secondlook.pipeline.learn import fold_nets, generalist

    wanted = settings.train
    plan = generalist.plan(wanted, len(data.classes))
    if plan.told:
        console.say(plan.told)
    start = time.monotonic()
    pictures, readable = _pictures(attempt.lake, settings, version, data, plan)
    seconds = {"reading pictures": time.monotonic() - start}
    start = time.monotonic()
    folds = folds_of(data, readable, wanted)
    if plan.net is not None:
        _refuse_too_few(folds)
    counts = importance(attempt.lake, version, settings, data, np.flatnonzero(folds >= 0))
    checkpoints = Checkpoints(attempt.lake, name)
    if checkpoints.there():
        console.say("this training was interrupted before: it goes on from what was kept")
    weights = counts.weights if counts else None
    fitter = plan.fitter(pictures, data.labels, where, weights, lambda fit: _Seldom(checkpoints.of(fit)))
    total, epochs = (f(folds, wanted.refits, wanted.epochs) for f in (fold_nets.work, fold_nets.passes))
    with console.progress("fitting", total, "pictures", epochs) as advance, _memory_told(wanted, plan.image_px):
        result = fold_nets.cross_fit(
            fitter, data.labels, folds, len(data.classes),
            refits=wanted.refits, epochs=wanted.epochs, seed=wanted.seed, where=where, advance=advance,
        )  # fmt: skip
    unseen = np.flatnonzero((folds < 0) & readable)
    result.probs[unseen] = fold_nets.averaged(fitter, unseen, result.nets)
    rows = np.flatnonzero(readable)
    vectors, _ = fitter.ask(rows, result.nets.whole)
    ids = [data.content_ids[row] for row in rows]
    attempt.add_files("embeddings", features.write_embeddings(attempt, name, ids, vectors, range(len(rows))))
    seconds["fitting"] = time.monotonic() - start
    embedded = {"computed": len(rows), "reused": 0}
    return Fitted(
        result.probs, folds, result.learned, readable, result.nets, name, plan.facts(), seconds, embedded, result.evidence,
        counts.facts if counts else {},
    )  # fmt: skip
