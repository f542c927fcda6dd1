"""The lake without the pictures of a work list: one commit that changes all versions, then nothing of the old ones stays on disk."""

import contextlib
import dataclasses
import json
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from secondlook.jobs.bias.repairing import JOB as REPAIRS
from secondlook.jobs.bias.repairing import is_about
from secondlook.jobs.forget.mentions import STRUCK
from secondlook.jobs.forget.rows import Gone
from secondlook.jobs.forget.tombstones import buried, rows_for
from secondlook.jobs.forget.work import Work
from secondlook.jobs.frontier.kept import JOB as FRONTIER
from secondlook.jobs.ingest.worker import image_writer
from secondlook.jobs.lake import maintenance
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.rewriting import rebuilt
from secondlook.jobs.lake.store import Lake, Version, first_line
from secondlook.jobs.lake.versions import FORGET
from secondlook.jobs.terminal.console import progress
from secondlook.pipeline.core.errors import ConflictError, UnavailableError
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.schemas import TABLES

TRIES = 10
VACUUM_TABLES = ("secondlook_versions", "iceberg_tables")


def commit(lake: Lake, work: Work) -> Version | None:
    """Tombstones, and all versions without the pictures, in one transaction; None where there was nothing left to do.

    Who is killed before it leaves the lake as it was, after it as it is to be, to every reader. Another job that commits meanwhile is
    taken in: then what it wrote is looked through, too.
    """
    files = _Files(lake, work)
    for tried in range(TRIES):
        try:
            return _commit(lake, work, files, tried)
        except ConflictError:
            if tried == TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def _commit(lake: Lake, work: Work, files: "_Files", tried: int) -> Version | None:
    versions = lake.versions.all()
    head = versions[-1]
    branch = f"{FORGET}-{uuid.uuid4().hex[:12]}"
    names = sorted({name for version in versions for name in version.tables})
    instead: dict[str, dict[int, int]] = {}
    with progress("tables", len(names), "tables") as advance:
        for name in names:
            instead[name] = rebuilt(lake, name, versions, files.cleaned, branch)
            advance(1)
    after = [_after(version, instead, files.gone) for version in versions]
    changed = [new for old, new in zip(versions, after, strict=True) if new != old]
    attempt = lake.attempt(FORGET, {"work": work.id, "after": head.id}, base=after[-1])
    ids = {"sample": work.samples, "content": work.contents}
    now = datetime.fromisoformat(work.begun)
    stones = rows_for(buried(lake, head), ids, actor=work.actor, reason=work.reason, now=now)  # type: ignore[arg-type]
    kept = _projects(lake, after[-1], work)
    if not (changed or stones or kept):
        return None
    attempt.append("tombstones", rows_of("tombstones", stones))
    attempt.append("projects", rows_of("projects", kept))
    told: dict[str, Any] = {
        "pictures": len(work.samples),
        "contents": len(work.contents),
        "tombstones": len(stones),
        "rows": dict(sorted(files.dropped.items())),
        "struck": dict(sorted(files.struck.items())),
        "versions": len(changed),
        "models": len(work.models),
    }
    return attempt.commit_rewritten(changed, told, {"work": work.id})


def _after(version: Version, instead: Mapping[str, Mapping[int, int]], gone: Gone) -> Version:
    tables = {name: instead[name].get(number, number) for name, number in version.tables.items()}
    summary = version.summary
    if version.job == REPAIRS:
        summary = _without_repairs(summary, gone.work.extinct)
    if version.job == FRONTIER and gone.work.extinct:
        summary = {**summary, "refused": _without_groups(summary.get("refused", {}), gone.work.extinct)}
    summary, run = (_told(gone, value) for value in (summary, version.run))
    return dataclasses.replace(version, tables=tables, summary=summary, run=run)


def _told(gone: Gone, value: Mapping[str, Any]) -> dict[str, Any]:
    text = json.dumps(value, ensure_ascii=False)
    speaks: bool = gone.mentions.among(pa.chunked_array([[text]]))[0].as_py()
    return dict(gone.mentions.told(value)) if speaks else dict(value)


