"""`secondlook export`: the corrected dataset back out, in formats that others read and that `ingest` reads back."""

import csv
import json as json_format
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.files.landing import landing, refuse_taken
from secondlook.jobs.files.spreadsheet import BYTE_ORDER_MARK, SpreadsheetOption, as_text
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.dropped import dropped as dropped_by_people
from secondlook.jobs.lake.pictures import read_reference
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.sources.labels import FILE_NAMES, LABEL_NAMES, SPLIT_NAMES
from secondlook.jobs.terminal.console import Advance, finish, out, progress, say
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import history
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import SecondlookError, UnavailableError, UserError, unknown
from secondlook.pipeline.core.identity import content_id

FORMATS = ("csv-patch", "csv", "folders", "hf-parquet")
PATCH_COLUMNS = ("key", "old_label", "label", "source", "batch", "evidence")
STDOUT = "-"
AT_ONCE = 64  # pictures in a batch, where a row group has more
OURS = frozenset({*FILE_NAMES, *LABEL_NAMES, *SPLIT_NAMES, "image"})


@dataclass(frozen=True)
class Sample:
    """One row of what goes out."""

    sample_id: str
    key: str
    content_id: str
    split: str
    label: str | None
    attributes: Mapping[str, str]


def run(
    lake: Lake,
    to: str,
    *,
    format: str = "csv-patch",
    drop: Iterable[str] = (),
    as_of: str | int | None = None,
    spreadsheet: bool = False,
    card: Settings | None = None,
) -> dict[str, Any]:
    """Write the dataset of a version to a file or folder that is not there yet. Returns what was written.

    `drop`: codes of rules whose findings leave a sample out; of copies, one stays. `spreadsheet`: in CSV, text that a
    spreadsheet would run as a formula gets an apostrophe before it. `card`: settings of the data card that is to
    lie beside the pictures, as README.md and croissant.json. Whatever happens, the target is there whole or not at all. Raises UserError where it is taken, UnavailableError where a referenced picture is gone or changed.
    """
    from secondlook.jobs.export.pictures import write_folders, write_parquet

    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if to != STDOUT:
        refuse_taken(Path(to))
    elif format not in {"csv", "csv-patch"}:
        raise UserError(f"{format} is a folder and can't go to standard output; name a folder")
    if spreadsheet and format not in {"csv", "csv-patch"}:
        raise UserError(f"only CSV is for a spreadsheet; {format} is for programs")
    if card is not None and format in {"csv", "csv-patch"}:
        raise UserError(f"a card lies beside pictures, so --card goes with folders and hf-parquet, not with {format}")
    version = lake.at(as_of)
    table, dropped, quarantined = _chosen(lake, version, list(drop))
    if format != "csv-patch":  # a patch says that they have no label any more
        out_of_it = pc.is_in(table["sample_id"], value_set=dropped_by_people(lake, version))
        table = table.filter(pc.invert(out_of_it))
        if n := pc.sum(out_of_it).as_py():
            dropped = dropped | {"by people": n}
    summary: dict[str, Any] = {"format": format, "to": to, "read": version.id, "quarantined": quarantined}
    if format in {"csv", "csv-patch"}:
        rows = _patch(lake, version, table) if format == "csv-patch" else _listing(table)
        count = _write_csv(rows, to, spreadsheet=spreadsheet)
        return summary | {"rows": count, "dropped": dropped}
    samples = [*of_table(table)]
    classes = dataset.class_names(lake, version)
    with landing(Path(to)) as folder, progress("export", len(samples)) as advance:
        folder.mkdir()
        write = write_folders if format == "folders" else write_parquet
        files = write(pictures(lake, version, samples, advance), samples, classes, folder)
        if card is not None:
            from secondlook.jobs.card.card import beside

            beside(lake, card, version, table, folder)
    return summary | {"samples": len(samples), "files": files, "dropped": dropped}


def of_table(table: pa.Table) -> Iterator[Sample]:
    """Records of rows of `dataset.samples`."""
    for row in table.select(["sample_id", "key", "content_id", "split", "label", "attributes"]).to_pylist():
        yield Sample(**row | {"attributes": dict(row["attributes"] or ()), "split": row["split"] or ""})


