"""The answer of `label-issues`: a CSV with a row for every image, into a file that is whole or as before, or a pipe."""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from secondlook.jobs.files.spreadsheet import BYTE_ORDER_MARK, as_text
from secondlook.pipeline.audit.labels.mislabels import Ints, LabelErrors
from secondlook.pipeline.core.errors import UserError

HEADER = "row,given,suggested,p_error,flagged\n"
STDOUT = Path("-")
WRITE_ROWS = 1 << 14  # rows that are text at once


def cells_of(names: Sequence[str], *, spreadsheet: bool) -> list[str]:
    """Class names as CSV cells, quoted where they must be; the last, of -1, is empty.

    Exactly the names, unless they are for a spreadsheet, where none may run as a formula.
    """
    cells = [as_text(name) if spreadsheet else name for name in names]
    return [*('"' + c.replace('"', '""') + '"' if any(mark in c for mark in ',"\r\n') else c for c in cells), ""]


def write(
    stream: TextIO, row: int, given: Ints, block: LabelErrors, cells: Sequence[str], *, flagged_only: bool
) -> None:
    """Rows of a block whose first is number `row`."""
    for start in range(0, len(given), WRITE_ROWS):
        part = slice(start, start + WRITE_ROWS)
        chosen = np.flatnonzero(block.flagged[part]) if flagged_only else np.arange(len(block.flagged[part]))
        p_error = block.p_error[part][chosen]
        # One format of one long template is several times faster than a call a row; 7 digits are what float32 holds.
        texts = (("%.7f\n" * len(chosen)) % tuple(p_error.tolist())).split("\n")[:-1]
        for missing in np.flatnonzero(np.isnan(p_error)):
            texts[missing] = ""
        values: list[Any] = [None] * (5 * len(chosen))
        values[0::5] = (row + start + chosen).tolist()
        values[1::5] = [cells[code] for code in given[part][chosen].tolist()]
        values[2::5] = [cells[code] for code in block.suggested[part][chosen].tolist()]
        values[3::5] = texts
        values[4::5] = ["true" if flag else "false" for flag in block.flagged[part][chosen].tolist()]
        stream.write(("%d,%s,%s,%s,%s\n" * len(chosen)) % tuple(values))


def check_out(out: Path, inputs: Sequence[Path]) -> None:
    """Raise UserError where `out` can't be a new CSV file, or is one of the inputs."""
    if out == STDOUT:
        return
    if out.suffix.lower() in {".parquet", ".json", ".npy", ".npz"}:
        raise UserError(f"--out is written as CSV; got {out}")
    if out.exists() and not out.is_file():
        raise UserError(f"--out takes a file; {out} is something else")
    if not out.parent.is_dir():
        raise UserError(f"--out {out} lies in a folder that is not there: {out.parent}")
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise UserError(f"--out {out} is one of the inputs; it would be overwritten")


@contextmanager
def opened(out: Path, *, spreadsheet: bool) -> Iterator[TextIO]:
    """A stream with the header: standard output for `-`, else a file that takes the name `out` when all is written.

    Whatever goes wrong, `out` stays as it was. For a spreadsheet the file begins with a mark that says UTF-8.
    """
    start = BYTE_ORDER_MARK if spreadsheet else ""
    if out == STDOUT:
        sys.stdout.write(start + HEADER)
        yield sys.stdout
        return
    target = out.resolve()
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part")
        part = Path(name)
        try:
            with open(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(start + HEADER)
                yield stream
            part.chmod(target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as problem:
        raise UserError(f"--out {out} can't be written: {(problem.strerror or str(problem)).lower()}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
