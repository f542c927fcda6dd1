"""What a Spark task of `ingest` does: read a slice of the listing, fingerprint every picture once, write Parquet files.

The files' bytes never pass through the JVM; what comes back to the driver is paths and counts.
"""

import json
import resource
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from secondlook.jobs.forget.tombstones import Buried
from secondlook.jobs.sources.listing import LISTING
from secondlook.jobs.sources.read import Row, contents
from secondlook.jobs.sources.references import reference
from secondlook.pipeline.core.decode import Limits, Rejected
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.schemas import TABLES, TEXT
from secondlook.pipeline.images.fingerprint import fingerprint

SAMPLE = "sample"
# A slice of the listing as a worker reads it. `was`: "" for a new place, "sample" where the lake has a sample of it,
# else the reason that it was rejected with; `unchanged`: … and neither its size nor its time have changed since.
PLANNED = LISTING.append(pa.field("sample_id", TEXT)).append(pa.field("was", TEXT)).append(
    pa.field("unchanged", pa.bool_())
)  # fmt: skip
OWN_TABLES = ("images", "fingerprints", "samples", "rejects")


@dataclass(frozen=True)
class Plan:
    """What every task needs to know. Folders are URLs; slices lie as `folder`/00000.parquet."""

    folder: str
    outputs: dict[str, str]
    seq: int
    dataset: str
    source: str
    by_reference: bool
    buried: Buried
    limits: Limits
    file_bytes: int
    row_group_bytes: int


@dataclass
class Part:
    """Contents that go into one file of `images` and one of `fingerprints`."""

    pictures: list[tuple[str, str, bytes | None]] = field(default_factory=list)  # content_id, path, bytes
    fingerprints: list[dict[str, Any]] = field(default_factory=list)
    held_bytes: int = 0


