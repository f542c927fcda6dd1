"""Fetching the bytes of listed pictures, in the order of a listing: what Spark's workers do."""

import contextlib
import itertools
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from secondlook.jobs.sources.folder import opened
from secondlook.jobs.sources.listing import FILE, ROW, STORED, ZIP_DEFLATED, ZIP_OTHER, ZIP_STORED
from secondlook.pipeline.core.decode import Rejected

Content = bytes | Rejected
AT_ONCE = 32  # remote files that are asked for together: their latencies overlap
AT_ONCE_BYTES = 32 * 2**20
ROWS_AT_ONCE = 16
LOCAL_HEADER_BYTES = 30  # before the name, in a zip archive


@dataclass(frozen=True, slots=True)  # there may be millions
class Row:
    """Where one picture's bytes are; the fields are the columns of LISTING."""

    where: bytes
    how: str
    member: str | None
    offset: int
    length: int
    size_bytes: int

    @property
    def local(self) -> bool:
        """Whether it is a path of this machine (or one that all workers share), not a URL."""
        return self.where.startswith(b"/")


def contents(rows: Sequence[Row], max_bytes: int) -> Iterator[Content]:
    """The bytes of each row, or why there are none; a file of more than `max_bytes` is not read."""
    for (how, local), group in itertools.groupby(rows, key=lambda row: (row.how, row.local)):
        reader = _READERS[how] if how != FILE or local else _remote
        yield from reader(list(group), max_bytes)


def too_large(size: int, max_bytes: int) -> Rejected:
    """What a file of more than `max_bytes` is answered with."""
    return Rejected("too large", f"{size:,} bytes, and [ingest] max_file_mb allows {max_bytes:,}")


def unreadable(problem: Exception) -> Rejected:
    """What a file that can't be opened or read is answered with."""
    reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem).split("\n")[0]
    return Rejected("unreadable", reason or type(problem).__name__)


def _local(rows: list[Row], max_bytes: int) -> Iterator[Content]:
    for row in rows:
        try:
            with open(row.where, "rb", buffering=0) as stream:
                size = os.fstat(stream.fileno()).st_size
                yield stream.readall() if size <= max_bytes else too_large(size, max_bytes)
        except OSError as problem:
            yield unreadable(problem)


def _remote(rows: list[Row], max_bytes: int) -> Iterator[Content]:
    while rows:
        size, n = 0, 0
        while n < len(rows) and n < AT_ONCE and (not n or size + rows[n].size_bytes <= AT_ONCE_BYTES):
            size += max(rows[n].size_bytes, 0)
            n += 1
        chunk, rows = rows[:n], rows[n:]
        places = [fsspec.core.url_to_fs(row.where.decode()) for row in chunk]
        paths = [path for row, (_, path) in zip(chunk, places, strict=True) if row.size_bytes <= max_bytes]
        answer: Any = places[0][0].cat(paths, on_error="return") if paths else {}
        got = answer if isinstance(answer, dict) else {paths[0]: answer}  # one path is answered with its bytes alone
        for row, (_, path) in zip(chunk, places, strict=True):
            data = got.get(path)
            if row.size_bytes > max_bytes:
                yield too_large(row.size_bytes, max_bytes)
            elif isinstance(data, bytes):
                yield _bounded(data, max_bytes)
            else:
                yield unreadable(data if isinstance(data, Exception) else FileNotFoundError("no such file"))


def _members(rows: list[Row], max_bytes: int) -> Iterator[Content]:
    """Members of archives, each archive opened once; a damaged member spoils no other."""
    for where, group in itertools.groupby(rows, key=lambda row: row.where):
        with contextlib.ExitStack() as stack:
            try:
                stream = stack.enter_context(opened(where))
            except OSError as problem:
                yield from (unreadable(problem) for _ in group)
                continue
            for row in group:
                if row.size_bytes > max_bytes:
                    yield too_large(row.size_bytes, max_bytes)
                    continue
                try:
                    yield _member(stream, row, max_bytes)
                except (OSError, zlib.error, struct.error, zipfile.BadZipFile, RuntimeError, EOFError) as problem:
                    yield unreadable(problem)


def _member(stream: Any, row: Row, max_bytes: int) -> Content:
    if row.how == ZIP_OTHER:
        stream.seek(0)
        with zipfile.ZipFile(stream) as archive, archive.open(str(row.member)) as member:
            return _bounded(member.read(max_bytes + 1), max_bytes)
    stream.seek(row.offset)
    if row.how != STORED:
        name_bytes, extra_bytes = struct.unpack("<26xHH", stream.read(LOCAL_HEADER_BYTES))
        stream.seek(name_bytes + extra_bytes, os.SEEK_CUR)
    data = stream.read(row.length)
    if len(data) < row.length:
        return Rejected("unreadable", "the archive ends before the picture does")
    if row.how == ZIP_DEFLATED:
        # Bounded: a small member may unpack to any size, whatever its header says.
        data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, max_bytes + 1)
    return _bounded(data, max_bytes)


def _bounded(data: bytes, max_bytes: int) -> Content:
    return data if len(data) <= max_bytes else too_large(len(data), max_bytes)


def _parquet_rows(rows: list[Row], max_bytes: int) -> Iterator[Content]:
    """Rows of Parquet files in order; `member` is row group, row in it and column."""
    for (where, member), group in itertools.groupby(rows, key=lambda row: (row.where, _group_of(row))):
        yield from _row_group(where, member, [int(str(row.member).split(" ", 2)[1]) for row in group], max_bytes)


def _group_of(row: Row) -> tuple[int, str]:
    number, _, column = str(row.member).split(" ", 2)
    return int(number), column


def _row_group(where: bytes, member: tuple[int, str], wanted: list[int], max_bytes: int) -> Iterator[Content]:
    number, column = member
    left, start = list(reversed(wanted)), 0
    try:
        with opened(where) as stream:
            # Buffered and a few rows at once: a row group may be larger than this machine's memory.
            file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=2**20)
            for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=[number], columns=[column], use_threads=False):
                values = batch.column(0)
                while left and left[-1] < start + len(values):
                    yield _cell(values[left.pop() - start].as_py(), max_bytes)
                start += len(values)
    except (OSError, pa.ArrowException) as problem:
        yield from (unreadable(problem) for _ in left)


def _cell(value: Any, max_bytes: int) -> Content:
    data = value.get("bytes") if isinstance(value, dict) else value
    if data is None:
        path = value.get("path") if isinstance(value, dict) else None
        return Rejected("unreadable", f"the row holds no bytes, only the path {path}" if path else "the row is null")
    return _bounded(data, max_bytes)


_READERS = {
    FILE: _local,
    STORED: _members,
    ZIP_STORED: _members,
    ZIP_DEFLATED: _members,
    ZIP_OTHER: _members,
    ROW: _parquet_rows,
}
