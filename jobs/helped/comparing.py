"""Two models on the pictures that neither has learned from: overall, class by class, and by groups of people."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.bias.groups import grouping as grouping_of
from secondlook.jobs.helped import models
from secondlook.jobs.helped.judged import flags, is_in, leaked, named, there, whole
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import verified
from secondlook.jobs.train import training_set
from secondlook.pipeline.bias.cells import codes
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.bias.members import members
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.paired import Paired, compare, corrected
from secondlook.pipeline.core.seeds import generator

Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.int64]
Kind = Literal["class", "group"]
On = Literal["verified", "test", "out of fold", "nothing"]

ENOUGH = 100  # verified pictures, below which all labels of the split say more: 100 tell 10 points from none at best


@dataclass(frozen=True)
class Part:
    """What is compared beside the whole: pictures of a class, or of a group of people."""

    kind: Kind
    name: str
    found: Paired


@dataclass(frozen=True)
class Comparison:
    """Two models on the same pictures.

    on: which pictures these are: verified ones of the split test, all of that split, such as both models were held out of, or
    nothing. verified: how many of the split are; leaked: pictures that were left out for it; unknown: pictures of classes that the
    earlier model did not know, which it has wrong. parts: corrected over all of them; small: classes and groups with too few
    pictures to be looked at. notes: what else to know, in sentences.
    """

    pair: models.Pair
    version: int
    on: On
    whole: Paired
    verified: int = 0
    leaked: int = 0
    unknown: int = 0
    parts: Sequence[Part] = ()
    small: int = 0
    confidence: float = 0.95
    alpha: float = 0.05
    seed: int = 7
    notes: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Pictures:
    """N pictures of a version that could be compared on, whichever models are: read once for all of them.

    label: (N,) as it is now, null without one. test, verified, leaked: (N,). copies: (N,) equal numbers for those that look the same.
    """

    lake: Lake
    version: Version
    settings: Settings
    content_id: pa.Array
    label: pa.Array
    attributes: pa.MapArray
    test: Flags
    verified: Flags
    leaked: Flags
    copies: Codes


@dataclass(frozen=True)
class _Judged:
    """The pictures that two models are compared on. before, after: (N,) whether each is right; the rest as `Pictures` has it."""

    before: Flags
    after: Flags
    label: pa.Array
    attributes: pa.MapArray
    copies: Codes

    def compared(self, rows: Codes | slice, settings: Settings, *names: str) -> Paired:
        """Both models on some of them; `names` say which draws the bootstrap makes."""
        rng = generator(settings.bias.seed, "helped", *names)
        copies, confidence = self.copies[rows], settings.bias.confidence
        return compare(self.before[rows], self.after[rows], rng, copies=copies, confidence=confidence)


def pictures(lake: Lake, version: Version, settings: Settings) -> Pictures:
    """All pictures of a version, without those whose class waits for a sign-off."""
    rows, _ = dataset.without_quarantined(dataset.samples(lake, version), dataset.quarantined(lake, version))
    ids, content = whole(rows["sample_id"]), whole(rows["content_id"])
    data = training_set.load(lake, version, settings.lint, settings.train.folds)
    at = pc.index_in(content, value_set=pa.array(data.content_ids, pa.string())).to_numpy().astype(np.int64)
    return Pictures(
        lake,
        version,
        settings,
        content,
        whole(rows["label"]),
        whole(rows["attributes"]),
        test=flags(pc.equal(rows["split"], training_set.HELD_OUT)),
        verified=is_in(ids, pa.array(sorted(verified(lake, version)), pa.string())),
        leaked=data.leaked[at] | leaked(lake, version, ids),  # lint knows those that only an embedding shows
        copies=data.groups[at],
    )


def comparison(them: Pictures, pair: models.Pair) -> Comparison:
    """Compare two models by the labels, the names of classes and the groups of the pictures' version."""
    old, new = (models.described(them.lake, them.version, one) for one in (pair.before, pair.after))
    said = [named(them.lake, them.version, one, them.content_id) for one in (old, new)]
    known = is_in(them.label, pa.array(sorted({*old.classes, *new.classes}), pa.string()))
    judged = there(said[0]) & there(said[1]) & known
    on, chosen = _chosen(judged & ~them.leaked, them.test, them.verified)
    right = [flags(pc.equal(one, them.label))[chosen] for one in said]
    kept = pa.array(chosen)
    asked = _Judged(right[0], right[1], them.label.filter(kept), them.attributes.filter(kept), them.copies[chosen])
    parts, small, notes = _parts(them, asked)
    return Comparison(
        pair,
        them.version.id,
        on,
        asked.compared(slice(None), them.settings),
        verified=int((judged & ~them.leaked & them.test & them.verified).sum()),
        leaked=int((judged & them.leaked & them.test).sum()),
        unknown=int((~is_in(asked.label, pa.array(old.classes, pa.string()))).sum()),
        parts=parts,
        small=small,
        confidence=them.settings.bias.confidence,
        alpha=them.settings.bias.alpha,
        seed=them.settings.bias.seed,
        notes=notes,
    )


def _chosen(judged: Flags, test: Flags, sure: Flags) -> tuple[On, Flags]:
    """Which pictures are compared on: those whose labels can be trusted most, if there are enough."""
    if (judged & test & sure).sum() >= ENOUGH:
        return "verified", judged & test & sure
    if (judged & test).sum() >= min(ENOUGH, max(1, judged.sum())):
        return "test", judged & test
    return ("out of fold" if judged.any() else "nothing"), judged


def _parts(them: Pictures, asked: _Judged) -> tuple[list[Part], int, tuple[str, ...]]:
    """Each class and each group of enough pictures; how many have too few; and what is to be said of the groups."""
    grouping, settings = grouping_of(them.lake, them.version, them.settings), them.settings
    found: list[Part] = []
    small = 0
    for kind, name, rows in (*_by_class(asked.label), *_by_group(grouping, asked.attributes, settings.bias.depth)):
        if len(rows) < settings.bias.min_cell:
            small += 1
            continue
        found.append(Part(kind, name, asked.compared(rows, settings, kind, name)))
    sure = corrected([part.found for part in found])
    parts = [dataclasses.replace(part, found=one) for part, one in zip(found, sure, strict=True)]
    return parts, small, grouping.notes


def _by_class(label: pa.Array) -> Iterator[tuple[Kind, str, Codes]]:
    coded = label.dictionary_encode()
    names, place = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(len(names) + 1))
    for at in sorted(range(len(names)), key=names.__getitem__):
        yield "class", names[at], order[ends[at] : ends[at + 1]]


def _by_group(grouping: Grouping, attributes: pa.MapArray, depth: int) -> Iterator[tuple[Kind, str, Codes]]:
    if not grouping.attributes or not len(attributes):
        return
    cells, place = np.unique(codes(attributes, grouping), return_inverse=True)
    found = members(grouping, grouping.split(cells), depth)
    for row, group in enumerate(found.groups()):
        inside = found.matrix[[row]].toarray()[0].astype(bool)
        yield "group", group.name, np.flatnonzero(inside[place.reshape(-1)])
