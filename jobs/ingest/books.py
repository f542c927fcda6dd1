"""What an ingest compares: the listing with the lake, labels with earlier labels, contents with contents."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyiceberg.expressions import EqualTo

from secondlook.jobs.forget.tombstones import Buried
from secondlook.jobs.ingest import permission as permissions
from secondlook.jobs.ingest.permission import Permission
from secondlook.jobs.ingest.worker import SAMPLE, book_rows
from secondlook.jobs.lake.attributes import read as attributes_of
from secondlook.jobs.lake.records import rows as records
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.sources.listing import ROW, Listing
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.identity import sample_id
from secondlook.pipeline.core.requirements import Requirement
from secondlook.pipeline.core.schemas import ATTRIBUTES, TABLES, TEXT

DIGEST_ROWS = 1 << 16
UNREADABLE = "unreadable"  # a disk or network may be back: these are tried again each time


@dataclass(frozen=True)
class Books:
    """The listing against the lake.

    `todo`: rows to read, in reading order, with the columns of a worker's slice and `group` (rows of one group are read
    at once). `updated`: rows of `samples` for known pictures whose split or attributes are new. `labeled`: sample_id,
    key and label of all listed pictures with a label that are not known as rejected. `known`: not read again.
    `replaced`: read again since they changed. `refused`: see Refused. `forgotten`: places that `forget` buried, which are in none of these.
    `digest`: identity of the listing.
    """

    todo: pa.Table
    updated: pa.Table
    labeled: pa.Table
    known: int
    replaced: int
    refused: "Refused"
    forgotten: int
    digest: str


@dataclass(frozen=True)
class Refused:
    """Pictures that [ingest] require keeps out, unread. `ids`: all of them; `by_reason`: how many of each.

    `rejects`: rows of those that are not known as such. `withdrawn`: rows that end the samples which the lake had of them.
    """

    ids: frozenset[str]
    by_reason: Mapping[str, int]
    rejects: pa.Table
    withdrawn: pa.Table


def compare(
    lake: Lake,
    base: Version | None,
    listing: Listing,
    dataset: str,
    buried: Buried,
    *,
    required: Sequence[Requirement] = (),
    retry_rejects: bool,
) -> Books:
    """What of the listing the lake knows: by key, size and time of change; and what may be taken at all."""
    rows = listing.rows
    ids = pa.array([sample_id(dataset, key) for key in rows["key"].to_pylist()], TEXT)
    rows = rows.append_column("sample_id", ids)
    if buried:
        kept = pa.array([not buried.sample(one) for one in ids.to_pylist()], pa.bool_())
        rows, ids = rows.filter(kept), ids.filter(kept)
    mine = EqualTo("dataset", dataset)  # type: ignore[call-arg, arg-type]
    columns = ["sample_id", "content_id", "size_bytes", "modified_us", "split", "attributes", "seq"]
    samples = lake.latest("samples", base, columns, mine)
    rejects = lake.latest("rejects", base, ["sample_id", "reason", "size_bytes", "modified_us", "seq"], mine)
    sample = samples.filter(pc.is_valid(samples["content_id"]))
    reject = rejects.filter(pc.is_valid(rejects["reason"]))
    as_sample, as_reject = _position(ids, sample), _position(ids, reject)
    same_sample = _same(rows, sample, as_sample)
    same_reject = _same(rows, reject, as_reject)
    reason = reject["reason"].combine_chunks().take(as_reject)
    told = _remembering(rows, sample, as_sample)
    permitted = _permitted(lake, base, told["attributes"], required)
    may = permitted.granted
    mended = pc.and_(pc.is_in(reason, value_set=pa.array(permissions.REASONS, TEXT)), may)
    tried_again = pc.or_(pc.or_(pc.equal(reason, UNREADABLE).fill_null(False), mended), pa.scalar(retry_rejects))
    known = pc.or_(pc.and_(same_sample, may), pc.and_(same_reject, pc.invert(tried_again)))
    was = pc.coalesce(pc.if_else(pc.is_valid(as_sample), SAMPLE, None).cast(TEXT), reason, pa.scalar("", TEXT))
    left = told.append_column("was", was).append_column("unchanged", same_reject)
    refused = _refused(listing.url, dataset, left, permitted, pc.and_(pc.invert(known), pc.invert(may)))
    todo = left.filter(pc.and_(pc.invert(known), may))
    todo = todo.append_column("group", _groups(todo))
    todo = todo.sort_by([("where", "ascending"), ("offset", "ascending"), ("key", "ascending")])
    same_sample = pc.and_(same_sample, may)
    labeled = rows.filter(pc.and_(pc.is_valid(rows["label"]), pc.invert(pc.and_(known, pc.invert(same_sample)))))
    return Books(
        todo=todo,
        updated=_updated(listing.url, dataset, rows, sample, pc.if_else(same_sample, as_sample, None)),
        labeled=labeled.select(["sample_id", "key", "label"]),
        known=pc.sum(known).as_py() or 0,
        replaced=todo.filter(pc.equal(todo["was"], SAMPLE)).num_rows,
        refused=refused,
        forgotten=listing.rows.num_rows - rows.num_rows,
        digest=_digest(listing.rows),
    )


def _permitted(
    lake: Lake, base: Version | None, attributes: pa.ChunkedArray, required: Sequence[Requirement]
) -> Permission:
    """Which pictures may be taken, by their attributes (N maps) as they read after the repairs that people confirmed."""
    as_read = attributes_of(lake, base).applied(attributes) if required else attributes
    return permissions.permission(pa.concat_arrays(as_read.chunks or [pa.array([], ATTRIBUTES)]), required)


def _refused(source: str, dataset: str, rows: pa.Table, permitted: Permission, here: pa.Array) -> Refused:
    """Rows of the listing that may not be taken; `here`: which these are, of all."""
    chosen = rows.filter(here)
    reason, detail = permitted.reason.filter(here), permitted.detail.filter(here)
    new = pc.invert(pc.and_(chosen["unchanged"], pc.equal(chosen["was"], reason)))
    fresh, had = chosen.filter(new), chosen.filter(pc.equal(chosen["was"], SAMPLE))
    why = {"reason": reason.filter(new).to_pylist(), "detail": detail.filter(new).to_pylist()}
    return Refused(
        ids=frozenset(chosen["sample_id"].to_pylist()),
        by_reason=Counter(reason.to_pylist()),
        rejects=book_rows("rejects", fresh, 0, dataset, source, why),
        withdrawn=book_rows("samples", had, 0, dataset, source, {"content_id": [None] * had.num_rows}),
    )


def _position(ids: pa.Array, known: pa.Table) -> pa.Array:
    return pc.index_in(ids, value_set=known["sample_id"].combine_chunks())


def _same(rows: pa.Table, known: pa.Table, position: pa.Array) -> pa.Array:
    """Whether size and time are those of the known row at `position`; false where there is none."""
    same = pc.is_valid(position)
    for column in ("size_bytes", "modified_us"):
        before = known[column].combine_chunks().take(position)
        same = pc.and_(same, pc.equal(rows[column].combine_chunks(), before).fill_null(False))
    return same


def _remembering(rows: pa.Table, sample: pa.Table, position: pa.Array) -> pa.Table:
    """Rows whose source says nothing of split or attributes keep those that the lake has of them."""
    for column, empty in (("split", pa.array([""], TEXT)), ("attributes", pa.array([[]], ATTRIBUTES))):
        now, before = rows[column].combine_chunks(), sample[column].combine_chunks()
        n = rows.num_rows
        # What the source says stands first in a long list, what the lake has second, nothing last: one `take` chooses.
        chosen = pc.coalesce(
            pc.if_else(pc.is_valid(now), pa.array(range(n), pa.int64()), None),
            pc.add(position.cast(pa.int64()), n),
            pa.scalar(n + len(before), pa.int64()),
        )
        rows = _with(rows, column, pa.concat_arrays([now, before, empty]).take(chosen))
    return rows


def _with(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, values)


def _updated(source: str, dataset: str, rows: pa.Table, sample: pa.Table, position: pa.Array) -> pa.Table:
    here = pc.is_valid(position)
    known, position = rows.filter(here), position.drop_null()
    told, before = _remembering(known, sample, position), sample.take(position)
    both = [table[column].to_pylist() for column in ("split", "attributes") for table in (told, before)]
    changed = [
        split != old_split or dict(attributes) != dict(old_attributes or [])
        for split, old_split, attributes, old_attributes in zip(*both, strict=True)
    ]
    chosen = pa.array(changed, pa.bool_())
    if not any(changed):
        return TABLES["samples"].schema.empty_table()
    contents = before["content_id"].filter(chosen).to_pylist()
    return book_rows("samples", told.filter(chosen), 0, dataset, source, {"content_id": contents})


def _groups(rows: pa.Table) -> pa.Array:
    """Rows of a Parquet file that are read at once: those of a row group."""
    names = zip(*(rows[column].to_pylist() for column in ("where", "member", "how")), strict=True)
    return pa.array([f"{where!r} {member.split(' ')[0]}" if how == ROW else None for where, member, how in names], TEXT)


def _digest(rows: pa.Table) -> str:
    columns = rows.select(["key", "size_bytes", "modified_us", "split", "label", "attributes"]).combine_chunks()
    hashed = hashlib.blake2b(digest_size=16)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, columns.schema) as stream:
        stream.write_table(columns, max_chunksize=DIGEST_ROWS)
    hashed.update(sink.getvalue())
    return hashed.hexdigest()


@dataclass(frozen=True)
class LabelEvents:
    """New rows of `labels`; `kept`: reviews that stand against an unchanged label of the source; `overruled`: reviews
    that give way to a label that the source has changed; `names`: all classes that the source's pictures bear."""

    rows: pa.Table
    kept: int
    overruled: int
    names: list[str]


