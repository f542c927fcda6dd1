"""A listing: what a source holds, a row a picture, before any picture is read.

The rules that all kinds of sources share stand here: which files count as pictures, which folder is a split and which a
class, how a class's name is cleaned, and how a name that is no text becomes a key.
"""

import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from secondlook.pipeline.core.schemas import ATTRIBUTES, INT, TEXT

# Where a picture's bytes are: `where` is an absolute path as the system writes it (bytes: names need not be text) or a
# URL. `how` says which bytes of it: FILE all of them, STORED those at `offset`, ZIP_* the member whose local header is
# at `offset` and which takes `length` bytes there, ROW the row number `offset` of a Parquet file.
# `split`, `label`, `attributes` are null where the source says nothing about them. `size_bytes` and `modified_us` change
# when the picture does; for rows of a Parquet file they are the file's.
LISTING = pa.schema(
    [
        ("key", TEXT),
        ("where", pa.binary()),
        ("how", TEXT),
        ("member", TEXT),
        ("offset", INT),
        ("length", INT),
        ("size_bytes", INT),
        ("modified_us", INT),
        ("split", TEXT),
        ("label", TEXT),
        ("attributes", ATTRIBUTES),
    ]
)
FILE, STORED, ZIP_STORED, ZIP_DEFLATED, ZIP_OTHER, ROW = "file", "stored", "zip stored", "zip deflated", "zip", "row"

# The closed list of suffixes that are no pictures: documents, tables, annotations, archives, arrays. All else is found,
# and its bytes decide.
NOT_PICTURES = frozenset(
    [
        "csv",
        "tsv",
        "txt",
        "md",
        "rst",
        "json",
        "jsonl",
        "ndjson",
        "xml",
        "html",
        "htm",
        "css",
        "js",
        "yaml",
        "yml",
        "toml",
        "ini",
        "cfg",
        "parquet",
        "arrow",
        "feather",
        "avro",
        "xls",
        "xlsx",
        "npy",
        "npz",
        "h5",
        "hdf5",
        "db",
        "sqlite",
        "log",
        "lock",
        "zip",
        "tar",
        "tgz",
        "gz",
        "bz2",
        "xz",
        "zst",
        "7z",
        "rar",
    ]
)
# Only to tell a folder of pictures from a folder of archives: a file with another suffix is found all the same.
PICTURES = frozenset(
    ["jpg", "jpeg", "jpe", "png", "gif", "webp", "bmp", "tif", "tiff", "ppm", "pgm", "pbm", "avif", "heic", "jp2"]
)
HIDDEN = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini"})
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
FLUSH_ROWS = 50_000


def suffix(name: str) -> str:
    """The suffix of a file's name, in lower case, without its dot; "" where it has none."""
    stem, dot, ending = name.rsplit("/", 1)[-1].rpartition(".")
    return ending.lower() if dot and stem else ""


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a path leads through something that people don't see: .git, __MACOSX, Thumbs.db."""
    return any(part.startswith(".") or part in HIDDEN for part in parts)


def is_found(name: str) -> bool:
    """Whether a file of this name counts as found: all do but those of NOT_PICTURES.

    >>> [is_found(name) for name in ("a.JPG", "b", "c.xyz", "labels.CSV")]
    [True, True, True, False]
    """
    return suffix(name) not in NOT_PICTURES


def place(folders: Sequence[str]) -> tuple[str | None, str | None]:
    """Split and class of a picture in these folders below the source, each None where no folder says it.

    >>> place(["valid", "cat", "tabby"]), place(["cat"]), place(["test"]), place([])
    (('val', 'cat'), (None, 'cat'), ('test', None), (None, None))
    """
    split = SPLITS.get(folders[0].lower()) if folders else None
    rest = folders[1:] if split else folders
    return split, rest[0] if rest else None


def clean_label(label: str | None) -> str | None:
    """A class's name: Unicode NFC, without white space around it; None where nothing is left.

    >>> clean_label(" cafe\\u0301 "), clean_label("  ")
    ('café', None)
    """
    return (unicodedata.normalize("NFC", as_text(label)).strip() or None) if label is not None else None


def as_text(name: str) -> str:
    r"""A name as text that every table takes: bytes that are no UTF-8 are written out as \xff.

    >>> as_text("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace") if _has_surrogates(name) else name


def _has_surrogates(name: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in name)


@dataclass(frozen=True)
class Listing:
    """What a source holds.

    `rows`: LISTING, sorted by key, each key once. `classes`: names that the source declares, whether or not a picture
    bears them. `unmatched_rows`: files that a table of labels names and the source doesn't have; `unmatched_keys`: keys
    that the table has no row for. `notes`: what a person should know about how the source was read.
    """

    url: str
    kind: str
    rows: pa.Table
    classes: tuple[str, ...] = ()
    unmatched_rows: tuple[str, ...] = ()
    unmatched_keys: tuple[str, ...] = ()
    table: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Rows:
    """Collects rows of a listing into Arrow memory, which holds ten times as many as lists do."""

    _columns: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in LISTING.names})
    _batches: list[pa.RecordBatch] = field(default_factory=list)

    def add(
        self,
        key: str,
        where: bytes,
        *,
        how: str = FILE,
        member: str | None = None,
        offset: int = 0,
        length: int = -1,
        size_bytes: int = -1,
        modified_us: int = 0,
        split: str | None = None,
        label: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """One picture; see LISTING."""
        pairs = list(attributes.items()) if attributes is not None else None
        row = (key, where, how, member, offset, length, size_bytes, modified_us, split, clean_label(label), pairs)
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        if len(self._columns["key"]) >= FLUSH_ROWS:
            self._flush()

    def _flush(self) -> None:
        arrays = [pa.array(self._columns[column.name], column.type) for column in LISTING]
        self._batches.append(pa.RecordBatch.from_arrays(arrays, schema=LISTING))
        self._columns = {name: [] for name in LISTING.names}

    def table(self) -> pa.Table:
        """All rows, sorted by key; the second picture of a key (archives allow it) is `key#2`, and so on."""
        self._flush()
        table = pa.Table.from_batches(self._batches, LISTING).combine_chunks()
        table = table.sort_by([("key", "ascending"), ("where", "ascending"), ("offset", "ascending")])
        keys = table["key"].to_pylist()
        if len(set(keys)) < len(keys):
            table = table.set_column(0, "key", pa.array(_each_once(keys), TEXT)).sort_by("key")
        return table


def _each_once(keys: Sequence[str]) -> list[str]:
    taken, result = set(keys), []
    seen: set[str] = set()
    for key in keys:
        name, n = key, 1
        while name in seen or (n > 1 and name in taken):
            n += 1
            name = f"{key}#{n}"
        seen.add(name)
        result.append(name)
    return result
