"""What is trained on: the contents of a version, with the label, fold group and split that each of them has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import verified
from secondlook.pipeline.audit.copies.duplicates import near_duplicates
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.images.hashes import mirrored, mirrored_dhash

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

HELD_OUT = "test"  # the split that no model is fitted on


@dataclass(frozen=True)
class TrainingSet:
    """N contents in the order of their ids, and the S samples that they lie under.

    `labels` (N,): number of the class that most samples outside the test split give it; -1 without a label, where two
    are level, and for what lies in the test split (`held_out`), copies in other splits included. `leaked` (N,): held
    out, but it looks the same as one that is fitted on, so that its score would be too good. `groups` (N,): equal for
    pictures that look the same. `sample_content`, `sample_label` (S,): content and class of each sample, -1 where
    it has none; `sample_split`: its split; `sample_verified` (S,): its label was adjudicated. `quarantined`: classes that wait for a sign-off, and their pictures, which
    count as having no label.
    """

    content_ids: list[str]
    classes: list[str]
    labels: Ints
    held_out: Flags
    leaked: Flags
    groups: Ints
    level: int  # contents whose samples disagree evenly: predicted, not fitted on
    sample_content: Ints
    sample_label: Ints
    sample_split: Sequence[str]
    sample_verified: Flags
    quarantined: Mapping[str, int] = field(default_factory=lambda: {"classes": 0, "pictures": 0})


def load(lake: Lake, version: Version, lint: LintSettings, n_folds: int) -> TrainingSet:
    """The training set of a version; raises UserError where there is too little to learn from."""
    from secondlook.pipeline.learn.crossfit import majority

    everything = dataset.samples(lake, version)
    sure = pa.array(sorted(verified(lake, version)), pa.string())
    rows = everything.select(["content_id", "split", "label"])
    waiting = dataset.quarantined(lake, version)
    _, quarantined = dataset.without_quarantined(rows, waiting)
    held = pc.is_in(rows["label"], value_set=pa.array(waiting.values(), pa.string()))
    rows = rows.set_column(2, "label", pc.if_else(held, pa.scalar(None, pa.string()), rows["label"]))
    ids = pc.unique(rows["content_id"]).sort()
    owner = pc.index_in(rows["content_id"], value_set=ids).to_numpy().astype(np.int64)
    test = pc.equal(rows["split"], HELD_OUT).fill_null(False).to_numpy(zero_copy_only=False)
    held_out = np.zeros(len(ids), np.bool_)
    held_out[owner[test]] = True
    names = rows["label"].combine_chunks()
    fitted = pa.array(~held_out[owner])
    classes = in_order(pc.unique(names.filter(fitted)).drop_null().to_pylist())
    given = pc.index_in(names, value_set=pa.array(classes, pa.string())).fill_null(-1).to_numpy().astype(np.int64)
    given[pc.is_null(names).to_numpy(zero_copy_only=False)] = -1
    usable = np.where(held_out[owner], -1, given)
    labels = majority(owner, usable, len(ids))
    has_label = np.zeros(len(ids), np.bool_)
    has_label[owner[usable >= 0]] = True
    classes, labels, given = _used(classes, labels, given)
    _refuse_too_little(version, classes, int((labels >= 0).sum()), n_folds)
    groups, leaked = _copies(lake, version, ids, lint, labels, n_folds)
    return TrainingSet(
        ids.to_pylist(),
        classes,
        labels,
        held_out,
        held_out & leaked,
        groups,
        int((has_label & (labels < 0)).sum()),
        owner,
        given,
        rows["split"].fill_null("").to_pylist(),
        pc.is_in(everything["sample_id"], value_set=sure).to_numpy().astype(np.bool_),
        quarantined,
    )


def _used(classes: list[str], labels: Ints, given: Ints) -> tuple[list[str], Ints, Ints]:
    """Only classes that a content is left to learn from."""
    used = np.unique(labels[labels >= 0])
    number = np.full(len(classes) + 1, -1, np.int64)  # the last place answers for -1
    number[used] = np.arange(len(used))
    return [classes[i] for i in used], number[labels], number[given]


def _refuse_too_little(version: Version, classes: list[str], n: int, n_folds: int) -> None:
    if n == 0:
        raise UserError(
            f"version {version.id} has no labeled picture to train on; `secondlook ingest SOURCE --labels FILE` "
            "brings labels"
        )
    if len(classes) < 2:
        raise UserError(f"training takes labels of at least 2 classes; all {n:,} labeled pictures are {classes[0]!r}")
    if n < n_folds:
        raise UserError(
            f"{n_folds} folds take at least as many labeled pictures, this version has {n}; --folds takes from 2"
        )


def _copies(
    lake: Lake, version: Version, ids: pa.Array, lint: LintSettings, labels: Ints, n_folds: int
) -> tuple[Ints, Flags]:
    """Near-duplicates by the hashes and thresholds of SL202: (groups (N,), whether one of them is fitted on (N,)).

    Copies that lint finds by an embedding alone are not known yet: the report scores held-out splits again without them.
    Where a picture has no hash, or one without information, it is a group of its own.
    """
    from secondlook.pipeline.learn.crossfit import components, without_crowds

    prints = lake.latest("fingerprints", version, ["content_id", "phash", "dhash", "entropy"])
    place = pc.index_in(prints["content_id"], value_set=ids).fill_null(-1).to_numpy().astype(np.int64)
    informative = pc.fill_null(pc.greater_equal(prints["entropy"], lint.entropy), False)
    kept = (place >= 0) & informative.to_numpy(zero_copy_only=False)
    place = place[kept]
    phash, dhash = (prints[name].to_numpy()[kept].astype(np.int64) for name in ("phash", "dhash"))
    mirror = mirrored(phash), mirrored_dhash(dhash)
    found = near_duplicates(phash, dhash, bits=lint.near_bits, confirm_bits=lint.near_confirm_bits, mirrored=mirror)
    # Near looks are linked, and a chain of links is one group: a fold is better a little uneven than with a copy of
    # what it is asked about. Where links run through much of the data, they say nothing: then only equal hashes tie.
    n_looks = int(found.look.max(initial=-1)) + 1
    linked, equal = (np.arange(len(ids), dtype=np.int64) + len(ids) for _ in range(2))
    linked[place], equal[place] = components(n_looks, found.pairs.first, found.pairs.second)[found.look], found.look
    largest = max(1, int((labels >= 0).sum()) // (2 * n_folds))
    fitted = np.zeros(n_looks, np.bool_)
    fitted[found.look[labels[place] >= 0]] = True
    beside = fitted.copy()
    beside[found.pairs.first[fitted[found.pairs.second]]] = True
    beside[found.pairs.second[fitted[found.pairs.first]]] = True
    leaked = np.zeros(len(ids), np.bool_)
    leaked[place] = beside[found.look]
    return without_crowds(linked, largest, finer=equal), leaked