def pictures(
    lake: Lake, version: Version, samples: list[Sample], advance: Advance
) -> Iterator[tuple[bytes, list[Sample]]]:
    """Each content's bytes, once, with the samples that show it, in the order in which the lake holds them.

    One row group of the table `images` is in memory at a time, whatever the size of the dataset.
    """
    showing: dict[str, list[Sample]] = {}
    for sample in samples:
        showing.setdefault(sample.content_id, []).append(sample)
    for batch in _row_groups(lake, version):
        images = batch["image"]
        for n, content in enumerate(batch["content_id"].to_pylist()):
            its = showing.pop(content, None)
            if its is None:
                continue
            image = images[n].as_py()
            data = image["bytes"]
            if data is None:
                data = read_reference(image["path"])
                if content_id(data) != content:
                    raise UnavailableError(f"{image['path']} has changed since it was ingested; ingest it again")
            yield data, its
            advance(len(its))
    if showing:
        content, its = next(iter(showing.items()))
        raise SecondlookError(f"content {content} of {its[0].key} is not in the lake")


def _row_groups(lake: Lake, version: Version) -> Iterator[pa.RecordBatch]:
    """The table `images` in batches that don't span row groups, as those of `lake.batches` do, to hold little at once."""
    import pyarrow.parquet as pq

    for path in lake.files("images", version):
        with lake.fs.open(lake.strip(path), "rb") as stream:
            file = pq.ParquetFile(stream)
            for group in range(file.num_row_groups):
                yield from file.iter_batches(AT_ONCE, [group], ["content_id", "image"])


# Which samples


def _chosen(lake: Lake, version: Version, drop: list[str]) -> tuple[pa.Table, dict[str, int], dict[str, int]]:
    """Samples that go out, how many were left out by each rule, and how many since their class waits for a sign-off.

    Keys go out as they are in the source, so that the source can be joined with them.
    """
    waiting = dataset.quarantined(lake, version)
    table = dataset.samples(lake, version, reveal=True)
    table, quarantined = dataset.without_quarantined(table, {name: name for name in waiting})
    if not drop:
        return table, {}, quarantined
    from secondlook.jobs.lint.rules import RULES

    for code in drop:
        if code not in RULES:
            raise unknown("rule", code, RULES)
    findings = dataset.findings(lake, version)
    if findings is None:
        raise UserError("--drop leaves out what lint found, and this version has no findings; run `secondlook lint`")
    of_samples = pc.and_(
        pc.is_in(findings["rule"], value_set=pa.array(drop)), pc.equal(findings["subject_kind"], "sample")
    )
    left_out = leave_out(findings.filter(of_samples).to_pylist(), table)
    kept = table.filter(pc.invert(pc.is_in(table["sample_id"], value_set=pa.array(sorted(left_out), pa.string()))))
    return kept, dict(sorted(Counter(left_out.values()).items())), quarantined


def leave_out(findings: Iterable[Mapping[str, Any]], samples: pa.Table) -> dict[str, str]:
    """sample_id → rule, of the samples that findings leave out.

    A finding of copies (SL2) names the others, up to ten: a sample goes where one of them, or its very content, stays.
    Those of test and val splits stay first, since a leaked picture belongs to them.
    """
    left: dict[str, str] = {}
    copies: dict[str, list[tuple[str, set[str]]]] = {}
    for finding in findings:
        if not finding["rule"].startswith("SL2"):
            left.setdefault(finding["subject"], finding["rule"])
            continue
        evidence = json_format.loads(finding["evidence"] or "{}")
        others = {*evidence.get("others", ()), *([evidence["other"]] if evidence.get("other") else [])}
        copies.setdefault(finding["subject"], []).append((finding["rule"], others))
    rank = {"test": 0, "val": 1}
    rows = samples.select(["sample_id", "key", "split", "content_id"]).to_pylist()
    staying: set[str] = set()
    contents: set[str] = set()
    for row in sorted(rows, key=lambda row: (rank.get(row["split"], 2), row["key"])):
        if row["sample_id"] in left:
            continue
        told = copies.get(row["sample_id"], ())
        rule = next((rule for rule, others in told if others & staying or row["content_id"] in contents), None)
        if rule is None:
            staying.add(row["key"])
            contents.add(row["content_id"])
        else:
            left[row["sample_id"]] = rule
    return left


# CSV