def label_events(
    lake: Lake, base: Version | None, books: Books, left_out: set[str], actor: str, now: datetime
) -> LabelEvents:
    """An event for each label that is new, or is not what the source said before; none for the samples `left_out`."""
    labeled = books.labeled
    if left_out:
        labeled = labeled.filter(pc.invert(pc.is_in(labeled["sample_id"], value_set=pa.array(sorted(left_out), TEXT))))
    said = lake.latest("labels", base, ["sample_id", "label"], EqualTo("source", "ingest"))  # type: ignore[call-arg, arg-type]
    held = lake.latest("labels", base, ["sample_id", "label", "source"])
    ids = labeled["sample_id"].combine_chunks()
    label = labeled["label"].combine_chunks()
    before = said["label"].combine_chunks().take(_position(ids, said))
    at = _position(ids, held)
    holding = held["label"].combine_chunks().take(at)
    by_people = pc.and_(
        pc.is_valid(at), pc.not_equal(held["source"].combine_chunks().take(at), "ingest").fill_null(False)
    )
    differs = pc.invert(pc.equal(holding, label).fill_null(False))
    new = pc.invert(pc.equal(before, label).fill_null(False))
    reviewed = pc.and_(by_people, differs)
    chosen = labeled.filter(new)
    n = chosen.num_rows
    rows = pa.table(
        {
            "sample_id": chosen["sample_id"],
            "label": chosen["label"],
            "source": pa.array(["ingest"] * n, TEXT),
            "actor": pa.array([actor] * n, TEXT),
            "time": pa.array([now] * n, TABLES["labels"].schema.field("time").type),
            "batch": pa.nulls(n, TEXT),
            "evidence": pa.nulls(n, TEXT),
        }
    )
    return LabelEvents(
        rows=rows,
        kept=pc.sum(pc.and_(reviewed, pc.invert(new))).as_py() or 0,
        overruled=pc.sum(pc.and_(reviewed, new)).as_py() or 0,
        names=pc.unique(label).to_pylist(),
    )


