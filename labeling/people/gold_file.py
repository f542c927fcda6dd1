"""Gold that somebody supplies: a CSV with the columns key and label, one line a picture."""

import csv
from collections.abc import Collection
from typing import TextIO

from secondlook.labeling.answers import Keys
from secondlook.pipeline.core.errors import UserError, unknown

COLUMNS = ("key", "label")


def read(stream: TextIO, source: str, keys: Keys, classes: Collection[str]) -> dict[str, str]:
    """The class of each picture of the file, by sample_id.

    Raises UserError, naming the line, for an unknown key or class, an empty label, or two classes of one picture.
    """
    first = stream.readline()
    stream.seek(0)
    rows = csv.reader(stream, delimiter=max(",;\t", key=first.count))  # spreadsheets of many countries write ;
    try:
        header = [name.strip().lstrip("\ufeff").lower() for name in next(rows, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            got = ", ".join(header) or "nothing"
            raise UserError(f"{source} needs the columns key and label; {', '.join(missing)} is missing, got {got}")
        key_at, label_at = (header.index(name) for name in COLUMNS)
        found: dict[str, str] = {}
        for row in rows:
            if any(value.strip() for value in row):
                try:
                    sample_id, label = _line(row, key_at, label_at, keys, classes)
                    if found.setdefault(sample_id, label) != label:
                        raise UserError(f"this picture is {found[sample_id]!r} in an earlier line")
                except UserError as problem:
                    raise UserError(f"{source} line {rows.line_num}: {problem}") from None
    except (csv.Error, UnicodeDecodeError) as problem:
        raise UserError(f"{source} line {rows.line_num + 1} can't be read as CSV: {problem}") from None
    return found


def _line(row: list[str], key_at: int, label_at: int, keys: Keys, classes: Collection[str]) -> tuple[str, str]:
    if len(row) <= max(key_at, label_at):
        raise UserError(f"{len(row)} values where the header has {max(key_at, label_at) + 1} or more")
    label = row[label_at] if row[label_at] in classes else row[label_at].strip()
    if not label:
        raise UserError("label is empty; gold has a class")
    sample_id = keys.find(row[key_at])
    if label not in classes:
        raise unknown("class", label, classes)
    return sample_id, label
