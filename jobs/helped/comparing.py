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
On = Literal["verified", "test", "out of fold", "nothing"]

ENOUGH = 100  # verified pictures, below which all labels of the split say more: 100 tell 10 points from none at best


@dataclass(frozen=True)
class Part:
    """What is compared beside the whole: pictures of a class, or of a group of people."""

    kind: Literal["class", "group"]
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
class _Pictures:
    """N pictures that both models judged. right: (N,) of the earlier and the later one; label: (N,); copies: (N,) equal for those that look the same; attributes: (N,)."""

    before: Flags
    after: Flags
    label: pa.Array
    copies: Codes
    attributes: pa.MapArray


def comparison(lake: Lake, version: Version, settings: Settings, pair: models.Pair) -> Comparison:
    """Compare two models by the labels, the names of classes and the groups of a version."""
    rows, _ = dataset.without_quarantined(dataset.samples(lake, version), dataset.quarantined(lake, version))
    old, new = (models.described(lake, version, one) for one in (pair.before, pair.after))
    content, label = whole(rows["content_id"]), whole(rows["label"])
    said = [named(lake, version, one, content) for one in (old, new)]
    classes = pa.array(sorted({*old.classes, *new.classes}), pa.string())
    judged = there(said[0]) & there(said[1]) & is_in(label, classes)
    copies, leaks = _copies(lake, version, settings, content)
    leaks |= leaked(lake, version, whole(rows["sample_id"]))
    test = flags(pc.equal(rows["split"], training_set.HELD_OUT))
    sure = is_in(whole(rows["sample_id"]), pa.array(sorted(verified(lake, version)), pa.string()))
    on, chosen = _chosen(judged & ~leaks, test, sure)
    right = [flags(pc.equal(one, label))[chosen] for one in said]
    kept = pa.array(chosen)
    them = _Pictures(right[0], right[1], label.filter(kept), copies[chosen], whole(rows["attributes"]).filter(kept))
    seed, sureness = settings.bias.seed, settings.bias.confidence
    overall = compare(them.before, them.after, generator(seed, "helped"), copies=them.copies, confidence=sureness)
    parts, small, notes = _parts(lake, version, settings, them)
    return Comparison(
        pair,
        version.id,
        on,
        overall,
        verified=int((judged & ~leaks & test & sure).sum()),
        leaked=int((judged & leaks & test).sum()),
        unknown=int((~is_in(them.label, pa.array(old.classes, pa.string()))).sum()),
        parts=parts,
        small=small,
        confidence=sureness,
        alpha=settings.bias.alpha,
        seed=seed,
        notes=notes,
    )


def _chosen(judged: Flags, test: Flags, sure: Flags) -> tuple[On, Flags]:
    """Which pictures are compared on: those whose labels can be trusted most, if there are enough."""
    if (judged & test & sure).sum() >= ENOUGH:
        return "verified", judged & test & sure
    if (judged & test).sum() >= min(ENOUGH, max(1, judged.sum())):
        return "test", judged & test
    return ("out of fold" if judged.any() else "nothing"), judged


def _copies(lake: Lake, version: Version, settings: Settings, content_id: pa.Array) -> tuple[Codes, Flags]:
    """(N,) which pictures look the same, and whether they look like one that is learned from: by the hashes, as `train` has it."""
    data = training_set.load(lake, version, settings.lint, settings.train.folds)
    at = pc.index_in(content_id, value_set=pa.array(data.content_ids, pa.string())).to_numpy().astype(np.int64)
    return data.groups[at], data.leaked[at]


def _parts(
    lake: Lake, version: Version, settings: Settings, them: _Pictures
) -> tuple[list[Part], int, tuple[str, ...]]:
    """Each class and each group of enough pictures; how many have too few; and what is to be said of the groups."""
    grouping = grouping_of(lake, version, settings)
    found, small = [], 0
    by_class = _by_class(them.label)
    for kind, name, rows in (*by_class, *_by_group(grouping, them.attributes, settings.bias.depth)):
        if len(rows) < settings.bias.min_cell:
            small += 1
            continue
        rng = generator(settings.bias.seed, "helped", kind, name)
        one = compare(
            them.before[rows], them.after[rows], rng, copies=them.copies[rows], confidence=settings.bias.confidence
        )
        found.append(Part(kind, name, one))
    sure = corrected([part.found for part in found])
    parts = [dataclasses.replace(part, found=one) for part, one in zip(found, sure, strict=True)]
    return parts, small, grouping.notes


def _by_class(label: pa.Array) -> Iterator[tuple[Literal["class"], str, Codes]]:
    coded = label.dictionary_encode()
    names, place = coded.dictionary.to_pylist(), coded.indices.to_numpy()
    order = np.argsort(place, kind="stable")
    ends = np.searchsorted(place[order], np.arange(len(names) + 1))
    for at in sorted(range(len(names)), key=names.__getitem__):
        yield "class", names[at], order[ends[at] : ends[at + 1]]


def _by_group(grouping: Grouping, attributes: pa.MapArray, depth: int) -> Iterator[tuple[Literal["group"], str, Codes]]:
    if not grouping.attributes or not len(attributes):
        return
    cells, place = np.unique(codes(attributes, grouping), return_inverse=True)
    found = members(grouping, grouping.split(cells), depth)
    for row, group in enumerate(found.groups()):
        inside = found.matrix[[row]].toarray()[0].astype(bool)
        yield "group", group.name, np.flatnonzero(inside[place.reshape(-1)])
