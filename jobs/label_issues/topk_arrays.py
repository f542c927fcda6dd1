"""Top-k rows as arrays in one `.npz` file: `classes` (n, k), `probs` (n, k), and `p_given` (n,) where it is there.

An archive is read as a stream, a block of rows at a time, compressed or not: numpy itself would hold each array whole.
"""

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.label_issues.probability_files import LIST_ROWS, Lists, TopKColumns, npy_header, read_fully
from secondlook.pipeline.core.errors import UserError, unknown


class TopKArrays:
    """The arrays of a `.npz` file, of which only the headers are read until `blocks` is asked."""

    by_name = False

    def __init__(self, path: Path, columns: TopKColumns) -> None:
        self.path, self.columns = path, columns
        try:
            with zipfile.ZipFile(path) as archive:
                there = [name.removesuffix(".npy") for name in archive.namelist()]
                for name in (columns.classes, columns.probs):
                    if name not in there:
                        raise unknown(f"array in {path}", name, there)
                if columns.p_given not in there and columns.p_given != TopKColumns.p_given:
                    raise unknown(f"array in {path}", columns.p_given, there)
                self.has_p_given = columns.p_given in there
                classes, probs = (self._shape(archive, name) for name in (columns.classes, columns.probs))
                given = self._shape(archive, columns.p_given) if self.has_p_given else classes[:1]
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as problem:
            raise UserError(f"{path} can't be read as an .npz archive: {problem}") from None
        if len(classes) != 2 or classes != probs or given != classes[:1]:
            raise UserError(
                f"{path} must hold {columns.classes!r} and {columns.probs!r} as (n, k) and {columns.p_given!r}, if at all,"
                f" as (n,); got {classes}, {probs}" + (f" and {given}" if self.has_p_given else "")
            )
        self.n, self.k = classes
        if self.k < 2:
            raise UserError(f"{path} lists {self.k} classes a row; to compare, a row needs at least 2")

    def _shape(self, archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
        with archive.open(f"{name}.npy") as stream:
            shape, column_major, dtype = npy_header(stream, f"{name!r} in {self.path}")
            offset = stream.tell()
        kind = "iu" if name == self.columns.classes else "f"
        if dtype.kind not in kind or dtype.itemsize > 8:
            allowed = "class indices (integers; what they are is said with --classes)" if kind == "iu" else "floats"
            raise UserError(f"{name!r} in {self.path} holds {dtype}; allowed are {allowed}")
        if column_major and len(shape) > 1 and 1 not in shape:
            raise UserError(f"{name!r} in {self.path} lies in Fortran order; save numpy.ascontiguousarray of it")
        needed, there = offset + math.prod(shape) * dtype.itemsize, archive.getinfo(f"{name}.npy").file_size
        if min(shape, default=0) < 0 or there < needed:
            raise UserError(
                f"{name!r} in {self.path} is truncated: {shape} of {dtype} take {needed} bytes, it has {there}"
            )
        return shape

    def blocks(self, names: Sequence[str]) -> Iterator[Lists]:
        """Blocks in order; raises UserError where rows list more classes than there are `names`."""
        if self.k > len(names):
            raise UserError(f"{self.path} lists {self.k} classes a row, but there are only {len(names)} classes")
        wanted = [self.columns.classes, self.columns.probs] + [self.columns.p_given] * self.has_p_given
        try:
            with zipfile.ZipFile(self.path) as archive, ExitStack() as opened:
                streams = [opened.enter_context(archive.open(f"{name}.npy")) for name in wanted]
                dtypes = [npy_header(stream, str(self.path))[2] for stream in streams]
                for start in range(0, self.n, LIST_ROWS):
                    rows = min(LIST_ROWS, self.n - start)
                    yield self._block(streams, dtypes, rows)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as problem:
            raise UserError(f"{self.path} can't be read as an .npz archive: {problem}") from None

    def _block(self, streams: Sequence[IO[bytes]], dtypes: Sequence[np.dtype[Any]], rows: int) -> Lists:
        shapes = [(rows, self.k), (rows, self.k), (rows,)]
        arrays = [self._read(*one) for one in zip(streams, dtypes, shapes, strict=False)]
        return Lists(arrays[0].astype(np.int64), arrays[1], arrays[2] if self.has_p_given else None)

    def _read(self, stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> npt.NDArray[Any]:
        array = np.empty(shape, dtype)
        read_fully(stream, array, self.path)
        return array
