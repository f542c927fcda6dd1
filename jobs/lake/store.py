"""The one door to the lake: Iceberg tables, and the `versions` table that is their one commit point.

Iceberg commits a table at a time. So a job writes each table on a branch of its own that nobody reads, and its last act
is one row in `versions`: {table → snapshot}. Readers resolve every table through such a row. A job that dies before it
leaves branches that no version names, and `jobs.lake.gc` removes them. Why: docs/decisions/0001-iceberg-one-commit-point.md.
"""

import contextlib
import hashlib
import os
import random
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.table import Table as IcebergTable

from secondlook.jobs.lake.versions import FORGET, Version, Versions, digest
from secondlook.pipeline.core.config import LakeSettings
from secondlook.pipeline.core.errors import ConflictError, UnavailableError, UserError
from secondlook.pipeline.core.schemas import TABLES

__all__ = ["Attempt", "Lake", "Version", "digest"]

CATALOG_NAME = "secondlook"  # Iceberg finds tables under the name they were made with, so it never changes
COMMIT_TRIES = 20
ALWAYS_TRUE = AlwaysTrue()

# A commit rewrites the table's metadata: old files of it are deleted and small manifests merged, or 300 commits make
# a commit many times slower. The image files' own row groups are set by the workers that write them.
TABLE_PROPERTIES = {
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "5",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "16",
    "write.parquet.compression-codec": "zstd",
}