def new_classes(
    lake: Lake, base: Version | None, declared: Sequence[str], events: LabelEvents, now: datetime
) -> pa.Table:
    """Events that add the classes which the lake has not seen."""
    before = set(lake.latest("classes", base, ["name"])["name"].to_pylist())
    names = in_order({*declared, *events.names} - before)
    return records("classes", [{"name": name, "event": "added", "actor": "ingest", "time": now} for name in names])


def repeated(lake: Lake, base: Version | None, files: Sequence[tuple[str, int]]) -> list[list[str]]:
    """For each file of fingerprints (URL, number of rows) the contents that the lake or an earlier file has."""
    columns = []
    for url, _ in files:
        with fsspec.open(url, "rb") as stream:
            columns.append(pq.read_table(stream, columns=["content_id"])["content_id"].combine_chunks())
    if not columns:
        return []
    ids = pa.concat_arrays(columns)
    in_lake = pc.is_in(ids, value_set=lake.read("fingerprints", base, ["content_id"])["content_id"].combine_chunks())
    # index_in gives the first of equal values; a row that is not its own first is a repetition.
    first = pc.index_in(ids, value_set=pc.unique(ids))
    later = pa.array(_later(first.to_numpy()), pa.bool_())
    drop = pc.or_(in_lake, later)
    result, start = [], 0
    for _, n in files:
        result.append(ids.slice(start, n).filter(drop.slice(start, n)).to_pylist())
        start += n
    return result


def _later(codes: Any) -> Any:
    """Which elements have an equal one before them."""
    import numpy as np

    later = np.ones(len(codes), dtype=bool)
    later[np.unique(codes, return_index=True)[1]] = False
    return later
