"""Probabilities that people bring, read a block of rows at a time: `.npy` (N, K), or Parquet with top-k columns.

(Top-k arrays in a `.npz` file: see topk_arrays.)

Blocks are read into a buffer, not mapped: the pages of a map that were touched count as this process's memory.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from secondlook.jobs.label_issues.label_column import PARQUET_MAGIC, open_file
from secondlook.pipeline.audit.labels.compare import block_rows
from secondlook.pipeline.core.errors import UserError, unknown

NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK"
BUFFER_BYTES = 16 << 20  # large enough that a column-major file of 100 classes is read in runs of 160 KB
LIST_ROWS = 1 << 14
PAGE_BYTES = 1 << 20


@dataclass(frozen=True)
class TopKColumns:
    """Names of the columns of a Parquet file with each image's most probable classes."""

    classes: str = "classes"
    probs: str = "probs"
    p_given: str = "p_given"


class Lists(NamedTuple):
    """A block of top-k rows: (n, k) class values (indices, or codes of names), (n, k) probabilities, (n,) or None."""

    classes: npt.NDArray[np.int64]
    probs: npt.NDArray[np.floating[Any]]
    p_given: npt.NDArray[np.floating[Any]] | None


def kind_of(path: Path) -> str:
    """`npy`, `npz` or `parquet`, by the first bytes; raises UserError for anything else."""
    with open_file(path, "the probabilities file") as stream:
        start = stream.read(6)
    if start == NPY_MAGIC:
        return "npy"
    if start[:4] == PARQUET_MAGIC:
        return "parquet"
    if start[:2] == ZIP_MAGIC:
        return "npz"
    raise UserError(f"{path} is neither a .npy, .npz nor a Parquet file")


@dataclass(frozen=True)
class NpyFile:
    """An array (N, K) of float16, 32 or 64 in a `.npy` file, and where in it the numbers begin."""

    path: Path
    n: int
    n_classes: int
    dtype: np.dtype[Any]
    column_major: bool
    offset: int

    @classmethod
    def open(cls, path: Path) -> "NpyFile":
        """Read the header only; raises UserError for pickled objects, other shapes and types, truncated files."""
        with open_file(path, "the probabilities file") as stream:
            shape, column_major, dtype = npy_header(stream, str(path))
            offset = stream.tell()
        if dtype.kind != "f" or dtype.itemsize not in {2, 4, 8}:
            raise UserError(f"{path} holds {dtype}; allowed are float16, float32 and float64")
        if len(shape) != 2:
            raise UserError(f"{path} has the shape {shape}; probabilities are (N, K): a row an image, a column a class")
        if shape[0] < 0 or shape[1] < 2:
            raise UserError(f"{path} has the shape {shape}; an image needs probabilities of at least 2 classes")
        needed, there = offset + math.prod(shape) * dtype.itemsize, path.stat().st_size
        if there < needed:
            raise UserError(f"{path} is truncated: {shape} of {dtype} take {needed} bytes, it has {there}")
        return cls(path, shape[0], shape[1], dtype, column_major, offset)

    def blocks(self) -> Iterator[npt.NDArray[np.floating[Any]]]:
        """Blocks (n, K) in order; each is overwritten by the next."""
        step = min(block_rows(self.n_classes, BUFFER_BYTES, self.dtype.itemsize), max(self.n, 1))
        with open_file(self.path, "the probabilities file") as stream:
            if not self.column_major:
                stream.seek(self.offset)
                buffer = np.empty((step, self.n_classes), self.dtype)
                for start in range(0, self.n, step):
                    block = buffer[: min(step, self.n - start)]
                    read_fully(stream, block, self.path)
                    yield block
                return
            columns = np.empty((self.n_classes, step), self.dtype)
            for start in range(0, self.n, step):
                rows = min(step, self.n - start)
                for column in range(self.n_classes):
                    stream.seek(self.offset + (column * self.n + start) * self.dtype.itemsize)
                    read_fully(stream, columns[column, :rows], self.path)
                yield columns[:, :rows].T


def read_fully(stream: IO[bytes], target: npt.NDArray[Any], path: Path) -> None:
    """Fill an array from a stream; raises UserError where that ends before."""
    view = target.view(np.uint8).data.cast("B")
    while len(view):
        got = stream.readinto(view)  # type: ignore[attr-defined]
        if not got:
            raise UserError(f"{path} ended early: it was changed while it was read")
        view = view[got:]