class Lake:
    """The tables below one URL, as of any version."""

    def __init__(self, url: str, catalog: str = "", *, create: bool = False) -> None:
        """Open the lake at a folder or fsspec URL; `create` makes one where there is none.

        Raises UserError where there is no lake, UnavailableError where its catalog does not answer.
        """
        if not url.strip():
            raise UserError("the lake's folder or URL is empty; `.` is the current folder")
        try:
            self.fs, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as problem:
            raise UserError(f"a lake at {url} can't be opened: {problem}") from None
        self.local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))
        self.root = os.path.realpath(root) if self.local else root.rstrip("/")  # one lake, one name
        self.url = f"file://{self.root}" if self.local else self.fs.unstrip_protocol(self.root)
        own = not catalog  # in the lake's folder, and of no other lake
        if own:
            if not self.local:
                raise UserError(f"a lake at {url} needs a catalog in a database: set [lake] catalog in secondlook.toml")
            file = Path(self.root) / "catalog.db"
            if not file.exists():
                if not create:
                    raise UserError(f"there is no lake at {url}; `secondlook ingest SOURCE --lake {url}` makes one")
                self._refuse_foreign(url)
                file.parent.mkdir(parents=True, exist_ok=True)
            catalog = f"sqlite:///{file}"
        self.namespace = "lake_" + hashlib.blake2b(self.url.encode(), digest_size=6).hexdigest()
        self.catalog_url = catalog
        try:
            self.catalog = SqlCatalog(CATALOG_NAME, uri=catalog, warehouse=self.url)
            self.versions = Versions(self.catalog.engine, self.url)
            with contextlib.suppress(NamespaceAlreadyExistsError):
                self.catalog.create_namespace(self.namespace)
        except (sa.exc.DatabaseError, sa.exc.InterfaceError) as problem:
            raise UnavailableError(f"the catalog of the lake does not answer: {first_line(problem)}") from None
        if own:
            self._refuse_moved(url)
        if not create and self.head() is None and not self.local:
            raise UserError(f"there is no lake at {url}; `secondlook ingest SOURCE --lake {url}` makes one")
        self._iceberg: dict[str, IcebergTable] = {}

    def _refuse_foreign(self, url: str) -> None:
        folder = Path(self.root)
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise UserError(f"{url} is not a lake and not empty; choose a new folder for the lake")

    def _refuse_moved(self, url: str) -> None:
        """The tables name their files by full paths, so a lake that was moved would look empty."""
        elsewhere = self.versions.elsewhere() if self.head() is None else []
        if elsewhere:
            raise UserError(
                f"the lake at {url} was moved or copied from {elsewhere[0]}, and its files are named by that path; "
                "move it back there, or export it and ingest that here"
            )

    @classmethod
    def open(cls, settings: LakeSettings, *, create: bool = False) -> Self:
        """The lake that the settings name."""
        return cls(settings.url, settings.catalog, create=create)

    def close(self) -> None:
        """Close the connections to the catalog; the lake can be used again, with new ones."""
        self.catalog.engine.dispose()

    # Versions: see jobs/lake/versions.py

    def head(self) -> Version | None:
        """The newest version, or None in a lake that nothing was committed to."""
        return self.versions.head()

    def at(self, reference: str | int | None = None) -> Version:
        """The version that a user names: a number, `head`, `head~2`, or None for the newest."""
        return self.versions.at(reference)

    def find(self, job: str, inputs: Mapping[str, Any]) -> Version | None:
        """The version that this job made of these inputs, if it did."""
        return self.versions.find(job, inputs)

    def newest(self, job: str, version: Version | None = None) -> Version | None:
        """The newest version that this job made, at or before the given one."""
        return self.versions.newest(job, version)

    # Reading

    def iceberg(self, name: str, *, fresh: bool = False) -> IcebergTable:
        """The Iceberg table behind a name; made, with an empty root snapshot, when it is first asked for."""
        if name not in self._iceberg or fresh:
            identifier = f"{self.namespace}.{name}"
            try:
                table = self.catalog.load_table(identifier)
            except NoSuchTableError:
                table = self._create(identifier, TABLES[name].schema)
            table = self._rooted(table, identifier, TABLES[name].schema)
            missing = set(TABLES[name].schema.names) - {column.name for column in table.schema().fields}
            if missing:
                with table.update_schema() as update:
                    update.union_by_name(TABLES[name].schema)
            self._iceberg[name] = table
        return self._iceberg[name]

    def _create(self, identifier: str, schema: pa.Schema) -> IcebergTable:
        try:
            return self.catalog.create_table(identifier, schema=schema, properties=TABLE_PROPERTIES)
        except TableAlreadyExistsError:  # another process was faster
            return self.catalog.load_table(identifier)

    def _rooted(self, table: IcebergTable, identifier: str, schema: pa.Schema) -> IcebergTable:
        """Iceberg branches only off a snapshot: an empty one is the root of all, also where a table's maker died first."""
        for _ in range(COMMIT_TRIES):
            if table.current_snapshot() is not None:
                return table
            with contextlib.suppress(CommitFailedException, ValueError):  # another process was faster
                table.append(schema.empty_table())
            table = self.catalog.load_table(identifier)
        raise ConflictError(f"table {identifier} is being made by too many jobs at once; run this again")

    def snapshot(self, name: str, version: Version | None) -> int:
        """The snapshot of a table in a version; the empty root where the version does not name the table."""
        if version is not None and name in version.tables:
            return version.tables[name]
        current = self.iceberg(name).current_snapshot()
        assert current is not None, "a table is made with a root snapshot"
        return int(current.snapshot_id)

    def scan(self, name: str, version: Version | None, columns: Sequence[str] | None = None, where: Any = None) -> Any:
        """A scan of pyiceberg over a table as of a version."""
        snapshot = self.snapshot(name, version)
        table = self.iceberg(name)
        if table.snapshot_by_id(snapshot) is None:  # written by another process since
            table = self.iceberg(name, fresh=True)
            if table.snapshot_by_id(snapshot) is None:
                raise ConflictError(_moved_on(version))
        wanted = tuple(columns) if columns else ("*",)
        return table.scan(
            row_filter=where if where is not None else ALWAYS_TRUE,
            selected_fields=tuple(column for column in wanted if column == "*" or column in _columns(table, snapshot)),
            snapshot_id=snapshot,
        )

    def read(
        self, name: str, version: Version | None, columns: Sequence[str] | None = None, where: Any = None
    ) -> pa.Table:
        """All rows of a table as of a version; `where` is a filter of pyiceberg (text or expression).

        Columns that the table did not have yet at that version are null.
        """
        schema = TABLES[name].schema
        wanted = pa.schema([schema.field(column) for column in columns]) if columns else schema
        try:
            rows = self.scan(name, version, columns, where).to_arrow()
        except FileNotFoundError:
            raise ConflictError(_moved_on(version)) from None
        for field in wanted:
            if field.name not in rows.column_names:
                rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
        return rows.select(wanted.names).cast(wanted)

    def latest(
        self, name: str, version: Version | None, columns: Sequence[str] | None = None, where: Any = None
    ) -> pa.Table:
        """The rows that hold: the newest of each key, in the order of the keys."""
        key = list(TABLES[name].key)
        extra = [column for column in [*key, "seq"] if columns and column not in columns]
        rows = self.read(name, version, [*columns, *extra] if columns else None, where)
        order = pc.sort_indices(rows, [*((column, "ascending") for column in key), ("seq", "ascending")])
        rows = rows.take(order)
        if rows.num_rows > 1:
            same = pa.array([True] * (rows.num_rows - 1))
            for column in key:
                values = rows[column].combine_chunks()
                same = pc.and_(same, pc.equal(values[:-1], values[1:]))
            rows = rows.filter(pa.concat_arrays([pc.invert(same).cast(pa.bool_()), pa.array([True])]))
        return rows.select(list(columns)) if columns else rows

    def batches(
        self, name: str, version: Version | None, columns: Sequence[str] | None = None, where: Any = None
    ) -> Iterator[pa.RecordBatch]:
        """The rows of a table a batch at a time, read sequentially: for what does not fit in memory."""
        import pyarrow.parquet as pq

        try:
            if where is not None:
                yield from self.scan(name, version, columns, where).to_arrow_batch_reader()
                return
            for path in self.files(name, version):
                with self.fs.open(self.strip(path), "rb") as stream:
                    yield from pq.ParquetFile(stream).iter_batches(
                        batch_size=256, columns=list(columns) if columns else None
                    )
        except FileNotFoundError:
            raise ConflictError(_moved_on(version)) from None

    def files(self, name: str, version: Version | None) -> list[str]:
        """URLs of the Parquet files that hold a table in a version, sorted: what Spark is given to read."""
        return sorted(task.file.file_path for task in self.scan(name, version, None, None).plan_files())

    def strip(self, url: str) -> str:
        """Path in the lake's file system of a URL."""
        return str(self.fs._strip_protocol(url))

    # Writing

    def attempt(self, job: str, inputs: Mapping[str, Any], base: Version | None = None) -> "Attempt":
        """A try at a new version on top of the newest one (or of `base`); nothing of it is seen before `commit`."""
        return Attempt(self, job, digest(inputs), base or self.head())

    def folder(self, *parts: str) -> str:
        """Path of a folder below the lake's root (of the lake's file system), made if it is not there."""
        path = "/".join([self.root, *parts])
        self.fs.makedirs(path, exist_ok=True)
        return path


