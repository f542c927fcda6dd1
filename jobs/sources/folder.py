"""Files below a folder: class folders, or a flat folder whose labels come from a table or from people."""

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import fsspec

from secondlook.jobs.sources.listing import HIDDEN, Rows, as_text, is_found, is_hidden, place
from secondlook.pipeline.core.errors import UnavailableError, UserError

# How file systems of fsspec call the time of the last change.
TIMES = ("mtime", "LastModified", "last_modified", "updated", "modificationTime", "created")
GONE = (errno.ENOENT, errno.ELOOP)  # a link to nowhere or to itself, a file that was removed while we list


@dataclass(frozen=True, slots=True)  # there may be millions
class File:
    """A regular file: `key` is its path below the source as text, `where` its absolute path or its URL, in bytes."""

    key: str
    where: bytes
    size_bytes: int
    modified_us: int


@dataclass(frozen=True)
class Place:
    """Where a source lies: a file system, and the path in it; `given` is the URL that the user gave."""

    fs: Any
    path: str
    local: bool
    given: str

    @classmethod
    def of(cls, url: str) -> "Place":
        """The place that a user names by a path or a URL; raises UserError where there is nothing."""
        if not url.strip():
            raise UserError("a path or URL is empty; `.` is the current folder")
        try:
            fs, path = fsspec.core.url_to_fs(url)
            local = "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)
            there = os.path.lexists(path) if local else fs.exists(path)
        except (ValueError, ImportError) as problem:
            raise UserError(f"{url} can't be opened: {problem}") from None
        except OSError as problem:
            raise UnavailableError(f"{url} does not answer: {problem}") from None
        if not there:
            raise UserError(f"there is no file or folder {url}")
        return cls(fs, os.path.abspath(path) if local else str(path), local, url.rstrip("/"))

    @property
    def url(self) -> str:
        """Its URL, as tables keep it: without a user's name and password."""
        return as_text(f"file://{self.path}") if self.local else re.sub(r"://[^/@]*@", "://", self.given)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return Path(self.path).is_dir() if self.local else bool(self.fs.isdir(self.path))

    def file(self) -> File:
        """This place as the one file that it is."""
        if self.local:
            facts = os.stat(self.path)
            name, size, time_us = os.path.basename(self.path), facts.st_size, facts.st_mtime_ns // 1000
            return File(as_text(name), os.fsencode(self.path), size, time_us)
        info = self.fs.info(self.path)
        return File(self.path.rsplit("/", 1)[-1], self.given.encode(), int(info.get("size") or -1), _time_us(info))

    def files(self, skip: str = "") -> Iterator[File]:
        """All regular files below a folder that are not hidden, but for those below the local folder `skip`."""
        if not self.local:
            yield from self._remote_files()
            return
        for key, path, facts in _walk(self.path, skip):
            yield File(as_text(key), os.fsencode(path), facts.st_size, facts.st_mtime_ns // 1000)

    def _remote_files(self) -> Iterator[File]:
        root = self.path.rstrip("/") + "/"
        try:
            found = self.fs.find(self.path, detail=True)
        except OSError as problem:
            raise UnavailableError(f"{self.url} does not answer: {problem}") from None
        for path, info in sorted(found.items()):
            key = path.removeprefix(root).lstrip("/")
            if info.get("type", "file") == "file" and not is_hidden(key.split("/")):
                size = info.get("size")
                where = f"{self.given}/{key}".encode()  # file systems forget host and port in their own URLs
                yield File(as_text(key), where, int(size) if size is not None else -1, _time_us(info))


@contextlib.contextmanager
def opened(where: bytes) -> Iterator[Any]:
    """A file of a listing, open for reading at any place."""
    if where.startswith(b"/"):
        with open(where, "rb") as stream:
            yield stream
    else:
        with fsspec.open(where.decode(), "rb") as stream:
            yield stream


def _walk(root: str, skip: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """(path below the root, path, facts) of every regular file; linked folders are followed, each once."""
    visited: set[tuple[int, int]] = set()
    folders = [(root, "")]
    while folders:
        folder, below = folders.pop()
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in visited or (skip and os.path.realpath(folder) == skip):
            continue
        visited.add((facts.st_dev, facts.st_ino))
        try:
            with os.scandir(folder) as entries:
                inside = list(entries)
        except OSError as problem:
            raise UserError(f"the folder {as_text(folder)} can't be listed: {problem.strerror}") from None
        for entry in inside:
            if entry.name.startswith(".") or entry.name in HIDDEN:
                continue
            try:
                facts = entry.stat()
            except OSError as problem:
                if problem.errno in GONE:
                    continue
                raise UserError(f"{as_text(entry.path)} can't be looked at: {problem.strerror}") from None
            if stat.S_ISDIR(facts.st_mode):
                folders.append((entry.path, f"{below}{entry.name}/"))
            elif stat.S_ISREG(facts.st_mode):
                yield below + entry.name, entry.path, facts


def _time_us(info: dict[str, Any]) -> int:
    for name in TIMES:
        value = info.get(name)
        if isinstance(value, datetime):
            return int(value.timestamp() * 1_000_000)
        if isinstance(value, int | float) and value:
            return int(value * (1_000 if value > 1e11 else 1_000_000))  # milliseconds since 1970, or seconds
    return 0


def rows_of(files: list[File], *, classes: bool) -> Rows:
    """A row for every file that may be a picture; `classes`: the folders say what it shows."""
    rows = Rows()
    for file in files:
        folders = file.key.split("/")
        if is_found(folders.pop()):
            split, label = place(folders)
            rows.add(
                file.key,
                file.where,
                length=file.size_bytes,
                size_bytes=file.size_bytes,
                modified_us=file.modified_us,
                split=split,
                label=label if classes else None,
            )
    return rows
