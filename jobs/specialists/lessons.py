"""What specialists learn from, are chosen by and are measured on: pictures of a version, as the generalist knows them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from secondlook.jobs.train.training_set import HELD_OUT
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.seeds import generator

if TYPE_CHECKING:
    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lake.store import Lake, Version

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lessons:
    """N pictures (N, side, side, 3). `labels` (N,): the generalist's numbers of their classes, -1 for none. `folds` (N,): of
    the net that has not learned from each, -1 where none has. `learned` (n,): rows that may be learned from. `unseen`: rows
    that nothing learns from. `asked` (m,), `told` (m,): samples of the split `test`, by row, and their class, -1 where the generalist
    does not know it. `first` (N,): in the half of held-out pictures that choices are made on; copies are in one half.
    """

    content_ids: list[str]
    pixels: npt.NDArray[np.uint8]
    labels: Ints
    folds: Ints
    learned: Ints
    unseen: Ints
    asked: Ints
    told: Ints
    first: Flags

    def held_out(self, fold: int) -> Ints:
        """Rows that the net of a fold has not learned from, with a label."""
        return np.flatnonzero((self.folds == fold) & (self.labels >= 0))


def load(
    lake: "Lake", version: "Version", settings: Settings, model: "Model", image_px: int, *, doubt: bool
) -> Lessons:
    """The lessons of a version for specialists of a generalist.

    `doubt`: labels that the generalist's out-of-fold probabilities speak against are not learned from, as it did itself.
    Raises UserError where a fold that is asked for is not there.
    """
    from secondlook.jobs.distill import lessons as of_students
    from secondlook.jobs.distill.teaching import said_before
    from secondlook.jobs.train import features, stored, training_set
    from secondlook.pipeline.learn.crossfit import trusted

    data = training_set.load(lake, version, settings.lint, 2)
    numbers = of_students.numbers(data, model.classes)
    labels = numbers[data.labels]
    pixels, readable = features.pixels(lake, version, data.content_ids, image_px, settings.ingest)
    by_content = stored.folds_by_content(lake, version, model.name)
    folds = np.array([by_content.get(content, -1) for content in data.content_ids], np.int64)
    folds[~readable | data.held_out] = -1
    there = int(folds.max(initial=-1)) + 1
    if settings.specialists.folds > there:
        raise UserError(f"[specialists] folds is {settings.specialists.folds}, and {model.name} has {there}")
    learned = readable & (labels >= 0)
    judged = np.flatnonzero(learned & (folds >= 0))
    if doubt and len(judged):
        probs = said_before(lake, version, model, data.content_ids, judged)
        learned[judged] = trusted(labels[judged], probs[judged])
    usable = (data.sample_label >= 0) & (np.array(data.sample_split) == HELD_OUT)
    usable &= (readable & ~data.leaked)[data.sample_content]
    return Lessons(
        data.content_ids,
        pixels,
        labels,
        folds,
        np.flatnonzero(learned),
        np.flatnonzero(readable & (labels < 0) & (data.labels < 0)),
        data.sample_content[usable],
        numbers[data.sample_label[usable]],
        _halves(data.groups, settings.specialists.seed),
    )


def _halves(groups: Ints, seed: int) -> Flags:
    """(N,) whether a picture is in the first half: half of the groups are, drawn from the seed."""
    _, group = np.unique(groups, return_inverse=True)
    n = int(group.max(initial=-1)) + 1
    drawn = generator(seed, "halves of what was held out").permutation(n) < n / 2
    return np.asarray(drawn[group], np.bool_)
