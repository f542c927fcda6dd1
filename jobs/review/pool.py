"""What people could be asked for, as a version of the lake shows it: a row for each different picture, in arrays."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.answers import answers
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.share.adjudicated import audit, calibration
from secondlook.jobs.share.frame import frame
from secondlook.labeling.acquire.beliefs import Beliefs, believe, chances, heard
from secondlook.pipeline.audit.labels.calibrated import Calibrator
from secondlook.pipeline.core.config import Settings

COLUMNS = 6  # most probable classes of a picture that are looked at
DOUBTS = ("SL101", "SL102", "SL103")  # rules about a picture's label: who waives one doubts the label no more

Codes = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Answers(NamedTuple):
    """Answers to N pictures: `people` (N,) who gave one that holds; `vague` (N,) of them that name no class; `votes`: (picture, class)."""

    people: Codes
    vague: Codes
    votes: tuple[Codes, Codes]


@dataclass(frozen=True)
class Pool:
    """N different pictures (contents), each by the sample of it whose label is doubted most.

    `label` (N,): place in `classes`, -1 for none; `copies` (N,): samples that show it; `p_error` (N,): SL101's score, nan without; `wrong`: (N,) the
    chance that the label is wrong, as far as it is known. `pending`: an earlier batch waits for answers. `waived`: somebody
    accepts its label. `undecided`: people answered, and no label came of it. `asked`: any batch asked for it.
    """

    sample_id: pa.Array
    content_id: pa.Array
    classes: list[str]
    label: npt.NDArray[np.int32]
    copies: Codes
    p_error: Reals
    wrong: Reals
    top: npt.NDArray[np.int32]
    probs: npt.NDArray[np.float32]
    answers: Answers
    pending: Flags
    asked: Flags
    waived: Flags
    undecided: Flags
    reviewed: Flags
    embedder: str | None

    def __len__(self) -> int:
        return len(self.sample_id)

    @property
    def split(self) -> Flags:
        """Those of which people named different classes."""
        rows = np.unique(np.stack(self.answers.votes, axis=1), axis=0)[:, 0]
        return np.asarray(np.bincount(rows, minlength=len(self)) > 1, bool)

    @property
    def fresh(self) -> Flags:
        """Those that nobody was asked for, and nobody answered unasked."""
        return np.asarray(~self.asked & (self.answers.people == 0), bool)

    def before(self) -> Beliefs:
        """What is believed of each picture's class without the answers. A label that people gave is no witness beside them."""
        held = np.where(self.reviewed, -1, self.label).astype(np.int32)
        return believe(self.top, self.probs, held, self.wrong, len(self.classes))._replace(held=self.label)

    def beliefs(self) -> Beliefs:
        """What is believed of each picture's class, answers included."""
        return heard(self.before(), *self.answers.votes, len(self.classes))


def read(lake: Lake, version: Version, settings: Settings, classes: list[str]) -> Pool:
    """All different pictures of a version whose class waits for no sign-off, in the order of their content ids."""
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "label"])
    samples, _ = dataset.without_quarantined(samples, dataset.quarantined(lake, version))
    scored = frame(lake, version)
    p_error = _beside(samples["sample_id"], scored.sample_id, scored.score)
    first, copies, labels = _contents(samples, p_error)
    one = samples.take(pa.array(first))
    content = _whole(one["content_id"])
    label = _places(_whole(one["label"]), classes)
    top, probs, embedder = _predicted(lake, version, content, classes)
    p_error = p_error[first]
    wrong = np.fmax(
        _chances(lake, version, settings, p_error), np.where(labels > 1, 1 - 1 / np.maximum(labels, 1), np.nan)
    )
    where = _Where(samples, content)
    given, pending, asked = _heard(lake, version, where, classes)
    reviewed = _flagged(where, _reviewed(lake, version))
    return Pool(
        _whole(one["sample_id"]), content, classes, label, copies, p_error, wrong, top, probs, given,
        pending=pending, asked=asked, waived=_waived(lake, version, where),
        undecided=(given.people > 0) & ~reviewed, reviewed=reviewed, embedder=embedder,
    )  # fmt: skip


