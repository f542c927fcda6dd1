"""`secondlook ingest`: pictures, with or without labels, become rows of the lake.

The driver lists the source and compares it with the lake; Spark's workers read what is new (`ingest_worker`) and write
Parquet files of their own; the driver keeps each content once, turns labels into events, and commits one version.
"""

import dataclasses
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
import typer

from secondlook.jobs.sources import KINDS, Columns, Source
from secondlook.jobs.sources import listing as listed
from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as settings_of
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from secondlook.jobs.ingest.books import Books
    from secondlook.jobs.lake.store import Lake, Version
    from secondlook.jobs.sources.listing import Listing

SHOWN = 10


def run(
    lake: "Lake",
    settings: Settings,
    spark: "SparkSession | None",
    source: Source,
    *,
    retry_rejects: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Ingest a source; returns the summary that --json prints. Spark is started, if None, where pictures must be read.

    The lake has a new version afterwards, or, where all was known, none. Raises UserError where the source or its table
    of labels is not as it must be, ConflictError where another job changed the same tables meanwhile.
    """
    _refuse_password(source, settings)
    listing = listed(source, skip=lake.root if lake.local else "")
    return run_listing(lake, settings, spark, listing, retry_rejects=retry_rejects, now=now or datetime.now(UTC))


def run_listing(
    lake: "Lake",
    settings: Settings,
    spark: "SparkSession | None",
    listing: "Listing",
    *,
    retry_rejects: bool = False,
    now: datetime,
) -> dict[str, Any]:
    """`run` for a source that is listed already."""
    from secondlook.jobs.forget.tombstones import buried
    from secondlook.jobs.ingest.books import compare, label_events, new_classes
    from secondlook.jobs.ingest.slices import read_new

    base = lake.head()
    kept_out = buried(lake, base)
    books = compare(
        lake,
        base,
        listing,
        settings.lake.dataset,
        kept_out,
        required=settings.ingest.required,
        retry_rejects=retry_rejects,
    )
    inputs = _inputs(settings, books, listing, base)
    done = lake.find("ingest", inputs)
    if done is not None:
        return dict(done.summary) | {"version": done.id}
    attempt = lake.attempt("ingest", inputs, base)
    try:
        read = read_new(attempt, settings, spark, listing, books, kept_out)
    except Exception:
        attempt.refuse_forgotten()  # its files may have gone for that
        raise
    refused = books.refused
    attempt.append("samples", pa.concat_tables([books.updated, refused.withdrawn]))
    attempt.append("rejects", refused.rejects)
    rejects = Counter(read["rejects"]) + Counter(refused.by_reason)
    without = {*read["rejected"], *read["forgotten"], *refused.ids}
    events = label_events(lake, base, books, without, listing.table or "ingest", now)
    if events.rows.num_rows:
        attempt.append("labels", events.rows)
    classes = new_classes(lake, base, listing.classes, events, now)
    if classes.num_rows:
        attempt.append("classes", classes)
    summary = {
        "dataset": settings.lake.dataset,
        "source": listing.url,
        "found": listing.rows.num_rows,
        "samples": read["samples"],
        "rejects": sum(rejects.values()),
        "known": books.known,
        "forgotten": books.forgotten + len(read["forgotten"]),
        "contents": read["contents"],
        "rejects_by_reason": dict(sorted(rejects.items())),
        "withdrawn": refused.withdrawn.num_rows,
        "replaced": books.replaced,
        "updated": books.updated.num_rows,
        "labels": events.rows.num_rows,
        "labels_kept": events.kept,
        "reviews_overruled": events.overruled,
        "classes": classes.num_rows,
        "rows_without_file": len(listing.unmatched_rows),
        "files_without_row": len(listing.unmatched_keys),
    }
    assert summary["found"] == sum(summary[what] for what in ("samples", "rejects", "known", "forgotten")), summary
    if not attempt.tables:
        return summary | {"version": base.id if base else 0}
    version = attempt.commit(summary, read["run"])
    return dict(version.summary) | {"version": version.id}


def _inputs(settings: Settings, books: "Books", listing: "Listing", base: "Version | None") -> dict[str, Any]:
    """All that determines what an ingest writes."""
    wanted = settings.ingest
    return {
        "dataset": settings.lake.dataset,
        "source": listing.url,
        "listing": books.digest,
        "classes": list(listing.classes),
        "store": wanted.store,
        "require": wanted.require,
        "limits": [wanted.max_file_mb, wanted.max_pixels, wanted.decode_timeout_s],
        "tables": {
            table: base.tables.get(table)
            for table in ("samples", "rejects", "fingerprints", "labels", "classes", "tombstones", "attribute_repairs")
            if base is not None
        },
    }


# The verb


def ingest(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Folder, .zip, .tar, .parquet, or an fsspec URL.")],
    labels: Annotated[
        str | None, typer.Option("--labels", metavar="FILE", help="CSV or Parquet: a row a picture, its label, more.")
    ] = None,
    file_column: Annotated[str, typer.Option(metavar="NAME", help="Column of --labels with the file's path.")] = "",
    label_column: Annotated[
        str, typer.Option(metavar="NAME", help="Column of --labels with the label; - where it has none.")
    ] = "",
    split_column: Annotated[str, typer.Option(metavar="NAME", help="Column of --labels with the split.")] = "",
    attributes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns to keep as attributes. Default: all the rest.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the dataset. Default: [lake] dataset.")
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="copy|reference", help="Copy the pictures into the lake, or leave them.")
    ] = None,
    kind: Annotated[str, typer.Option(metavar="|".join(KINDS), help="Kind of source. Default: by its files.")] = "auto",
    unlabeled: Annotated[bool, typer.Option("--unlabeled", help="Folders are no classes; take no labels.")] = False,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the first N pictures, to try things out.")
    ] = None,
    retry_rejects: Annotated[
        bool, typer.Option("--retry-rejects", help="Read again what was rejected before and has not changed.")
    ] = False,
    unmatched: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write rows without a file and files without a row as CSV.")
    ] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take images, with or without labels, into the lake.

    The first folder below SOURCE, or below train, val (valid, validation, dev) or test, is the class:
    photos/cat/1.jpg, photos/train/cat/1.jpg. Or a --labels table says it: columns `file` and `label` (others by
    --file-column, --label-column), `split` if there is one, and all the rest as attributes. Or nobody does yet, and
    `review` will ask people. SOURCE may also be a zip, WebDataset tars, or Parquet of a Hugging Face dataset.

    Run it again when pictures were added: known files (same path, size and time) are not read twice. A new --labels
    file adds events to the history of labels; a label that people decided in a review stays, unless the source's own
    label changed.

    [ingest] require in the settings keeps out pictures whose table does not say that they may be used: consent, licence.

    Files that can't be read are listed with a reason and never stop the rest. Found is every file but documents,
    tables and archives: found = samples + rejects + known + forgotten (what `forget` buried is not taken again).

    Example:

        secondlook ingest photos/ --labels labels.csv --label-column breed
    """
    chosen = _with_options(settings_of(settings, lake), dataset, store)
    columns = Columns(file_column, label_column, split_column, _names(attributes))
    if labels is None and (columns != Columns() or unmatched):
        raise UserError("--file-column, --label-column, --split-column, --attributes and --unmatched need --labels")
    asked = Source(source, kind, labels, columns, classes=not unlabeled, limit=limit)
    # The source is looked at before a lake is made: a mistyped path leaves nothing behind.
    from secondlook.jobs.lake.store import Lake

    place = chosen.lake.url if "://" not in chosen.lake.url else ""
    _refuse_password(asked, chosen)
    listing = listed(asked, skip=str(Path(place).resolve()) if place else "")
    for note in listing.notes:
        console.say(note)
    _say_unmatched(listing, unmatched)
    opened = Lake.open(chosen.lake, create=True)
    summary = run_listing(opened, chosen, None, listing, retry_rejects=retry_rejects, now=datetime.now(UTC))
    console.finish(summary, as_json=json, lines=lambda: _print(summary))


def _refuse_password(source: Source, settings: Settings) -> None:
    if settings.ingest.store == "reference" and re.search(r"://[^/@]*:[^/@]*@", source.url):
        raise UserError(
            "the password in the source's URL would be kept in the lake with every reference; give it in the "
            "environment or the file system's own settings"
        )


def _with_options(settings: Settings, dataset: str | None, store: str | None) -> Settings:
    lake = settings.lake if dataset is None else dataclasses.replace(settings.lake, dataset=dataset)
    taken = settings.ingest if store is None else dataclasses.replace(settings.ingest, store=store)
    return dataclasses.replace(settings, lake=lake, ingest=taken)


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def _say_unmatched(listing: "Listing", file: Path | None) -> None:
    kinds = (
        ("rows of {} have no file", "row without file", listing.unmatched_rows),
        ("files have no row in {}", "file without row", listing.unmatched_keys),
    )
    for title, _, names in kinds:
        if names:
            more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
            shown = ", ".join(map(_one_line, names[:SHOWN]))
            console.say(f"{len(names):,} {title.format(listing.table)}: {shown}{more}", style="yellow")
    if file is not None:
        import csv

        try:
            with file.open("w", encoding="utf-8", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(["what", "file"])
                writer.writerows((what, name) for _, what, names in kinds for name in names)
        except OSError as problem:
            raise UserError(f"--unmatched {file} can't be written: {problem.strerror}") from None


def _one_line(name: str) -> str:
    """A name from data as people may see it in one line.

    >>> _one_line("a\\nb")
    "'a\\\\nb'"
    """
    return name if name.isprintable() else repr(name)


def _print(summary: dict[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    from secondlook.pipeline.core.decode import REASONS

    out = console.out()
    out.print(
        f"found {summary['found']:,} = {summary['samples']:,} samples + {summary['rejects']:,} rejects + "
        f"{summary['known']:,} known"
        + (f" + {summary['forgotten']:,} forgotten" if summary["forgotten"] else "")
        + f"; {summary['contents']:,} different pictures are new",
        markup=False,
    )
    if summary["rejects_by_reason"]:
        table = Table("pictures", "rejected as", "which means", box=None, pad_edge=False)
        for reason, n in sorted(summary["rejects_by_reason"].items(), key=lambda item: -item[1]):
            table.add_row(f"{n:,}", reason, Text(REASONS[reason]))  # it names [ingest], which is no markup
        out.print(table)
    for count, words in (
        (summary["labels"], "label events"),
        (summary["classes"], "new classes"),
        (summary["updated"], "known pictures have a new split or new attributes"),
        (summary["replaced"], "known pictures changed and were read again"),
        (
            summary["withdrawn"],
            "known pictures may not be used any more: [ingest] require. They are in no version from now on; "
            "`secondlook forget` erases what the lake holds of them",
        ),
        (summary["labels_kept"], "labels that a review decided were kept against the source's"),
        (summary["reviews_overruled"], "labels that a review decided gave way, as the source's own label changed"),
    ):
        if count:
            out.print(f"{count:,} {words}", markup=False)
    out.print(f"version {summary['version']}", markup=False)