def _without_repairs(summary: Mapping[str, Any], extinct: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """The summary of repairs without those of values that nobody else has, also of such that are too short to be looked for anywhere."""
    names = str(summary.get("attribute", "")).split(", ")
    values = [value for name, value in extinct if name in names]
    told: Mapping[str, int] = summary.get("values", {})
    kept = {what: n for what, n in told.items() if not any(is_about(what, value) for value in values)}
    if kept == told:
        return dict(summary)
    reason = str(summary.get("reason", ""))
    for value in sorted(values, key=len, reverse=True):
        reason = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", STRUCK, reason)
    return {**summary, "values": kept, "reason": reason}


def _without_groups(refused: Mapping[str, str], extinct: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Why students were refused, without groups that nobody else is in, also where their values are too short to be looked for."""
    groups = sorted((re.escape(f"{name} {value}") for name, value in extinct), key=len, reverse=True)
    named = re.compile(rf"(?<!\w)(?:{'|'.join(groups)})(?!\w)")
    return {model: named.sub(STRUCK, why) for model, why in refused.items()}


def _projects(lake: Lake, version: Version, work: Work) -> list[dict[str, Any]]:
    """Rows of `projects` that say by what a project is known, which followed from all that its batch asked for."""
    marks = {project["batch"]: project["mark"] for project in work.projects if project["tickets"]}
    rows = lake.latest("projects", version).to_pylist() if marks else []
    return [
        row | {"mark": marks[row["batch"]]}
        for row in rows
        if row["batch"] in marks and row["mark"] != marks[row["batch"]]
    ]


class _Files:
    """Data files without the rows that go, each written once. `dropped`, `struck`: table → rows."""

    def __init__(self, lake: Lake, work: Work) -> None:
        self.lake, self.gone = lake, Gone(work)
        self.dropped: Counter[str] = Counter()
        self.struck: Counter[str] = Counter()
        self._known: dict[str, str | None] = {}
        self._attempt = lake.attempt(FORGET, {"work": work.id})  # for a folder of its own

    def cleaned(self, table: str, url: str) -> str | None:
        """See rewriting.Cleaned."""
        if url not in self._known:
            self._known[url] = self._written(table, url) if self._touched(table, url) else url
        return self._known[url]

    def _touched(self, table: str, url: str) -> bool:
        with self._opened(url) as file:
            columns = self.gone.columns(table, file.schema_arrow.names)
            if not columns:
                return False
            batches = file.iter_batches(batch_size=65_536, columns=columns)
            return any(self.gone.touched(table, pa.Table.from_batches([batch])) for batch in batches)

    def _written(self, table: str, url: str) -> str | None:
        new = f"{self._attempt.folder(table)}/{uuid.uuid4().hex}.parquet"
        n = 0
        with self._opened(url) as file, self.lake.fs.open(self.lake.strip(new), "wb") as stream:
            schema = TABLES[table].schema
            with (
                image_writer(stream)
                if table == "images"
                else pq.ParquetWriter(stream, schema, compression="zstd") as to
            ):
                for group in range(file.num_row_groups):
                    rows = self._kept(table, _whole(file.read_row_group(group), schema))
                    n += rows.num_rows
                    if rows.num_rows:
                        to.write_table(rows)
        if n:
            return new
        self.lake.fs.rm(self.lake.strip(new))
        return None

    def _kept(self, table: str, rows: pa.Table) -> pa.Table:
        goes = self.gone.dropped(table, rows)
        kept, struck = self.gone.struck(table, rows.filter(pa.compute.invert(goes)))
        for count, n in ((self.dropped, rows.num_rows - kept.num_rows), (self.struck, struck)):
            if n:
                count[table] += n
        return kept

    @contextlib.contextmanager
    def _opened(self, url: str) -> Any:
        try:
            with self.lake.fs.open(self.lake.strip(url), "rb") as stream:
                yield pq.ParquetFile(stream)
        except FileNotFoundError:
            raise ConflictError("`gc` removed a version meanwhile; run this again") from None


def _whole(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows of a file with all columns that its table has by now."""
    for field in schema:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(schema.names).cast(schema)


def sweep(lake: Lake) -> dict[str, int]:
    """Delete from disk whatever no version names, of jobs that still run, too: they end with a conflict. Returns snapshots, files, bytes."""
    kept = lake.versions.all()
    counts: Counter[str] = Counter({"snapshots": 0, "files": 0, "bytes": 0})
    for name in maintenance.tables(lake):
        counts.update(maintenance.sweep(lake, name, kept, grace_hours=0, dry_run=False))
    counts.update(maintenance.sweep_weights(lake, kept, grace_hours=0, dry_run=False))
    return dict(counts)


def vacuum(lake: Lake) -> None:
    """Rewrite the catalog's database: in deleted rows' pages the old text would stand on."""
    engine = lake.catalog.engine
    sqlite = engine.dialect.name == "sqlite"
    words: Sequence[str] = ["VACUUM"] if sqlite else [f"VACUUM FULL {table}" for table in VACUUM_TABLES]
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for one in words:
                connection.execute(sa.text(one))
            if sqlite:
                connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    except sa.exc.OperationalError as problem:
        raise UnavailableError(
            f"the catalog of the lake is in use and can't be rewritten: {first_line(problem)}"
        ) from None


def extinct(
    attributes: Iterable[tuple[str, Mapping[str, str]]],
    repairs: Iterable[Mapping[str, str | None]],
    samples: frozenset[str],
) -> list[tuple[str, str]]:
    """(attribute, value) that only these samples have, or that a repair made of such a value, or such a value of.

    `attributes`: sample_id → its own, of all samples, as they came and as they read. `repairs`: attribute, value and into of all that
    ever were.
    """
    theirs: set[tuple[str, str]] = set()
    others: set[tuple[str, str]] = set()
    for sample, pairs in attributes:
        (theirs if sample in samples else others).update(pairs.items())
    steps = {
        ((name, one["value"]), (name, into))
        for one in repairs
        if (name := one["attribute"]) and (into := one["into"]) and into != NOT_SAID
    }
    others = _reached(others, steps)
    both_ways = {(start, end) for step in steps for start, end in (step, step[::-1]) if end not in others}
    return sorted(_reached(theirs - others, both_ways))


def _reached(pairs: set[Any], steps: Iterable[tuple[Any, Any]]) -> set[Any]:
    """The pairs, and all that steps lead to from them."""
    found, steps = set(pairs), list(steps)
    while more := {end for start, end in steps if start in found} - found:
        found |= more
    return found
