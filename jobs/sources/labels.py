"""A table of labels beside the pictures: CSV or Parquet, columns chosen by name, joined to the files of a listing."""

import codecs
import csv
import dataclasses
import io
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.sources.folder import Place
from secondlook.jobs.sources.listing import SPLITS, Listing, suffix
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.schemas import ATTRIBUTES, TEXT

# Names that a column is recognized by; with two of them in one table the user says which.
FILE_NAMES = [
    "file",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "path",
    "image",
    "image_path",
    "image_name",
    "img",
    "img_path",
    "key",
]
LABEL_NAMES = ["label", "class", "target", "category", "class_name", "label_name"]
SPLIT_NAMES = ["split"]
NO_LABELS = "-"
ROW_BYTES = 2**20
PATCH_NAMES = {"old_label", "label", "evidence"}  # columns of a patch that `secondlook export` wrote


@dataclass(frozen=True)
class Columns:
    """The columns of a table of labels; empty: recognized by their names. `attributes` None: all the rest."""

    file: str = ""
    label: str = ""
    split: str = ""
    attributes: tuple[str, ...] | None = None


def join(listing: Listing, url: str, columns: Columns) -> Listing:
    """The listing with what the table says of its files: label, split, attributes.

    Raises UserError where the table can't be read, a column is absent or ambiguous, or a file has several labels.
    """
    table, name = read(url), PurePosixPath(url).name
    chosen = choose(table.column_names, columns, name)
    files = _text(table, chosen.file, name)
    names = [unicodedata.normalize("NFC", file or "").replace("\\", "/").removeprefix("./") for file in files]
    where, way = _positions(names, listing.rows["key"].to_pylist(), name)
    labels = _text(table, chosen.label, name) if chosen.label else [None] * len(names)
    row_of = _one_row_a_file(where, labels, names, name)
    taken = pa.array([row_of.get(i) for i in range(listing.rows.num_rows)], pa.int64())
    said = pc.is_valid(taken)
    notes = listing.notes + ((f"files of {name} were found by {way}",) if way else ())
    rows = listing.rows
    if chosen.label:
        rows = _set(rows, "label", _cleaned(pa.array(labels, TEXT)).take(taken))
    if chosen.split:
        splits = pa.array([_split(text) for text in _text(table, chosen.split, name)], TEXT).take(taken)
        rows = _set(rows, "split", pc.coalesce(splits, rows["split"].combine_chunks()))
    if chosen.attributes:
        attributes = _attributes({column: _text(table, column, name) for column in chosen.attributes}).take(taken)
        rows = _set(rows, "attributes", attributes)
    unmatched = tuple(dict.fromkeys(text for text, at in zip(names, where, strict=True) if at is None))
    alone = tuple(rows["key"].filter(pc.invert(said)).to_pylist())
    return dataclasses.replace(
        listing, rows=rows, unmatched_rows=unmatched, unmatched_keys=alone, table=name, notes=notes
    )


def read(url: str) -> pa.Table:
    """A CSV (all columns as text: 007 stays 007), TSV or Parquet file."""
    place, name, kind = Place.of(url), PurePosixPath(url).name, suffix(url)
    if kind not in ("csv", "tsv", "txt", "parquet"):
        hint = "; boxes, masks and several labels for an image (COCO and the like) are not supported yet"
        raise UserError(f"labels come from a .csv, .tsv or .parquet file, got {name}{hint if kind == 'json' else ''}")
    if place.is_folder:
        raise UserError(f"labels come from a file, and {url} is a folder")
    try:
        with place.fs.open(place.path, "rb") as stream:
            return _parquet(stream) if kind == "parquet" else _csv(stream.read())
    except (pa.ArrowException, UnicodeDecodeError, csv.Error) as problem:
        raise UserError(f"{name} can't be read as {kind.upper()}: {str(problem).splitlines()[0]}") from None
    except OSError as problem:
        raise UserError(f"{name} can't be read: {problem}") from None


def _parquet(stream: Any) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(stream)


def _csv(data: bytes) -> pa.Table:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise pa.ArrowInvalid("it is UTF-16; save it as UTF-8")
    head = data[:65536].decode("utf-8-sig", "replace")
    first = head.splitlines()[0] if head.strip() else ""
    delimiter = max(",;\t", key=first.count)
    header = next(csv.reader(io.StringIO(head), delimiter=delimiter), [])
    if not header:
        raise pa.ArrowInvalid("it is empty")
    if len(set(header)) < len(header):
        raise pa.ArrowInvalid(f"two columns are called {next(c for c in header if header.count(c) > 1)!r}")
    try:
        table = _arrow_csv(data, header, delimiter)
    except pa.ArrowInvalid as problem:
        if "straddling" in str(problem) or "Empty CSV" in str(problem):
            raise pa.ArrowInvalid(f"a row is longer than {ROW_BYTES:,} bytes; is a quote not closed?") from None
        raise
    last = table[-1][-1].as_py() if table.num_rows else ""
    if "\n" in last and data.count(b'"') % 2:
        raise pa.ArrowInvalid(f"a quote is not closed before {last[:40]!r}")
    return table


