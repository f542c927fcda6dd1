"""Labels that people bring in a CSV or Parquet file: one column of it, row by row, and the order of its classes."""

import csv
import io
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from secondlook.pipeline.audit.labels.mislabels import UNLABELED
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.errors import UserError, unknown

PARQUET_MAGIC = b"PAR1"
FLOAT_SUFFIX = re.compile(r"(-?\d+)\.0+")  # how pandas writes integers of a column that misses some


@dataclass(frozen=True)
class LabelColumn:
    """`codes`: (n,) int32 into `names`, -1 = no label; `names` in the order in which they were met.

    `blank_end`: how many of the last rows came from blank lines, which may be no rows at all.
    """

    codes: npt.NDArray[np.int32]
    names: list[str]
    blank_end: int = 0

    def in_classes(self, classes: Sequence[str]) -> npt.NDArray[np.int32]:
        """The labels as indices into `classes`; raises UserError for a label that is not among them."""
        place = {name: index for index, name in enumerate(classes)}
        for code, name in enumerate(self.names):
            if name not in place:
                row = int(np.flatnonzero(self.codes == code)[0])
                raise UserError(f"row {row}: {unknown('label', name, classes)}")
        table = np.array([*(place[name] for name in self.names), UNLABELED], np.int32)
        return table[self.codes]

    def first(self, n: int) -> "LabelColumn":
        """Without the blank lines at the end that go beyond row n."""
        extra = len(self.codes) - n
        return LabelColumn(self.codes[:n], self.names) if 0 < extra <= self.blank_end else self

    def as_integers(self) -> "LabelColumn | None":
        """Where all names are integers written as 3.0: the same with the names 3; else None."""
        matches = [FLOAT_SUFFIX.fullmatch(name) for name in self.names]
        if not self.names or any(match is None for match in matches):
            return None
        short = [match[1] for match in matches if match]
        names = list(dict.fromkeys(short))
        table = np.array([*(names.index(name) for name in short), UNLABELED], np.int32)
        return LabelColumn(table[self.codes], names, self.blank_end)


def open_file(path: Path, what: str) -> BinaryIO:
    """A file that the user named, opened; raises UserError with one sentence where it can't be."""
    try:
        return path.open("rb")
    except OSError as problem:
        raise UserError(f"{what} {path} can't be read: {(problem.strerror or str(problem)).lower()}") from None


def read_labels(path: Path, column: str) -> LabelColumn:
    """One column of a CSV (TSV by its suffix) or Parquet file; an empty cell or a null is no label.

    Raises UserError where there is no such file or column, and for rows that don't have the header's cells.
    """
    with open_file(path, "the labels file") as stream:
        if stream.peek(4)[:4] == PARQUET_MAGIC:  # type: ignore[attr-defined]  # a pipe can't be read twice
            return _coded(_parquet_cells(path, column))
        try:
            text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
            return _read_csv(text, path, column)
        except UnicodeDecodeError:
            raise UserError(f"{path} is neither a UTF-8 text file nor Parquet") from None
        except csv.Error as problem:
            raise UserError(f"{path} can't be read as CSV: {problem}") from None


def _read_csv(text: io.TextIOWrapper, path: Path, column: str) -> LabelColumn:
    rows = csv.reader(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
    header = next(rows, [])
    if header.count(column) != 1:
        if column in header:
            raise UserError(f"{path} has {header.count(column)} columns {column!r}")
        raise unknown(f"column in {path}", column, header)
    width, at = len(header), header.index(column)
    codes, places, blank_end = array("i"), dict[str, int](), 0
    for row in rows:
        if len(row) != width:
            if row:
                raise UserError(f"{path}, line {rows.line_num}: {len(row)} cells, the header has {width}")
            if width > 1:
                continue
            codes.append(UNLABELED)  # in a file of one column, an empty cell is a blank line
            blank_end += 1
            continue
        name = row[at]
        codes.append(places.setdefault(name, len(places)) if name else UNLABELED)
        blank_end = 0
    return LabelColumn(np.frombuffer(codes, np.int32) if codes else np.empty(0, np.int32), list(places), blank_end)


def _parquet_cells(path: Path, column: str) -> Iterator[Any]:
    """Arrow arrays of text, a batch at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            if column not in file.schema_arrow.names:
                raise unknown(f"column in {path}", column, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=1 << 16, columns=[column]):
                yield _as_text(batch.column(0), path, column)
    except (pa.ArrowException, OSError) as problem:
        raise UserError(f"{path} can't be read as Parquet: {str(problem).splitlines()[0]}") from None


def _as_text(cells: Any, path: Path, column: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
        if not pc.all(pc.equal(cells, pc.round(cells))).as_py() and cells.null_count < len(cells):
            raise UserError(f"labels are text or integers; column {column!r} of {path} holds fractions")
        cells = cells.cast(pa.int64())
    kind = cells.type
    if not any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_integer)):
        raise UserError(f"labels are text or integers; column {column!r} of {path} holds {kind}")
    return cells.cast(pa.string())


def _coded(batches: Iterator[Any]) -> LabelColumn:
    places: dict[str, int] = {}
    parts = [np.empty(0, np.int32)]
    for cells in batches:
        encoded = cells.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        table = np.array([*(places.setdefault(n, len(places)) if n else UNLABELED for n in names), UNLABELED], np.int32)
        parts.append(table[encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)])
    return LabelColumn(np.concatenate(parts), list(places))


def class_list(text: str) -> list[str]:
    """The value of --classes: a file with a name a line (or, *.json, a list of names), or a comma list.

    >>> class_list('cat,dog,"hat, red"')
    ['cat', 'dog', 'hat, red']
    """
    path = Path(text)
    if len(text) < 4096 and "\n" not in text and path.is_file():
        names = _names_in(path)
    elif "," in text:
        names = next(csv.reader([text]))
    else:
        raise UserError(f"--classes takes a file with a name a line, or names with commas between; got {text!r}")
    seen: set[str] = set()
    for name in names:
        if not name or name in seen:
            raise UserError(f"--classes names {name!r} twice" if name else "--classes has an empty name")
        seen.add(name)
    return names


def _names_in(path: Path) -> list[str]:
    import json

    with open_file(path, "the classes file") as stream:
        try:
            text = stream.read().decode("utf-8-sig")
            if path.suffix.lower() != ".json":
                return text.removesuffix("\n").replace("\r\n", "\n").removesuffix("\r").split("\n")
            names = json.loads(text)
        except ValueError:
            raise UserError(f"the classes file {path} can't be read as UTF-8 text or JSON") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"the classes file {path} must hold a JSON list of names")
    return names


def ordered(labels: LabelColumn, classes: Sequence[str] | None, n_columns: int) -> list[str]:
    """The names of K = n_columns columns of probabilities: those given, else the labels' own, sorted."""
    if classes is not None:
        if len(classes) != n_columns:
            raise UserError(f"--classes gives {len(classes)} names, but the probabilities have {n_columns} columns")
        return list(classes)
    if len(labels.names) != n_columns:
        raise UserError(
            f"the labels have {len(labels.names)} distinct names, but the probabilities have {n_columns} columns;"
            " say with --classes what the columns are"
        )
    return in_order(labels.names)