class _Where:
    """From sample ids to rows of the pool."""

    def __init__(self, samples: pa.Table, content: pa.Array) -> None:
        self._ids = _whole(samples["sample_id"])
        self._rows = _np(pc.index_in(_whole(samples["content_id"]), value_set=content))
        self.n = len(content)

    def rows(self, sample_ids: pa.ChunkedArray | pa.Array) -> Codes:
        """(n,) rows of the pool, -1 for samples that it does not have."""
        at = _np(pc.index_in(_whole(sample_ids), value_set=self._ids))
        return np.where(at >= 0, self._rows[np.maximum(at, 0)] if len(self._rows) else -1, -1)


def _whole(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    if not isinstance(values, pa.ChunkedArray):
        return values
    return pa.concat_arrays([*values.chunks, pa.array([], values.type)])


def _np(indices: pa.Array | pa.ChunkedArray) -> Codes:
    return np.asarray(pc.fill_null(indices, -1).to_numpy(zero_copy_only=False), np.int64)


def _ranks(values: pa.Array) -> Codes:
    """The place of each text, all different, in their order."""
    ranks = np.empty(len(values), np.int64)
    ranks[np.asarray(pc.sort_indices(values), np.int64)] = np.arange(len(values))
    return ranks


def _beside(ids: pa.ChunkedArray, known: pa.Array, values: Reals) -> Reals:
    at = _np(pc.index_in(_whole(ids), value_set=known))
    return np.where(at >= 0, values[np.maximum(at, 0)] if len(values) else np.nan, np.nan)


def _places(names: pa.Array, classes: list[str]) -> npt.NDArray[np.int32]:
    return _np(pc.index_in(names, value_set=pa.array(classes, pa.string()), skip_nulls=True)).astype(np.int32)


def _contents(samples: pa.Table, p_error: Reals) -> tuple[Codes, Codes, Codes]:
    """For each content, in order: the row of the sample that stands for it, how many there are, and their different labels."""
    coded = _whole(samples["content_id"]).dictionary_encode()
    content = _ranks(coded.dictionary)[_np(coded.indices)]
    label = _np(_whole(samples["label"]).dictionary_encode().indices)
    order = np.lexsort((_ranks(_whole(samples["sample_id"])), -np.nan_to_num(p_error, nan=-1.0), label < 0, content))
    first = np.flatnonzero(np.diff(content[order], prepend=-1))
    labeled = np.flatnonzero(label >= 0)
    pairs = np.unique(content[labeled] * (label.max(initial=0) + 1) + label[labeled]) // (label.max(initial=0) + 1)
    n = len(first)
    return order[first], np.bincount(content, minlength=n), np.bincount(pairs, minlength=n)


def _predicted(
    lake: Lake, version: Version, content: pa.Array, classes: list[str]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], str | None]:
    """The newest model's most probable classes (N, J) and probabilities, -1 where it has not looked; and its embedder."""
    j = min(COLUMNS, max(len(classes), 1))
    if not lake.latest("models", version, ["model"]).num_rows:
        return np.full((len(content), j), -1, np.int32), np.zeros((len(content), j), np.float32), None
    model = dataset.newest_model(lake, version)
    return *topmost(lake, version, model, content, classes, j), model.embedder