def _arrow_csv(data: bytes, header: Sequence[str], delimiter: str) -> pa.Table:
    from pyarrow import csv as arrow_csv

    return arrow_csv.read_csv(
        pa.py_buffer(data.removeprefix(b"\xef\xbb\xbf")),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=ROW_BYTES),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(header, TEXT), strings_can_be_null=False, check_utf8=True
        ),
    )


def choose(names: Sequence[str], asked: Columns, table: str) -> Columns:
    """The columns to use: those that were asked for, else those that are recognized."""
    file = _one(names, asked.file, FILE_NAMES, table, "file")
    assert file is not None
    label = "" if asked.label == NO_LABELS else _one(names, asked.label, LABEL_NAMES, table, "label")
    split = _one(names, asked.split, SPLIT_NAMES, table, "split", required=False) or ""
    for column in asked.attributes or ():
        if column not in names:
            raise unknown(f"column for --attributes in {table}", column, names)
    rest = tuple(name for name in names if name not in (file, label, split))
    if set(names) >= PATCH_NAMES:  # what it says beside the label is about the change, not about the picture
        rest = ()
    return Columns(file, label or "", split, rest if asked.attributes is None else asked.attributes)


def _one(
    names: Sequence[str], asked: str, known: Sequence[str], table: str, what: str, *, required: bool = True
) -> str | None:
    if asked:
        if asked not in names:
            raise unknown(f"column for --{what}-column in {table}", asked, names)
        return asked
    found = [name for name in names if name.strip().lower() in known]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise UserError(f"{table} has several columns that may be the {what}: {', '.join(found)}; use --{what}-column")
    if not required:
        return None
    more = f", or --label-column {NO_LABELS} where it has none" if what == "label" else ""
    raise UserError(f"{table} has no column that looks like the {what}; choose with --{what}-column from: "
                    f"{', '.join(names)}{more}")  # fmt: skip


def _text(table: pa.Table, column: str, name: str) -> list[str | None]:
    values = table[column].combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_nested(values.type):
        raise UserError(
            f"column {column} of {name} holds {values.type}; one label for an image and plain attributes are supported, "
            "several labels, boxes and masks are not yet"
        )
    try:
        return list(values.cast(TEXT).to_pylist())
    except pa.ArrowException:
        raise UserError(f"column {column} of {name} holds {values.type}, which is no text") from None


def _cleaned(labels: pa.Array) -> pa.Array:
    cleaned = pc.utf8_trim_whitespace(pc.utf8_normalize(labels, form="NFC"))
    return pc.if_else(pc.equal(cleaned, ""), pa.scalar(None, TEXT), cleaned)


def _split(text: str | None) -> str | None:
    name = (text or "").strip()
    return SPLITS.get(name.lower(), name) or None


def _attributes(columns: dict[str, list[str | None]]) -> pa.Array:
    rows = zip(*columns.values(), strict=True)
    return pa.array(
        [[(name, text) for name, text in zip(columns, row, strict=True) if text not in (None, "")] for row in rows],
        ATTRIBUTES,
    )


def _set(rows: pa.Table, column: str, values: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, values)


# How a table names files, tried in this order: what they are called for people, and a key in that way.
WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("", lambda key: key),
    ("their name without the folder", lambda key: key.rsplit("/", 1)[-1]),
    ("their path without the suffix", lambda key: str(PurePosixPath(key).with_suffix("")) if key else key),
    ("their name without folder and suffix", lambda key: PurePosixPath(key).stem),
)


def _positions(files: Sequence[str], keys: Sequence[str], table: str) -> tuple[list[int | None], str]:
    """For each file that a table names the position of its key, or None, and the way that they were found."""
    plain = [unicodedata.normalize("NFC", key) for key in keys]
    for way, form in WAYS:
        at: dict[str, int] = {}
        twice: dict[str, int] = {}
        for i, key in enumerate(plain):
            if at.setdefault(form(key), i) != i:
                twice[form(key)] = i
        forms = [form(file) if "folder" in way else file for file in files]
        if any(name in at for name in forms):
            both = next((name for name in forms if name in twice), None)
            if both is not None:
                raise UserError(
                    f"{table} names {both!r}, and that may be {keys[at[both]]} or {keys[twice[both]]}; "
                    "write paths as they are below the source"
                )
            return [at.get(name) for name in forms], way
    return [None] * len(files), ""


def _one_row_a_file(
    where: Sequence[int | None], labels: Sequence[str | None], names: Sequence[str], table: str
) -> dict[int, int]:
    row_of: dict[int, int] = {}
    for row, at in enumerate(where):
        if at is None:
            continue
        first = row_of.setdefault(at, row)
        if labels[first] != labels[row]:
            raise UserError(
                f"{table} gives {names[row]} two labels, {labels[first]!r} and {labels[row]!r}; "
                "several labels for an image are not supported yet"
            )
    return row_of
