"""The pictures that students and teachers are asked about: those that nobody learned from, with their classes and groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.train import training_set
from secondlook.jobs.train.training_set import HELD_OUT, TrainingSet
from secondlook.pipeline.core.cells import cells
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.report.advice import many

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOut:
    """N pictures, each a content of its own that looks like no other of them.

    rows: (N,) of the samples of the version. labels: (N,) numbers of `classes`. attributes: name → value → places (n,) among
    the N, only groups that may be shown; see `grouped`. words: what they are, for people. held_out: whether students have
    not learned from them. notes: in sentences.
    """

    rows: Ints
    content_ids: list[str]
    classes: list[str]
    labels: Ints
    words: str
    held_out: bool
    notes: tuple[str, ...] = ()
    attributes: Mapping[str, Mapping[str, Ints]] = field(default_factory=dict)

    def only(self, kept: Flags, why: str) -> "HeldOut":
        """Without the pictures that are not `kept` (N,), with a note that says why where there are any; before they are grouped."""
        left = int((~kept).sum())
        if not left:
            return self
        ids = [content for content, keep in zip(self.content_ids, kept, strict=True) if keep]
        notes = (*self.notes, f"{left:,} pictures {why} and are left out")
        return replace(self, rows=self.rows[kept], content_ids=ids, labels=self.labels[kept], notes=notes)


def load(lake: Lake, version: Version, settings: Settings, *, verified: bool) -> HeldOut:
    """The labeled pictures of the split `test` that look like none that was learned from; `verified`: of these, those whose
    label people agreed on. Where a version has no such split, all labeled pictures, and a note of what that means.

    Raises UserError where there is none.
    """
    data = training_set.load(lake, version, settings.lint, 2)
    test = np.array(data.sample_split) == HELD_OUT
    usable = (data.sample_label >= 0) & ~data.leaked[data.sample_content]
    held_out = bool((usable & test).any())
    words, notes = f"pictures of the split {HELD_OUT}", []
    if verified:
        usable &= data.sample_verified
        words += " whose label people agreed on"
        if not (usable & test).any():
            raise UserError(
                f"version {version.id} has no verified label in the split {HELD_OUT}; `secondlook review push --verify {HELD_OUT}` asks for some"
            )
    if held_out:
        usable &= test
    else:
        words = "pictures that the students learned from"
        notes.append(
            f"no picture lies in the split {HELD_OUT}: the teacher is judged out of fold, the students by pictures that they learned "
            "from, so their figures are too good, and what they fell by too small"
        )
    rows = _one_of_a_look(data, np.flatnonzero(usable))
    if not len(rows):
        raise UserError(f"version {version.id} has no labeled picture to measure on")
    copies = int(usable.sum()) - len(rows)
    if copies:
        notes.append(f"{copies:,} pictures look like another one of them and count once")
    contents = [data.content_ids[at] for at in data.sample_content[rows]]
    return HeldOut(rows, contents, data.classes, data.sample_label[rows], words, held_out, tuple(notes))


def _one_of_a_look(data: TrainingSet, rows: Ints) -> Ints:
    """Of samples, the first of each content and of each group of copies: what is counted is independent then."""
    _, first = np.unique(data.groups[data.sample_content[rows]], return_index=True)
    return rows[np.sort(first)]


def grouped(lake: Lake, version: Version, settings: Settings, held: HeldOut) -> HeldOut:
    """The pictures with the groups of each attribute that have enough of them to be shown, where at least two have."""
    from secondlook.jobs.bias.groups import grouping
    from secondlook.pipeline.bias.cells import codes

    made = grouping(lake, version, settings)
    if not made.attributes:
        return held
    column = dataset.samples(lake, version)["attributes"].take(held.rows)
    places = made.split(codes(column, made))
    found: dict[str, dict[str, Ints]] = {}
    hidden, least = 0, settings.bias.min_cell
    for at, (name, values) in enumerate(zip(made.attributes, made.values, strict=True)):
        inside = {value: np.flatnonzero(places[:, at] == number) for number, value in enumerate(values)}
        shown = cells({value: len(its) for value, its in inside.items()}, least)
        hidden += shown.hidden
        if len(shown.shown) > 1:
            found[name] = {value: inside[value] for value in shown.shown}
    told = (
        f"{many(hidden, 'group')} with fewer than {least} pictures here, or that would tell of one, can't be compared"
    )
    return replace(held, attributes=found, notes=(*held.notes, told) if hidden else held.notes)


def said(lake: Lake, version: Version, model: str, content_ids: list[str], n_classes: int) -> tuple[Any, Flags]:
    """A model's stored probabilities (N, K) of contents, over its K classes as they are called today; and of which there are some."""
    rows = dataset.predictions(lake, version, model)
    place = {content: row for row, content in enumerate(content_ids)}
    at = np.array([place.get(content, -1) for content in rows["content_id"].to_pylist()], np.int64)
    lists = rows["classes"].combine_chunks()
    sizes = np.diff(lists.offsets.to_numpy())
    row = np.repeat(at, sizes)
    kept = row >= 0
    probs = np.zeros((len(content_ids), n_classes), np.float32)
    values = rows["probs"].combine_chunks().flatten().to_numpy()
    probs[row[kept], lists.flatten().to_numpy()[kept]] = values[kept]
    there = np.zeros(len(content_ids), np.bool_)
    there[at[at >= 0]] = True
    return probs, there