class Attempt:
    """What one run of a job writes, on branches of its own, until `commit` makes it a version."""

    def __init__(self, lake: Lake, job: str, inputs: str, base: Version | None) -> None:
        self.lake, self.job, self.inputs, self.base = lake, job, inputs, base
        self.id = uuid.uuid4().hex
        self.seq = base.id + 1 if base else 1
        self.started = datetime.now(UTC)
        self.tables: dict[str, int] = {}

    def folder(self, table: str) -> str:
        """URL of this attempt's own folder for a table's files: two attempts never write to one path."""
        self.lake.iceberg(table)
        return "file://" + self._path(table) if self.lake.local else self.lake.fs.unstrip_protocol(self._path(table))

    def _path(self, table: str) -> str:
        return self.lake.folder(self.lake.namespace, table, "data", self.id)

    def append(self, table: str, rows: pa.Table) -> None:
        """Rows that this process holds; `seq` is filled in."""
        schema = TABLES[table].schema
        numbered = rows.drop_columns(["seq"]) if "seq" in rows.column_names else rows
        numbered = numbered.append_column("seq", pa.array([self.seq] * rows.num_rows, pa.int64()))
        if numbered.num_rows:
            self._on_branch(
                table, lambda iceberg, branch: iceberg.append(numbered.select(schema.names).cast(schema), branch=branch)
            )

    def replace(self, table: str, rows: pa.RecordBatchReader) -> None:
        """All rows of a table anew, with the `seq` that they have: for compaction."""
        self._on_branch(table, lambda iceberg, branch: iceberg.overwrite(rows, branch=branch))

    def add_files(self, table: str, urls: Sequence[str]) -> None:
        """Parquet files that workers wrote below `folder(table)`, with all columns and this attempt's `seq`."""
        if urls:
            self._on_branch(
                table, lambda iceberg, branch: iceberg.add_files(list(urls), check_duplicate_files=False, branch=branch)
            )

    def _on_branch(self, name: str, write: Any) -> None:
        branch = f"attempt-{self.id}"
        self.refuse_forgotten()
        for tried in range(COMMIT_TRIES):
            iceberg = self.lake.iceberg(name, fresh=True)
            try:
                if branch not in iceberg.refs():
                    start = self.lake.snapshot(name, self.base)
                    iceberg.manage_snapshots().create_branch(start, branch).commit()
                write(iceberg, branch)
            except (CommitFailedException, ValueError) as problem:
                # Another job wrote a branch of the same table in between. pyiceberg notices a moved branch by
                # CommitFailedException, and a sequence number that another branch took by a plain ValueError.
                if isinstance(problem, ValueError) and "sequence number" not in str(problem):
                    raise
                time.sleep(random.uniform(0, 0.05 * (tried + 1)))  # noqa: S311
                continue
            snapshot = iceberg.snapshot_by_name(branch)
            assert snapshot is not None, "the branch was just written"
            self.tables[name] = int(snapshot.snapshot_id)
            return
        raise ConflictError(f"table {name} is being written by too many jobs at once; run this again")

    def commit(self, summary: Mapping[str, Any], run: Mapping[str, Any] | None = None) -> Version:
        """Make what was written the newest version: the one row, in one transaction.

        Where the same job has made the same inputs into a version before, that one is returned. Where another job
        committed meanwhile, to other tables, both survive; where to the same, raises ConflictError.
        """
        for _ in range(COMMIT_TRIES):
            done = self.lake.versions.made(self.job, self.inputs)
            if done is not None:
                return done
            head = self.lake.head()
            version = self._on_top_of(head, summary, run or {})
            try:
                self.lake.versions.insert(version)
            except sa.exc.IntegrityError:  # the same inputs, or the same number, were committed in between
                continue
            except sa.exc.OperationalError as problem:
                raise UnavailableError(
                    f"the catalog of the lake did not take the commit: {first_line(problem)}"
                ) from None
            return version
        raise ConflictError("too many jobs commit at once; run this again")

    def commit_rewritten(
        self, rewritten: Iterable[Version], summary: Mapping[str, Any], run: Mapping[str, Any]
    ) -> Version:
        """As `commit`, and earlier versions become what `rewritten` says of them, in the same transaction.

        The base is the newest version as it is to be. Raises ConflictError where another job committed meanwhile.
        """
        version = self._on_top_of(self.base, summary, run)
        try:
            self.lake.versions.rewrite(rewritten, version)
        except sa.exc.IntegrityError:
            raise ConflictError("another job committed meanwhile; run this again") from None
        return version

    def refuse_forgotten(self, head: Version | None = None) -> None:
        """Raise ConflictError where `forget` ran since: what was made of the pictures that it erased must not be written."""
        base = self.base.id if self.base else 0
        head = head or self.lake.head()
        if head is not None and head.id > base:
            forgot = self.lake.newest(FORGET, head)
            if forgot is not None and forgot.id > base:
                raise ConflictError(f"pictures were forgotten meanwhile (version {forgot.id}); run this again")

    def _on_top_of(self, head: Version | None, summary: Mapping[str, Any], run: Mapping[str, Any]) -> Version:
        self.refuse_forgotten(head)
        before = dict(head.tables) if head else {}
        for table in self.tables:
            was = self.base.tables.get(table) if self.base else None
            if before.get(table) != was:
                raise ConflictError(
                    f"another job changed {table} meanwhile (version {head.id if head else 0}); run this again"
                )
        now = datetime.now(UTC)
        facts = {
            "seconds": round((now - self.started).total_seconds(), 3),
            "read": self.base.id if self.base else 0,
            **run,
        }
        return Version(
            id=head.id + 1 if head else 1,
            seq=self.seq,
            job=self.job,
            inputs=self.inputs,
            created=now.isoformat(timespec="microseconds"),
            tables=before | self.tables,
            summary=dict(summary),
            run=facts,
        )


def _moved_on(version: Version | None) -> str:
    """Why a version that was read a moment ago can't be read on."""
    which = f"version {version.id}" if version else "the lake"
    return f"{which} was rewritten by `forget`, or removed by `gc`, while it was read; run this again"


def _columns(table: IcebergTable, snapshot_id: int) -> set[str]:
    """Names of the columns that a table had at a snapshot."""
    snapshot = table.snapshot_by_id(snapshot_id)
    of_it = next(
        (one for one in table.metadata.schemas if snapshot and one.schema_id == snapshot.schema_id), table.schema()
    )
    return {field.name for field in of_it.fields}


def first_line(problem: Exception) -> str:
    """The first line of what an exception says: those of databases and stores go on for pages."""
    return str(problem).splitlines()[0] if str(problem) else type(problem).__name__