def npy_header(stream: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and type of the array that follows; raises UserError, also for pickled objects."""
    readers: dict[tuple[int, int], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call]
        shape, column_major, dtype = readers[version](stream)
    except (ValueError, KeyError, EOFError) as problem:
        raise UserError(f"the header of {what} can't be read: {str(problem).splitlines()[0]}") from None
    if dtype.hasobject:
        raise UserError(f"{what} holds pickled Python objects, which can run code when read; save plain numbers")
    return shape, column_major, dtype


class TopKFile:
    """Top-k rows in a Parquet file: lists of classes (names or indices), of probabilities, and the given label's."""

    def __init__(self, path: Path, columns: TopKColumns) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path, self.columns = path, columns
        try:
            with pq.ParquetFile(path) as file:
                self.n, schema = file.metadata.num_rows, file.schema_arrow
        except (pa.ArrowException, OSError) as problem:
            raise UserError(f"{path} can't be read as Parquet: {str(problem).splitlines()[0]}") from None
        for name in (columns.classes, columns.probs):
            if name not in schema.names:
                raise unknown(f"column in {path}", name, schema.names)
            if not _is_list(schema.field(name).type):
                raise UserError(f"column {name!r} of {path} must hold a list a row; it holds {schema.field(name).type}")
        inner = schema.field(columns.classes).type.value_type
        inner = inner.value_type if pa.types.is_dictionary(inner) else inner
        self.by_name = bool(pa.types.is_string(inner) or pa.types.is_large_string(inner))
        if not self.by_name and not pa.types.is_integer(inner):
            raise UserError(f"column {columns.classes!r} of {path} lists {inner}; allowed are names (text) and indices")
        if not pa.types.is_floating(schema.field(columns.probs).type.value_type):
            raise UserError(f"column {columns.probs!r} of {path} must list floats")
        self.has_p_given = columns.p_given in schema.names
        if self.has_p_given and not pa.types.is_floating(schema.field(columns.p_given).type):
            raise UserError(f"column {columns.p_given!r} of {path} must hold floats")
        if not self.has_p_given and columns.p_given != TopKColumns.p_given:
            raise unknown(f"column in {path}", columns.p_given, schema.names)

    def names(self) -> set[str]:
        """All names that are listed anywhere."""
        found: set[str] = set()
        for batch in self._batches([self.columns.classes]):
            found.update(_flat(batch.column(0)).dictionary.to_pylist())
        found.discard(None)
        return found

    def blocks(self, names: Sequence[str]) -> Iterator[Lists]:
        """Blocks in order; names become indices into `names`, indices stay as they are."""
        place = {name: index for index, name in enumerate(names)}
        wanted = [self.columns.classes, self.columns.probs] + [self.columns.p_given] * self.has_p_given
        row = 0
        for batch in self._batches(wanted):
            yield self._block(batch, place, row)
            row += batch.num_rows

    def _block(self, batch: Any, place: dict[str, int], row: int) -> Lists:
        lists, probs = batch.column(self.columns.classes), batch.column(self.columns.probs)
        lengths = _lengths(lists)
        uneven = lengths != _lengths(probs)
        if uneven.any():
            first = int(np.flatnonzero(uneven)[0])
            raise UserError(f"row {row + first} of {self.path} lists different numbers of classes and probabilities")
        values = _flat(lists) if self.by_name else lists.flatten()
        if values.null_count or probs.flatten().null_count:
            raise UserError(f"{self.path} has a null in a list, somewhere in rows {row} to {row + batch.num_rows - 1}")
        if self.by_name:
            listed = values.dictionary.to_pylist()
            for name in listed:
                if name not in place:
                    raise unknown(f"class in {self.path}", name, place)
            table = np.array([place[name] for name in listed] or [0], np.int64)
            codes = table[values.indices.to_numpy(zero_copy_only=False)]
        else:
            codes = values.to_numpy(zero_copy_only=False).astype(np.int64)
            if (codes < 0).any():
                raise UserError(f"{self.path} lists class {codes.min()}; indices begin at 0")
        filled = np.arange(max(lengths.max(initial=0), 1)) < lengths[:, None]
        classes = np.full(filled.shape, -1, np.int64)
        chances = np.zeros(filled.shape, np.float32)
        classes[filled] = codes
        with np.errstate(over="ignore"):
            chances[filled] = probs.flatten().to_numpy(zero_copy_only=False)
        p_given = batch.column(self.columns.p_given).to_numpy(zero_copy_only=False) if self.has_p_given else None
        return Lists(classes, chances, p_given)

    def _batches(self, columns: list[str]) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            # Arrow would read a row group's columns whole, and people's row groups may be gigabytes.
            with pq.ParquetFile(self.path, buffer_size=PAGE_BYTES, pre_buffer=False) as file:
                for group in range(file.num_row_groups):  # lists of dictionaries can't be read across row groups
                    yield from file.iter_batches(batch_size=LIST_ROWS, row_groups=[group], columns=columns)
        except (pa.ArrowException, OSError) as problem:
            raise UserError(f"{self.path} can't be read as Parquet: {str(problem).splitlines()[0]}") from None


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _lengths(lists: Any) -> npt.NDArray[np.int64]:
    import pyarrow.compute as pc

    counted = pc.list_value_length(lists).fill_null(0).to_numpy(zero_copy_only=False)
    return np.asarray(counted, np.int64)


def _flat(lists: Any) -> Any:
    """All elements of lists of names, as an Arrow dictionary array of text."""
    import pyarrow as pa

    values = lists.flatten()
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.string()).dictionary_encode()
