"""`secondlook label-issues`: the label audit alone, on labels and probabilities from files. No lake, no Spark, no torch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from secondlook.jobs.files.spreadsheet import SpreadsheetOption, is_formula
from secondlook.jobs.label_issues import issues_csv
from secondlook.jobs.label_issues.confusions import Confusions
from secondlook.jobs.label_issues.issues_csv import STDOUT
from secondlook.jobs.label_issues.label_column import LabelColumn, class_list, ordered, read_labels
from secondlook.jobs.label_issues.probability_files import NpyFile, TopKColumns, TopKFile, kind_of
from secondlook.jobs.label_issues.topk_arrays import TopKArrays
from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import JsonOption
from secondlook.pipeline.audit.labels.compare import Compared, Ints, compare, compare_topk
from secondlook.pipeline.audit.labels.flags import Choice, chosen_margin, empty, tally
from secondlook.pipeline.audit.labels.mislabels import checked_margin, decide
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.errors import UserError

SCORE_NOTE = "p_error is a score that ranks labels, not a probability: it is one only after calibration."
SHOWN_CONFUSIONS = 10


@dataclass(frozen=True)
class Audit:
    """Class names in column order, and `compared`: the labels beside the model, a block of rows at a time.

    Each call of `compared` reads the file again.
    """

    given: Ints
    names: Sequence[str]
    compared: Callable[[], Iterator[Compared]]


def run(
    labels: Path,
    probs: Path,
    out: Path,
    *,
    column: str = "label",
    classes: Sequence[str] | None = None,
    margin: float | None = None,
    flagged_only: bool = False,
    spreadsheet: bool = False,
    columns: TopKColumns | None = None,
) -> tuple[dict[str, Any], list[tuple[str, str, int]]]:
    """Write a row for every image to `out`; the summary, and the most common (given, suggested, count) of the flagged.

    Without a `margin` it is chosen from the data, by a first pass over the file. Raises UserError for files that can't
    be read, don't fit each other, or hold no probabilities; `out` is then as before.
    """
    issues_csv.check_out(out, (labels, probs))
    fixed = checked_margin(margin)
    audit = _audit(labels, probs, column, classes, columns or TopKColumns())
    choice = _choice(audit) if fixed is None else Choice(fixed, "given by --margin")
    flagged, confusions = 0, Confusions(len(audit.names))
    cells = issues_csv.cells_of(audit.names, spreadsheet=spreadsheet)
    n = len(audit.given)
    with (
        issues_csv.opened(out, spreadsheet=spreadsheet) as stream,
        console.progress("label-issues", n, "rows") as advance,
    ):
        row = 0
        for block in audit.compared():
            given = audit.given[row : row + len(block.labeled)]
            found = decide(given, block, choice.margin, choice.basis)
            issues_csv.write(stream, row, given, found, cells, flagged_only=flagged_only)
            flagged += int(found.flagged.sum())
            confusions.add(given[found.flagged], found.suggested[found.flagged])
            row += len(given)
            advance(len(given))
    labeled = int((audit.given >= 0).sum())
    summary = {
        "rows": n,
        "unlabeled": n - labeled,
        "flagged": flagged,
        "share": round(flagged / labeled, 6) if labeled else 0.0,
        "classes": len(audit.names),
        "margin": choice.margin,
        "margin_from": choice.basis,
        "out": str(out),
        "note": SCORE_NOTE,
    }
    if not spreadsheet and any(is_formula(name) for name in audit.names):
        console.say("a spreadsheet may run class names that begin with =, +, - or @; --spreadsheet makes them text")
    return summary, [(audit.names[a], audit.names[b], count) for a, b, count in confusions.most(SHOWN_CONFUSIONS)]


def _choice(audit: Audit) -> Choice:
    """The margin of the labels in this file: one pass over all of it, of which only sums are kept."""
    sums = empty(len(audit.names))
    with console.progress("choosing the margin", len(audit.given), "rows") as advance:
        for block in audit.compared():
            sums += tally(block, len(audit.names))
            advance(len(block.labeled))
    return chosen_margin(sums)


def _audit(labels: Path, probs: Path, column: str, classes: Sequence[str] | None, columns: TopKColumns) -> Audit:
    kind = kind_of(probs)
    source: NpyFile | TopKFile | TopKArrays
    if kind == "npy":
        source = NpyFile.open(probs)
    else:
        source = TopKFile(probs, columns) if kind == "parquet" else TopKArrays(probs, columns)
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
        return Audit(given, names, lambda: _dense(given, source))
    if isinstance(source, TopKFile) and source.by_name and classes is None:
        names = in_order(source.names() | set(bearing.names))
    else:
        names = in_order(bearing.names) if classes is None else list(classes)
    given = bearing.in_classes(names)
    return Audit(given, names, lambda: _lists(given, source, names, classes is not None))


def _integers(labels: LabelColumn) -> LabelColumn:
    whole = labels.as_integers()
    if whole is None:
        return labels
    console.say("the labels are integers written like 3.0 (a column with missing values, saved by pandas); read as 3")
    return whole


def _dense(given: Ints, source: NpyFile) -> Iterator[Compared]:
    row = 0
    for block in source.blocks():
        yield compare(given[row : row + len(block)], block, first_row=row)
        row += len(block)


def _lists(given: Ints, source: TopKFile | TopKArrays, names: Sequence[str], named: bool) -> Iterator[Compared]:
    row = 0
    for classes, probs, p_given in source.blocks(names):
        if not source.by_name and not named and classes.max(initial=0) >= len(names):
            raise UserError(
                f"{source.path} lists class {classes.max()}, but the labels have {len(names)} distinct names;"
                " say with --classes what the indices are"
            )
        part = given[row : row + len(classes)]
        yield compare_topk(part, classes, probs, len(names), p_given, first_row=row)
        row += len(classes)


def label_issues(
    labels: Annotated[Path, typer.Option("--labels", metavar="FILE", help="CSV or Parquet with a label a row.")],
    probs: Annotated[
        Path,
        typer.Option(
            "--probs",
            metavar="FILE",
            help="Out-of-sample probabilities: .npy (N, K), or each image's most probable classes as .npz or Parquet.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE.csv", help="Where the answer goes, a row for every image; - for standard output."
        ),
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
        float | None,
        typer.Option(
            "--margin",
            metavar="M",
            help="Flag where 2 p_error - 1 is above this, -1 to 1; 0: wherever the model prefers another class."
            " Default: chosen from the data, without truth.",
        ),
    ] = None,
    flagged_only: Annotated[bool, typer.Option("--flagged-only", help="Write only the rows that are flagged.")] = False,
    spreadsheet: SpreadsheetOption = False,
    classes_column: Annotated[
        str, typer.Option("--classes-column", metavar="NAME", help=".npz and Parquet: the most probable classes.")
    ] = "classes",
    probs_column: Annotated[
        str, typer.Option("--probs-column", metavar="NAME", help=".npz and Parquet: their probabilities.")
    ] = "probs",
    p_given_column: Annotated[
        str,
        typer.Option(
            "--p-given-column",
            metavar="NAME",
            help=".npz and Parquet: the given label's probability, used where the list leaves it out; without it, an"
            " upper bound is.",
        ),
    ] = "p_given",
    json: JsonOption = False,
) -> None:
    """The label audit for probabilities of a model of your own: no lake, no Spark.

    The probabilities must be out of sample (cross-validated): a model agrees with the labels that it was trained on, wrong ones included. Row i of --labels belongs to row i of --probs; an empty cell is no label.

        secondlook label-issues --labels labels.csv --probs probs.npy --out issues.csv

    The answer has the columns row (from 0), given, suggested, p_error, flagged (true or false). p_error is 0.5 where the given label and the best other class tie, more where the model prefers the other. It is a score that ranks labels, not a probability, until it is calibrated. Sort by it and look at the worst first. Labels are flagged above a margin that is chosen from the file, read once for it, or above --margin.
    """
    if json and out == STDOUT:
        raise UserError("--out - and --json both take standard output; give --out a file")
    chosen = class_list(classes) if classes is not None else None
    if classes is not None and out.exists() and Path(classes).is_file():
        issues_csv.check_out(out, [Path(classes)])
    columns = TopKColumns(classes_column, probs_column, p_given_column)
    summary, confusions = run(
        labels, probs, out, column=column, classes=chosen, margin=margin, flagged_only=flagged_only,
        spreadsheet=spreadsheet, columns=columns,
    )  # fmt: skip
    console.finish(summary, as_json=json, lines=lambda: _tell(summary, confusions))


def _tell(summary: dict[str, Any], confusions: Sequence[tuple[str, str, int]]) -> None:
    from rich.table import Table
    from rich.text import Text

    screen = console.err() if summary["out"] == str(STDOUT) else console.out()
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
    screen.print(f"margin {summary['margin']:.3g}: {summary['margin_from']}.", style="dim", markup=False)
    screen.print(SCORE_NOTE, style="dim", markup=False)


def _shown(name: str) -> str:
    """A name on a terminal: control characters are spelled out, so that no label moves the cursor."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)[:60]