def _patch(lake: Lake, version: Version, samples: pa.Table) -> Iterator[dict[str, Any]]:
    """Samples whose label is not what the source said last."""
    classes = read_classes(lake, version)
    given = lake.read("labels", version)
    events = given.set_column(
        given.column_names.index("label"), "label", classes.read(given["label"], given["seq"], reveal=True)
    )
    ingested = history.holding(given.filter(pc.equal(given["source"], "ingest")))
    changed = history.diff(ingested, events)
    at = pc.index_in(samples["sample_id"], value_set=changed["sample_id"].combine_chunks())
    changed = changed.set_column(changed.column_names.index("old"), "old", classes.masks(changed["old"]))
    rows = {row["sample_id"]: row for row in changed.to_pylist()}
    for row in samples.filter(pc.is_valid(at)).select(["sample_id", "key"]).to_pylist():
        what = rows[row["sample_id"]]
        yield {"key": row["key"], "old_label": what["old"], "label": what["new"]} | {
            name: what[name] for name in ("source", "batch", "evidence")
        }


def _listing(samples: pa.Table) -> Iterator[dict[str, Any]]:
    """Every sample with its label, split and attributes: what `ingest --labels` takes."""
    rows = list(of_table(samples))
    names = attribute_columns(rows)
    for sample in rows:
        yield {"key": sample.key, "label": sample.label, "split": sample.split} | {
            column: sample.attributes.get(name) for name, column in names.items()
        }


def attribute_columns(samples: Iterable[Sample]) -> dict[str, str]:
    """Attribute → its column, sorted; one that `ingest` would take for file, label or split gets `attribute_` before it."""
    found = sorted({name for sample in samples for name in sample.attributes})
    columns: dict[str, str] = {}
    for name in found:
        column = name
        while column.strip().lower() in OURS or column in columns.values() or (column != name and column in found):
            column = f"attribute_{column}"
        columns[name] = column
    return columns


def _write_csv(rows: Iterator[dict[str, Any]], to: str, *, spreadsheet: bool) -> int:
    if to == STDOUT:
        return write_rows(sys.stdout, rows, spreadsheet=spreadsheet)
    with landing(Path(to)) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        return write_rows(stream, rows, spreadsheet=spreadsheet)


def write_rows(stream: TextIO, rows: Iterator[dict[str, Any]], *, spreadsheet: bool = False) -> int:
    """CSV of rows that have the same columns; with no row, the header of a patch. Returns how many there were."""
    stream.write(BYTE_ORDER_MARK if spreadsheet else "")
    writer = csv.writer(stream, lineterminator="\n")
    count = 0
    for count, row in enumerate(rows, start=1):
        cells = ["" if value is None else value for value in row.values()]
        if count == 1:
            writer.writerow([as_text(name) for name in row] if spreadsheet else row)
        writer.writerow([as_text(str(cell)) for cell in cells] if spreadsheet else cells)
    if not count:
        writer.writerow(PATCH_COLUMNS)
    return count


def export(
    to: Annotated[str, typer.Argument(metavar="TO", help="A new file (CSV; - for standard output) or a new folder.")],
    format: Annotated[str, typer.Option("--format", metavar="|".join(FORMATS), help="What to write.")] = "csv-patch",
    drop: Annotated[
        str,
        typer.Option("--drop", metavar="CODES", help="Leave out samples with findings of these rules: SL201,SL301."),
    ] = "",
    spreadsheet: SpreadsheetOption = False,
    card: Annotated[
        bool, typer.Option("--card", help="With the data card beside the pictures: README.md and croissant.json.")
    ] = False,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """The corrected dataset back out.

    csv-patch: only what changed, with key, old label, label and the evidence. csv: every picture with label, split and attributes.
    folders: split/class/picture, and a labels.csv. hf-parquet: Hugging Face Parquet files, one split a file. `secondlook ingest` reads
    them all back.

    Example:

        secondlook export fixed/ --format folders --drop SL201

    A patch is applied to its source with:

        secondlook ingest SOURCE --labels patch.csv --attributes ""
    """
    codes = [code.strip().upper() for code in drop.split(",") if code.strip()]
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    described = chosen if card else None
    summary = run(opened, to, format=format, drop=codes, as_of=as_of, spreadsheet=spreadsheet, card=described)

    def lines() -> None:
        what = f"{summary['rows']:,} rows" if "rows" in summary else f"{summary['samples']:,} pictures"
        left = "".join(f", {n:,} left out by {code}" for code, n in summary["dropped"].items())
        if to != STDOUT:
            out().print(f"{what} of version {summary['read']} to {to}{left}", markup=False)
        if said := dataset.told_quarantined(summary["quarantined"]):
            say(said, style="yellow")

    finish(summary, as_json=json, lines=lines)