def topmost(
    lake: Lake, version: Version, model: dataset.Model, content: pa.Array, classes: list[str], j: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """A model's j most probable classes of each content, as places in `classes`, and their probabilities, (N, j) both.

    -1 and 0 where it has not looked, or for a class that may not be used.
    """
    rows = dataset.predictions(lake, version, model.name)
    at = _np(pc.index_in(content, value_set=_whole(rows["content_id"])))
    number = np.append(_places(pa.array(model.classes, pa.string()), classes), -1)
    lists, probs = _whole(rows["classes"]), _whole(rows["probs"])
    starts = lists.offsets.to_numpy().astype(np.int64)
    names, values = lists.values.to_numpy(), probs.values.to_numpy()
    top, p = np.full((len(content), j), -1, np.int32), np.zeros((len(content), j), np.float32)
    seen = np.flatnonzero(at >= 0)
    for column in range(j):
        place = starts[at[seen]] + column
        inside = place < starts[at[seen] + 1]
        rows_here = seen[inside]
        top[rows_here, column] = number[names[place[inside]]]
        p[rows_here, column] = np.where(top[rows_here, column] >= 0, values[place[inside]], 0.0)
    return top, p


def _chances(lake: Lake, version: Version, settings: Settings, p_error: Reals) -> Reals:
    """The chance that each label is wrong: from audit answers where there are enough, else from all scores together."""
    curve = calibration(audit(lake, version, settings))
    return np.asarray(curve(p_error), np.float64) if isinstance(curve, Calibrator) else chances(p_error)


def _heard(lake: Lake, version: Version, where: _Where, classes: list[str]) -> tuple[Answers, Flags, Flags]:
    """The answers that count, and which pictures a batch waits for or has asked for."""
    rows = answers(lake, version).sort_by([("seq", "ascending"), ("annotation_id", "ascending")])
    silent = pa.array(sorted(paused(lake, version)), pa.string())
    rows = rows.filter(pc.invert(pc.is_in(rows["annotator"], value_set=silent)))
    row = where.rows(rows["sample_id"])
    who = _np(_whole(rows["annotator"]).dictionary_encode().indices)
    newest = {(int(at), int(one)): n for n, (at, one) in enumerate(zip(row, who, strict=True)) if at >= 0}
    kept = np.array(sorted(newest.values()), np.int64)
    named = _places(_whole(rows["label"]), classes).astype(np.int64)[kept]
    at = row[kept]
    heard_of = Answers(
        np.bincount(at, minlength=where.n),
        np.bincount(at[named < 0], minlength=where.n),
        (at[named >= 0], named[named >= 0]),
    )
    pending, asked = _asked(lake, version, where)
    return heard_of, pending, asked


def _asked(lake: Lake, version: Version, where: _Where) -> tuple[Flags, Flags]:
    """Pictures whose newest tasks have fewer answers than people were to give, and all that were asked for.

    A batch whose project was archived waits for nobody any more.
    """
    tasks = lake.latest("batches", version, ["batch", "sample_id", "people"])
    given = lake.latest("annotations", version, ["batch", "sample_id", "annotator", "state"])
    given = given.filter(pc.not_equal(given["state"], "deleted"))
    counted = given.group_by(["batch", "sample_id"]).aggregate([("annotator", "count_distinct")])
    keys = dict(
        zip(
            zip(*(counted[c].to_pylist() for c in ("batch", "sample_id")), strict=True),
            counted["annotator_count_distinct"].to_pylist(),
            strict=True,
        )
    )
    projects = lake.latest("projects", version, ["batch", "state"])
    archived = {*projects["batch"].filter(pc.equal(projects["state"], "archived")).to_pylist()}
    row = where.rows(tasks["sample_id"])
    waits = np.array(
        [
            batch not in archived and keys.get((batch, sample), 0) < (people or 1)
            for batch, sample, people in zip(*(tasks[c].to_pylist() for c in tasks.column_names), strict=True)
        ],
        bool,
    )
    pending, asked = np.zeros(where.n, bool), np.zeros(where.n, bool)
    pending[row[(row >= 0) & waits]] = True
    asked[row[row >= 0]] = True
    return pending, asked


def _reviewed(lake: Lake, version: Version) -> pa.ChunkedArray:
    labels = lake.latest("labels", version, ["sample_id", "source"])
    return labels["sample_id"].filter(pc.equal(labels["source"], "review"))


def _flagged(where: _Where, sample_ids: pa.ChunkedArray | pa.Array) -> Flags:
    row = where.rows(sample_ids)
    found = np.zeros(where.n, bool)
    found[row[row >= 0]] = True
    return found


def _waived(lake: Lake, version: Version, where: _Where) -> Flags:
    """Pictures of which somebody waived a doubt of the label."""
    rows = dataset.findings(lake, version)
    if rows is None:
        return np.zeros(where.n, bool)
    mine = pc.and_(
        pc.is_in(rows["rule"], value_set=pa.array(DOUBTS)), pc.not_equal(pc.fill_null(rows["waiver"], ""), "")
    )
    return _flagged(where, rows["subject"].filter(mine))
