"""Did cleaning help group X: the same pictures at two versions of the lake, by group."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.bias import counting, marks
from secondlook.jobs.bias.groups import grouping as grouping_of
from secondlook.jobs.helped.judged import flags, is_in, leaked, named, there, verified_labels, whole
from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.attributes import read as read_attributes
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint import labels as doubts
from secondlook.jobs.lint.carried import carrier as carried
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.jobs.share.adjudicated import audit as read_audit
from secondlook.jobs.share.adjudicated import calibration
from secondlook.pipeline.bias import measures
from secondlook.pipeline.bias.cells import codes, said
from secondlook.pipeline.bias.change import PAIRS, STAYS, Twice, changes
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.comparison import Changed, Measure
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID

Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Paired = Callable[[Measure, Flags, Flags, Flags, str], Twice]  # measure, whether before, whether after, among, note

DOUBT = "SL101"
LOWER_BOUND = "wrong labels that people found: others may be wrong that nobody has looked at"
CHOSEN = "of the labels that people verified, which need not be like all others"
GIVEN = "by the labels of the later version, some of which may be wrong"


def change(lake: Lake, before: Version, after: Version, settings: Settings) -> Sequence[Changed]:
    """What became of each group between two versions: shares, doubted and wrong labels, and the model's accuracy.

    The groups are those of `after`, with its repairs and names of classes for both. Pictures are compared with themselves:
    those that both versions have. A measure is left out where nothing was there to change: the same pictures, labels,
    findings, or model. Raises UserError where `before` is not the earlier one.
    """
    if before.id >= after.id:
        raise UserError(f"a change is from an earlier version to a later one, got {before.id} and {after.id}")
    return changes(list(_measured(lake, before, after, settings)), settings.bias)


@dataclass(frozen=True)
class _Pictures:
    """N pictures of either version. was, now: (N,) whether it is there at each; labels (N,) are as the later version calls classes."""

    sample_id: pa.Array
    content_id: pa.Array
    cell: Codes
    was: Flags
    now: Flags
    label_before: pa.Array
    label_after: pa.Array

    def __len__(self) -> int:
        return len(self.sample_id)

    @property
    def both(self) -> Flags:
        """(N,) those of both versions."""
        return self.was & self.now


def _measured(lake: Lake, before: Version, after: Version, settings: Settings) -> Iterator[Twice]:
    grouping, them = _pictures(lake, before, after, settings)
    cluster = _clusters(lake, after, them.content_id)

    def paired(measure: Measure, first: Flags, second: Flags, among: Flags, note: str) -> Twice:
        outcome = first[among] * 1 + second[among] * 2  # places in PAIRS
        counts = _counts(grouping, them.cell[among], outcome, cluster[among], PAIRS)
        return Twice(measure.name, measure.rule, measure.outcome, measure.worse, counts, note)

    if not (them.was == them.now).all():
        outcome = np.where(them.both, 1, np.where(them.now, 2, 0))
        counts = _counts(grouping, them.cell, outcome, np.full(len(them), -1), STAYS)
        share = measures.share()
        yield Twice(share.name, share.rule, share.outcome, share.worse, counts)
    yield from _doubted(lake, before, after, settings, them, paired)
    yield from _found_wrong(lake, after, them, paired)
    yield from _accuracy(lake, before, after, them, paired)


def _pictures(lake: Lake, before: Version, after: Version, settings: Settings) -> tuple[Grouping, _Pictures]:
    classes = class_lists.read(lake, after)
    meant = read_attributes(lake, after)
    tables = []
    for version in (before, after):
        rows = lake.latest("samples", version, ["sample_id", "content_id", "attributes"])
        rows = rows.filter(pc.is_valid(rows["content_id"]))
        labels = lake.latest("labels", version, ["sample_id", "label", "seq"])
        at = pc.index_in(rows["sample_id"], value_set=whole(labels["sample_id"]))
        rows = rows.append_column("label", classes.read(labels["label"], labels["seq"]).take(whole(at)))
        tables.append(rows)
    first, second = tables
    # A picture whose bytes were replaced is another picture: one went, one came.
    left = pc.index_in(first["sample_id"], value_set=whole(second["sample_id"]))
    stays = pc.equal(whole(second["content_id"]).take(whole(left)), whole(first["content_id"])).fill_null(False)
    gone = first.filter(pc.invert(stays))
    rows = pa.concat_tables([second, gone])
    column = meant.applied(rows["attributes"])
    grouping = _with_values_of(grouping_of(lake, after, settings), column.slice(second.num_rows))
    ids, content = whole(rows["sample_id"]), whole(rows["content_id"])
    at = pc.index_in(ids, value_set=whole(first["sample_id"]))
    same = pc.equal(whole(first["content_id"]).take(at), content).fill_null(False)
    now = np.arange(rows.num_rows) < second.num_rows
    was = np.asarray(same.to_numpy(zero_copy_only=False), bool)
    labels = whole(first["label"]).take(at)
    return grouping, _Pictures(ids, content, codes(column, grouping), was, now, labels, whole(rows["label"]))


def _with_values_of(grouping: Grouping, removed: pa.ChunkedArray) -> Grouping:
    """The grouping with the values that only removed pictures have."""
    if not len(removed):
        return grouping
    found = said(whole(removed), list(grouping.attributes))
    values = []
    for name, its, those in zip(grouping.attributes, grouping.values, found, strict=True):
        bins = grouping.bins.get(name)
        named = {(value or NOT_SAID) if bins is None else bins.binned(value or "") for value in those.to_pylist()}
        extra = sorted(named - {*its})
        values.append((*(one for one in its if one != NOT_SAID), *extra, *(one for one in its if one == NOT_SAID)))
    return dataclasses.replace(grouping, values=tuple(values))


def _clusters(lake: Lake, after: Version, content_id: pa.Array) -> Codes:
    """(N,) which pictures are copies of one another, near ones as lint last found them; -1 for one that has none."""
    carrier, found = LocalTables(lake, after), dataset.findings(lake, after)
    known = counting.clusters(carrier, marks.near(carrier, found) if found is not None else ())
    number = known["cluster"].combine_chunks().take(pc.index_in(content_id, value_set=whole(known["content_id"])))
    return np.asarray(number.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)


def _counts(
    grouping: Grouping, cell: Codes, outcome: npt.NDArray[np.integer], cluster: Codes, outcomes: tuple[str, ...]
) -> Counts:
    cells, place = np.unique(cell, return_inverse=True)
    n = np.zeros((len(cells), len(outcomes)), np.int64)
    np.add.at(n, (place.reshape(-1), outcome), 1)
    tied = np.flatnonzero(cluster >= 0)
    copies = Copies(cluster[tied], place.reshape(-1)[tied].astype(np.int64), outcome[tied].astype(np.int64))
    return Counts(grouping, grouping.split(cells), outcomes, n, copies if len(tied) else None)


# What labels are


def _doubted(
    lake: Lake, before: Version, after: Version, settings: Settings, them: _Pictures, paired: Paired
) -> Iterator[Twice]:
    """Labels that are doubted, as the audit of each version says."""
    models = [_model(lake, version, after) for version in (before, after)]
    if None in models or all(before.tables.get(table) == after.tables.get(table) for table in ("labels", "models")):
        return
    doubted, judged = [], them.both
    labels = (them.label_before, them.label_after)
    for version, model, label in zip((before, after), models, labels, strict=True):
        assert model is not None
        doubted.append(is_in(them.sample_id, _doubts(lake, version, settings)))
        judged = (
            judged
            & there(named(lake, after, model, them.content_id))
            & is_in(label, pa.array(model.classes, pa.string()))
        )
    yield paired(measures.doubts().measure, doubted[0], doubted[1], judged, "")


def _doubts(lake: Lake, version: Version, settings: Settings) -> pa.ChunkedArray:
    waiting = dataset.quarantined(lake, version).values()
    curve = calibration(read_audit(lake, version, settings))
    with carried(lake, settings, version) as carrier:
        found = doubts.audit(carrier, dataset.newest_model(lake, version), waiting, settings.lint, curve).findings
    return found["subject"].filter(pc.equal(found["rule"], DOUBT))


def _found_wrong(lake: Lake, after: Version, them: _Pictures, paired: Paired) -> Iterator[Twice]:
    """Labels that people found wrong by now: how many of each group were there, and are left; verified ones apart."""
    labels = lake.latest("labels", after, ["sample_id", "label", "source", "seq"])
    decided = labels.filter(pc.equal(labels["source"], "review"))
    if not decided.num_rows or not _differs(them.label_before, them.label_after)[them.both].any():
        return
    told = class_lists.read(lake, after).read(decided["label"], decided["seq"])
    at = pc.index_in(them.sample_id, value_set=whole(decided["sample_id"]))
    truth = told.take(at)
    labeled = them.both & there(them.label_before) & there(them.label_after)
    wrong = [_differs(label, truth) for label in (them.label_before, them.label_after)]
    found = measures.doubts().measure
    mended = dataclasses.replace(
        found, name="labels that people found wrong", outcome="has a label that people found wrong"
    )
    yield paired(mended, wrong[0], wrong[1], labeled, LOWER_BOUND)
    truth = verified_labels(lake, after, them.content_id)
    among = labeled & there(truth)
    if among.any():
        wrong = [_differs(label, truth) for label in (them.label_before, them.label_after)]
        sure = dataclasses.replace(
            found, name="wrong labels, verified", outcome="has another label than people agreed on"
        )
        yield paired(sure, wrong[0], wrong[1], among, CHOSEN)


# What models say


def _model(lake: Lake, version: Version, after: Version) -> Model | None:
    """The newest model of a version, with its classes as `after` calls them."""
    if not lake.latest("models", version, ["model"]).num_rows:
        return None
    return dataset.model_named(lake, after, dataset.newest_model(lake, version).name)


def _accuracy(lake: Lake, before: Version, after: Version, them: _Pictures, paired: Paired) -> Iterator[Twice]:
    """The old and the new model on the same pictures, by one and the same label of each."""
    old, new = (_model(lake, version, after) for version in (before, after))
    if old is None or new is None or old.name == new.name:
        return
    said_before, said_after = (named(lake, after, one, them.content_id) for one in (old, new))
    judged = them.both & there(said_before) & there(said_after) & ~leaked(lake, after, them.sample_id)
    truth = verified_labels(lake, after, them.content_id)
    for measure, label, note in (
        (measures.accuracy().measure, them.label_after, GIVEN),
        (measures.verified().measure, truth, CHOSEN),
    ):
        known = is_in(label, pa.array(sorted({*old.classes} | {*new.classes}), pa.string()))
        right = [flags(pc.equal(one, label)) for one in (said_before, said_after)]
        if (judged & known).any():
            yield paired(measure, right[0], right[1], judged & known, note)
    yield from _missed(
        them.label_after, (said_before, said_after), judged, sorted({*old.classes} & {*new.classes}), paired
    )


def _missed(
    label: pa.Array, both: tuple[pa.Array, pa.Array], judged: Flags, known: Sequence[str], paired: Paired
) -> Iterator[Twice]:
    """How often each class is missed, of those that the audit compares one by one: some groups are failed in one class only."""
    counted = pc.value_counts(pc.filter(label, pa.array(judged))).to_pylist()
    frequent = measures.chosen({one["values"]: one["counts"] for one in counted if one["values"] in known})
    by_name = {one.measure.name: one.measure for one in measures.errors(frequent, others=False)}
    for name in frequent:
        mine = judged & flags(pc.equal(label, name))
        missed = [flags(pc.not_equal(one, name)) for one in both]
        yield paired(by_name[f"false negatives: {name}"], missed[0], missed[1], mine, GIVEN)


def _differs(label: pa.Array, truth: pa.Array) -> Flags:
    return flags(pc.not_equal(label, truth))
