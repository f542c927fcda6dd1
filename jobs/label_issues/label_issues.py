"""`secondlook label-issues`: the label audit alone, on labels and probabilities from files. No lake, no Spark, no torch."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
import typer

from secondlook.jobs.label_issues.label_column import LabelColumn, class_list, ordered, read_labels
from secondlook.jobs.label_issues.probability_files import NpyFile, TopKColumns, TopKFile, kind_of
from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import JsonOption
from secondlook.pipeline.audit.mislabels import MARGIN, Ints, LabelErrors, label_errors, label_errors_topk
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.errors import UserError

HEADER = "row,given,suggested,p_error,flagged\n"
SCORE_NOTE = "p_error is a score that ranks labels, not a probability: it is one only after calibration."
SHOWN_CONFUSIONS = 10
WRITE_ROWS = 1 << 14  # rows that are text at once

Confusions = Counter[tuple[int, int]]


@dataclass(frozen=True)
class Audit:
    """Class names in column order, and the doubts about the labels, a block of rows at a time."""

    given: Ints
    names: Sequence[str]
    blocks: Iterator[LabelErrors]


def run(
    labels: Path,
    probs: Path,
    out: Path,
    *,
    column: str = "label",
    classes: Sequence[str] | None = None,
    margin: float = MARGIN,
    flagged_only: bool = False,
    columns: TopKColumns | None = None,
) -> tuple[dict[str, Any], list[tuple[str, str, int]]]:
    """Write a row for every image to `out`; the summary, and the most common (given, suggested, count) of the flagged.

    Raises UserError for files that can't be read, don't fit each other, or hold no probabilities; `out` is then as before.
    """
    _check_out(out, (labels, probs))
    audit = _audit(labels, probs, column, classes, margin, columns or TopKColumns())
    flagged, confusions = 0, Confusions()
    cells = [*map(_cell, audit.names), ""]  # -1, no label, is the last
    n = len(audit.given)
    with _replacing(out) as stream, console.progress("label-issues", n, "rows") as advance:
        stream.write(HEADER)
        row = 0
        for block in audit.blocks:
            given = audit.given[row : row + len(block.flagged)]
            _write(stream, row, given, block, cells, flagged_only)
            flagged += int(block.flagged.sum())
            confusions.update(zip(given[block.flagged].tolist(), block.suggested[block.flagged].tolist(), strict=True))
            row += len(given)
            advance(len(given))
    labeled = int((audit.given >= 0).sum())
    summary = {
        "rows": n,
        "unlabeled": n - labeled,
        "flagged": flagged,
        "share": round(flagged / labeled, 6) if labeled else 0.0,
        "classes": len(audit.names),
        "margin": margin,
        "out": str(out),
        "note": SCORE_NOTE,
    }
    common = sorted(confusions.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_CONFUSIONS]
    return summary, [(audit.names[pair[0]], audit.names[pair[1]], count) for pair, count in common]


def _audit(
    labels: Path, probs: Path, column: str, classes: Sequence[str] | None, margin: float, columns: TopKColumns
) -> Audit:
    source: NpyFile | TopKFile = NpyFile.open(probs) if kind_of(probs) == "npy" else TopKFile(probs, columns)
    bearing = read_labels(labels, column).first(source.n)
    if len(bearing.codes) != source.n:
        raise UserError(
            f"{labels} has {len(bearing.codes)} labels, but {probs} has {source.n} rows; they go row by row"
        )
    if classes is None:
        bearing = _integers(bearing)
    if isinstance(source, NpyFile):
        names = ordered(bearing, classes, source.n_classes)
        given = bearing.in_classes(names)
        return Audit(given, names, _dense(given, source, margin))
    if source.by_name and classes is None:
        names = in_order(source.names() | set(bearing.names))
    else:
        names = in_order(bearing.names) if classes is None else list(classes)
    given = bearing.in_classes(names)
    return Audit(given, names, _lists(given, source, names, margin, classes is not None))


def _integers(labels: LabelColumn) -> LabelColumn:
    whole = labels.as_integers()
    if whole is None:
        return labels
    console.say("the labels are integers written like 3.0 (a column with missing values, saved by pandas); read as 3")
    return whole


def _dense(given: Ints, source: NpyFile, margin: float) -> Iterator[LabelErrors]:
    row = 0
    for block in source.blocks():
        yield label_errors(given[row : row + len(block)], block, margin, first_row=row)
        row += len(block)


def _lists(given: Ints, source: TopKFile, names: Sequence[str], margin: float, named: bool) -> Iterator[LabelErrors]:
    row = 0
    for classes, probs, p_given in source.blocks(names):
        if not source.by_name and not named and classes.max(initial=0) >= len(names):
            raise UserError(
                f"{source.path} lists class {classes.max()}, but the labels have {len(names)} distinct names;"
                " say with --classes what the indices are"
            )
        part = given[row : row + len(classes)]
        yield label_errors_topk(part, classes, probs, len(names), p_given, margin, first_row=row)
        row += len(classes)


def _cell(name: str) -> str:
    """A name as a CSV cell, exactly: quoted where it must be, and never altered."""
    return '"' + name.replace('"', '""') + '"' if any(mark in name for mark in ',"\r\n') else name


def _write(stream: TextIO, row: int, given: Ints, block: LabelErrors, cells: Sequence[str], flagged_only: bool) -> None:
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


def _check_out(out: Path, inputs: Sequence[Path]) -> None:
    if out.suffix.lower() in {".parquet", ".json", ".npy"}:
        raise UserError(f"--out is written as CSV; got {out}")
    if out.exists() and not out.is_file():
        raise UserError(f"--out takes a file; {out} is something else")
    if not out.parent.is_dir():
        raise UserError(f"--out {out} lies in a folder that is not there: {out.parent}")
    for path in inputs:
        if out.exists() and path.exists() and out.samefile(path):
            raise UserError(f"--out {out} is one of the inputs; it would be overwritten")


@contextmanager
def _replacing(out: Path) -> Iterator[TextIO]:
    """A file beside `out` that takes its name when all is written; whatever goes wrong, `out` stays as it was."""
    target = out.resolve()
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.", suffix=".part")
        part = Path(name)
        try:
            with open(handle, "w", encoding="utf-8", newline="") as stream:
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


def label_issues(
    labels: Annotated[Path, typer.Option("--labels", metavar="FILE", help="CSV or Parquet with a label a row.")],
    probs: Annotated[
        Path,
        typer.Option(
            "--probs", metavar="FILE", help="Out-of-sample probabilities: .npy (N, K), or Parquet with lists."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.csv", help="Where the answer goes, a row for every image.")
    ],
    column: Annotated[str, typer.Option("--column", metavar="NAME", help="The column of --labels.")] = "label",
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="FILE|A,B,C",
            help="What the columns of --probs are: a file with a name a line (.json: a list), or names with commas"
            " between. Default: the distinct labels, sorted; integers as numbers.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            "--margin",
            metavar="M",
            help="Flag where the best other class is more probable than the given one by more than this; -1 to 1.",
        ),
    ] = MARGIN,
    flagged_only: Annotated[bool, typer.Option("--flagged-only", help="Write only the rows that are flagged.")] = False,
    classes_column: Annotated[
        str, typer.Option("--classes-column", metavar="NAME", help="Parquet: lists of classes, names or indices.")
    ] = "classes",
    probs_column: Annotated[
        str, typer.Option("--probs-column", metavar="NAME", help="Parquet: lists of their probabilities.")
    ] = "probs",
    p_given_column: Annotated[
        str,
        typer.Option(
            "--p-given-column",
            metavar="NAME",
            help="Parquet: the given label's probability, used where a list leaves it out; without it, an upper bound is.",
        ),
    ] = "p_given",
    json: JsonOption = False,
) -> None:
    """The label audit for probabilities of a model of your own: no lake, no Spark.

    The probabilities must be out of sample (cross-validated): a model agrees with the labels that it was trained on, wrong ones included. Row i of --labels belongs to row i of --probs; an empty cell is no label.

        secondlook label-issues --labels labels.csv --probs probs.npy --out issues.csv

    The answer has the columns row (from 0), given, suggested, p_error, flagged (true or false). p_error is 0.5 where the given label and the best other class tie, more where the model prefers the other. It is a score that ranks labels, not a probability, until it is calibrated. Sort by it and look at the worst first.
    """
    chosen = class_list(classes) if classes is not None else None
    if classes is not None and out.exists() and Path(classes).is_file():
        _check_out(out, [Path(classes)])
    columns = TopKColumns(classes_column, probs_column, p_given_column)
    summary, confusions = run(
        labels, probs, out, column=column, classes=chosen, margin=margin, flagged_only=flagged_only, columns=columns
    )
    console.finish(summary, as_json=json, lines=lambda: _tell(summary, confusions))


def _tell(summary: dict[str, Any], confusions: Sequence[tuple[str, str, int]]) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console.out()
    labeled = summary["rows"] - summary["unlabeled"]
    without = f", {summary['unlabeled']:,} without a label" if summary["unlabeled"] else ""
    screen.print(
        f"{summary['flagged']:,} of {labeled:,} labels flagged ({summary['share']:.1%}),"
        f" {summary['classes']} classes{without} → {summary['out']}",
        markup=False,
    )
    if confusions:
        table = Table("given", "suggested", box=None, pad_edge=False)
        table.add_column("flagged", justify="right")
        for given, suggested, count in confusions:
            table.add_row(Text(_shown(given)), Text(_shown(suggested)), f"{count:,}")
        screen.print(table)
    screen.print(SCORE_NOTE, style="dim", markup=False)


def _shown(name: str) -> str:
    """A name on a terminal: control characters are spelled out, so that no label moves the cursor."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)[:60]
