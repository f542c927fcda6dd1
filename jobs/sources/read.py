"""Fetching the bytes of listed pictures, in the order of a listing: what Spark's workers do."""

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import fsspec

from secondlook.jobs.sources.listing import FILE
from secondlook.pipeline.core.decode_types import Rejected

Content = bytes | Rejected
AT_ONCE = 32  # remote files that are asked for together: their latencies overlap
AT_ONCE_BYTES = 32 * 2**20


@dataclass(frozen=True)
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
    fs = None
    while rows:
        size, n = 0, 0
        while n < len(rows) and n < AT_ONCE and (not n or size + rows[n].size_bytes <= AT_ONCE_BYTES):
            size += max(rows[n].size_bytes, 0)
            n += 1
        chunk, rows = rows[:n], rows[n:]
        urls = [row.where.decode() for row in chunk if row.size_bytes <= max_bytes]
        fs = fs or fsspec.core.url_to_fs(chunk[0].where.decode())[0]
        paths = [fs._strip_protocol(url) for url in urls]
        got: dict[str, Any] = fs.cat(paths, on_error="return") if paths else {}
        if not isinstance(got, dict):  # fsspec answers one path with its bytes alone
            got = {paths[0]: got}
        for row in chunk:
            data = got.get(fs._strip_protocol(row.where.decode()))
            if row.size_bytes > max_bytes:
                yield too_large(row.size_bytes, max_bytes)
            elif isinstance(data, bytes):
                yield data if len(data) <= max_bytes else too_large(len(data), max_bytes)
            else:
                yield unreadable(data if isinstance(data, Exception) else FileNotFoundError("no such file"))


_READERS = {FILE: _local}