def work(plan: Plan, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For Spark's mapInArrow: slice numbers in, one line of JSON a slice out, see `ingest_slice`."""
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield pa.RecordBatch.from_pydict({"result": [json.dumps(ingest_slice(plan, number))]})


def ingest_slice(plan: Plan, number: int) -> dict[str, Any]:
    """Read and write one slice.

    Returns `files` (table → URLs written), `parts` (pairs of one file of images and one of fingerprints, with the
    number of their rows), counts, the ids of rejected samples and of those whose bytes were forgotten, seconds of
    processor time, and this process's peak memory in MB.
    """
    started = time.process_time()
    with fsspec.open(f"{plan.folder}/{number:05d}.parquet", "rb") as stream:
        planned = pq.read_table(stream).combine_chunks()
    rows = [Row(*values) for values in zip(*(planned[name].to_pylist() for name in Row.__match_args__), strict=True)]
    keys, was, again = (planned[name].to_pylist() for name in ("key", "was", "unchanged"))
    part, parts, seen = Part(), [], set()
    accepted: list[str | None] = [None] * len(rows)
    rejected: dict[int, Rejected] = {}
    forgotten: set[int] = set()
    for i, data in enumerate(contents(rows, plan.limits.max_file_bytes)):
        if plan.buried and isinstance(data, bytes) and plan.buried.content(content_id(data)):
            forgotten.add(i)  # not even decoded
            continue
        facts = fingerprint(data, plan.limits) if isinstance(data, bytes) else data
        if isinstance(facts, Rejected):
            rejected[i] = facts
            continue
        assert isinstance(data, bytes)
        content = str(facts["content_id"])
        accepted[i] = content
        if content in seen:
            continue
        seen.add(content)
        stays = reference(rows[i]) if plan.by_reference else None
        part.pictures.append((content, stays or keys[i], None if stays else data))
        part.fingerprints.append(facts)
        part.held_bytes += 0 if stays else len(data)
        if part.held_bytes >= plan.file_bytes:
            parts.append(_write_part(plan, number, part))
            part = Part()
    if part.pictures:
        parts.append(_write_part(plan, number, part))
    files = _write_books(plan, number, planned, accepted, rejected, forgotten, was, again)
    return {
        "parts": parts,
        "files": files,
        "samples": sum(content is not None for content in accepted),
        "rejects": Counter(answer.reason for answer in rejected.values()),
        "rejected": [planned["sample_id"][i].as_py() for i in rejected],
        "forgotten": [planned["sample_id"][i].as_py() for i in sorted(forgotten)],
        "bytes": sum(written["bytes"] for written in parts),
        "cpu_s": time.process_time() - started,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> int:
    """Most memory that this process ever held, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)


def _write_part(plan: Plan, number: int, part: Part) -> dict[str, Any]:
    part.pictures.sort(key=lambda picture: picture[0])
    part.fingerprints.sort(key=lambda facts: str(facts["content_id"]))
    images = _new_file(plan, "images", number)
    with fsspec.open(images, "wb") as stream, image_writer(stream) as writer:
        for group in row_groups([len(data or b"") for _, _, data in part.pictures], plan.row_group_bytes):
            writer.write_table(_images(plan.seq, part.pictures[group]))
    fingerprints = pa.Table.from_pylist(
        [{"seq": plan.seq, **facts} for facts in part.fingerprints], TABLES["fingerprints"].schema
    )
    return {
        "images": images,
        "fingerprints": _write_table(plan, "fingerprints", number, fingerprints),
        "rows": len(part.pictures),
        "bytes": part.held_bytes,
    }


def image_writer(stream: Any) -> Any:
    """A writer of a file of `images`: pictures are compressed already, and only content_id is looked for."""
    return pq.ParquetWriter(
        stream,
        TABLES["images"].schema,
        compression="none",
        use_dictionary=False,
        write_statistics=["seq", "content_id"],
    )


def row_groups(sizes: Sequence[int], limit: int) -> Iterator[slice]:
    """Runs of pictures of together at most `limit` bytes, or of one that is larger by itself.

    >>> list(row_groups([5, 5, 1, 20], 10))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    start = held = 0
    for i, size in enumerate(sizes):
        if i > start and held + size > limit:
            yield slice(start, i)
            start, held = i, 0
        held += size
    if start < len(sizes):
        yield slice(start, len(sizes))


def _images(seq: int, pictures: Sequence[tuple[str, str, bytes | None]]) -> pa.Table:
    ids, paths, data = zip(*pictures, strict=True)
    kind = TABLES["images"].schema.field("image").type
    image = pa.StructArray.from_arrays([pa.array(data, pa.binary()), pa.array(paths, TEXT)], fields=list(kind))
    columns = [pa.array([seq] * len(ids), pa.int64()), pa.array(ids, TEXT), image]
    return pa.Table.from_arrays(columns, schema=TABLES["images"].schema)


def _write_books(
    plan: Plan,
    number: int,
    planned: pa.Table,
    accepted: Sequence[str | None],
    rejected: dict[int, Rejected],
    forgotten: set[int],
    was: Sequence[str],
    unchanged: Sequence[bool],
) -> dict[str, list[str]]:
    """Rows of samples and rejects. Where a place went from one to the other, a row in its old table ends it there.

    A place whose bytes were forgotten gets no row but the one that ends a sample which other bytes were before.
    """
    sampled = [i for i, content in enumerate(accepted) if content is not None or was[i] == SAMPLE]
    refused = [
        i
        for i in range(len(accepted))
        if (i in rejected and not (unchanged[i] and was[i] == rejected[i].reason))
        or (i not in rejected and i not in forgotten and was[i] not in ("", SAMPLE))
    ]
    extra = {
        "samples": {"content_id": [accepted[i] for i in sampled]},
        "rejects": {
            "reason": [rejected[i].reason if i in rejected else None for i in refused],
            "detail": [rejected[i].detail if i in rejected else None for i in refused],
        },
    }
    files = {}
    for table, chosen in (("samples", sampled), ("rejects", refused)):
        if chosen:
            rows = book_rows(table, planned.take(chosen), plan.seq, plan.dataset, plan.source, extra[table])
            files[table] = [_write_table(plan, table, number, rows)]
    return files


def book_rows(
    table: str, listed: pa.Table, seq: int, dataset: str, source: str, extra: dict[str, list[str | None]]
) -> pa.Table:
    """Rows of `samples` or `rejects` for listed places, with the columns that the listing does not have."""
    n, schema = listed.num_rows, TABLES[table].schema
    same: dict[str, Any] = {"seq": [seq] * n, "dataset": [dataset] * n, "source": [source] * n}
    columns = []
    for column in schema:
        values = same.get(column.name, extra.get(column.name))
        columns.append(pa.array(values, column.type) if values is not None else listed[column.name])
    rows = pa.Table.from_arrays(columns, schema=schema)
    if "split" in schema.names:
        rows = rows.set_column(schema.get_field_index("split"), "split", rows["split"].fill_null(""))
    return rows.sort_by("key")


def _new_file(plan: Plan, table: str, number: int) -> str:
    return f"{plan.outputs[table]}/{number:05d}-{uuid.uuid4().hex[:12]}.parquet"


def _write_table(plan: Plan, table: str, number: int, rows: pa.Table) -> str:
    url = _new_file(plan, table, number)
    with fsspec.open(url, "wb") as stream:
        pq.write_table(rows, stream, compression="zstd")
    return url


def drop_contents(plan: Plan, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For Spark's mapInArrow: files written again without the contents that another file has.

    In: numbers of slices `drop-00000.json` of the plan's folder, each a part with the ids to `drop`; out: new parts.
    """
    for batch in batches:
        for number in batch.column(0).to_pylist():
            with fsspec.open(f"{plan.folder}/drop-{number:05d}.json", "rb") as stream:
                part = json.load(stream)
            yield pa.RecordBatch.from_pydict({"result": [json.dumps(_without(plan, number, part))]})


def _without(plan: Plan, number: int, part: dict[str, Any]) -> dict[str, Any]:
    import pyarrow.compute as pc

    drop = pa.array(part["drop"], TEXT)

    def kept(rows: pa.Table) -> pa.Table:
        return rows.filter(pc.invert(pc.is_in(rows["content_id"], value_set=drop)))

    images = _new_file(plan, "images", number)
    with fsspec.open(part["images"], "rb") as old, fsspec.open(images, "wb") as new, image_writer(new) as writer:
        file = pq.ParquetFile(old)
        for group in range(file.num_row_groups):
            rows = kept(file.read_row_group(group))
            if rows.num_rows:
                writer.write_table(rows)
    with fsspec.open(part["fingerprints"], "rb") as stream:
        fingerprints = kept(pq.read_table(stream))
    return {
        "images": images,
        "fingerprints": _write_table(plan, "fingerprints", number, fingerprints),
        "rows": fingerprints.num_rows,
        "bytes": part["bytes"],
    }
