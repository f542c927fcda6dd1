"""What students learn from and are measured on: pictures of a version, with the labels that hold there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.train import features, training_set
from secondlook.jobs.train.training_set import HELD_OUT, TrainingSet
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from secondlook.pipeline.learn.sources import Source

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Lessons:
    """N pictures. `labels` (N,): the teacher's numbers of their classes, -1 for none. `learned` (n,): rows
    that students learn from. `unseen`: rows that they don't. `asked` (m,), `told` (m,): samples of the split `test`, by row,
    and their class, -1 where the teacher does not know it; `verified` (m,): people agreed on it."""

    content_ids: list[str]
    pictures: "Source"
    readable: Flags
    labels: Ints
    learned: Ints
    asked: Ints
    told: Ints
    verified: Flags
    strange: int  # pictures whose class the teacher does not know: left out

    @property
    def unseen(self) -> Ints:
        """Rows that can be read and that no student learns from."""
        there = self.readable.copy()
        there[self.learned] = False
        return np.flatnonzero(there)

    @property
    def unlabeled(self) -> int:
        """How many of the pictures that are learned from have no label."""
        return int((self.labels[self.learned] < 0).sum())


def load(lake: Lake, version: Version, settings: Settings, classes: list[str], side_px: int) -> Lessons:
    """The lessons of a version for students of a teacher of these classes, pictures at `side_px`."""
    data = training_set.load(lake, version, settings.lint, 2)
    labels = numbers(data, classes)[data.labels]  # of no label (-1) the last number, which is -1
    strange = (data.labels >= 0) & (labels < 0)
    pictures, readable = _pictures(lake, version, settings, data.content_ids, side_px)
    wanted = readable & ~data.held_out & ~strange
    if not settings.distill.unlabeled or not settings.distill.soft:  # without a teacher they say nothing
        wanted &= labels >= 0
    if not wanted.any():
        raise UserError(
            f"version {version.id} has no picture to learn from: all lie in the split {HELD_OUT} or can't be read"
        )
    usable = (data.sample_label >= 0) & (np.array(data.sample_split) == HELD_OUT)
    usable &= (readable & ~data.leaked)[data.sample_content]
    return Lessons(
        data.content_ids,
        pictures,
        readable,
        labels,
        np.flatnonzero(wanted),
        data.sample_content[usable],
        numbers(data, classes)[data.sample_label[usable]],
        data.sample_verified[usable],
        int(strange.sum()),
    )


def _pictures(
    lake: Lake, version: Version, settings: Settings, content_ids: list[str], side_px: int
) -> tuple["Source", Flags]:
    """The pictures, held or (more than [train] hold_mb) decoded anew in each epoch, and (N,) which could be read."""
    from secondlook.jobs.train import streaming
    from secondlook.pipeline.learn.sources import InMemory
    from secondlook.pipeline.learn.torch_setup import cores

    if len(content_ids) * side_px**2 * 3 / 2**20 > settings.train.hold_mb:
        threads = cores(settings.train.threads)
        return streaming.source(lake, version, content_ids, side_px, settings.ingest, threads)
    pixels, readable = features.pixels(lake, version, content_ids, side_px, settings.ingest)
    return InMemory(pixels), readable


def numbers(data: TrainingSet, classes: list[str]) -> Ints:
    """(K + 1,) the teacher's number of each class of the version, -1 where it does not know it, and -1 for no class."""
    place = {name: number for number, name in enumerate(classes)}
    return np.array([*(place.get(name, -1) for name in data.classes), -1], np.int64)
