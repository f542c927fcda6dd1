"""URLs under which a picture can be opened again where it is, for those who keep it by reference."""

import functools
import os
import tarfile
import zipfile
import zlib
from typing import Any

import fsspec

from secondlook.jobs.sources.listing import FILE, STORED, ZIP_DEFLATED, ZIP_OTHER, ZIP_STORED
from secondlook.jobs.sources.read import Row

ARCHIVES = {STORED: "tar", ZIP_STORED: "zip", ZIP_DEFLATED: "zip", ZIP_OTHER: "zip"}


def reference(row: Row) -> str | None:
    """A URL that fsspec opens: of the file, or of a member as zip://member::URL or tar://member::URL.

    None where there is none, so that the bytes are copied: rows of Parquet files, and names that are no UTF-8 or hold
    the `::` that chains URLs.
    """
    try:
        where = row.where.decode("utf-8")
    except UnicodeDecodeError:
        return None
    url = f"file://{where}" if row.local else where
    if "::" in url or "::" in (row.member or ""):
        return None
    if row.how == FILE:
        return url
    return f"{ARCHIVES[row.how]}://{row.member}::{url}" if row.how in ARCHIVES and row.member else None


def fetch(url: str) -> bytes:
    """The bytes behind a URL of `reference`; an archive's directory is read once, not for each of its members.

    Raises OSError, KeyError or ValueError where they are gone.
    """
    kind, _, rest = url.partition("://")
    if kind not in ARCHIVES.values() or "::" not in rest:
        with fsspec.open(url, "rb") as stream:
            return bytes(stream.read())
    member, _, archive = rest.partition("::")
    try:
        with _archive(kind, archive, _state(archive), os.getpid()).open(member) as stream:
            return bytes(stream.read())
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, RuntimeError, EOFError) as problem:
        raise OSError(str(problem)) from problem


def _state(archive: str) -> tuple[int, int]:
    """Size and time of a local archive: one that was replaced must be opened again."""
    if not archive.startswith("file://"):
        return 0, 0
    facts = os.stat(archive.removeprefix("file://"))
    return facts.st_size, facts.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _archive(kind: str, url: str, state: tuple[int, int], process: int) -> Any:
    """An open archive; each process has its own, since a forked one would share its place in the file."""
    return fsspec.filesystem(kind, fo=url)
