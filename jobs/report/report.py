"""`secondlook report`: the audit of a version as one self-contained HTML page. It shows, and computes no finding."""

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.report.facts import gather
from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.report.advice import many

FORMATS = ("html", "json")
THUMBNAILS = 24  # a rule; some 15 rules of 24 thumbnails of 6 kB stay below 3 MB


def write_atomically(path: Path, text: str) -> int:
    """The file as a whole or not at all, whenever this is killed; its size in bytes. Raises UserError where it can't be."""
    folder = path.parent
    if path.is_dir():
        raise UserError(f"--output takes a file, and {path} is a folder; try {path / 'report.html'}")
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} to write {path.name} to")
    data, stream = text.encode("utf-8", "replace"), None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name[:40]}-", delete=False) as stream:
            stream.write(data)
        mask = os.umask(0)
        os.umask(mask)
        Path(stream.name).chmod(0o666 & ~mask)  # a temporary file is its owner's alone, a report is not
        Path(stream.name).replace(path)
    except OSError as problem:
        if stream is not None:
            Path(stream.name).unlink(missing_ok=True)
        raise UserError(f"{path} can't be written: {problem.strerror or problem}") from None
    return len(data)


def run(
    lake: Lake, settings: Settings, output: Path, *, version: Version | None = None, thumbnails: int = THUMBNAILS
) -> dict[str, Any]:
    """Write the page of a version (None: the newest) to `output`; the summary says where it lies and what it shows."""
    from secondlook.pipeline.report.page import render

    facts = gather(lake, version or lake.at(), settings, thumbnails=thumbnails)
    path = output.expanduser().absolute()
    size = write_atomically(path, render(facts))
    return {
        "output": str(output),
        "url": path.as_uri(),
        "bytes": size,
        "version": facts.version,
        "samples": facts.counts.samples,
        "findings": facts.findings.open if facts.findings else None,
    }


def _lines(summary: Mapping[str, Any]) -> None:
    out = console.out()
    out.print(f"version {summary['version']}: {summary['output']}, {summary['bytes'] / 2**20:.1f} MB", markup=False)
    out.print(summary["url"], markup=False)


def _bias_lines(summary: Mapping[str, Any]) -> None:
    _lines(summary)
    if summary["note"]:
        console.out().print(summary["note"], style="bold", markup=False)
        return
    told = f"{many(summary['findings'], 'finding')} in {many(summary['comparisons'], 'comparison')}"
    hidden = f"; {summary['not_shown']:,} of groups too small to be shown safely" if summary["not_shown"] else ""
    console.out().print(told + hidden, markup=False)


def report(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to write it. Default: report.html; with --bias bias.html."
        ),
    ] = None,
    thumbnails: Annotated[
        int,
        typer.Option("--thumbnails", metavar="N", min=0, max=500, help="Pictures shown for each rule; 0 for none."),
    ] = THUMBNAILS,
    bias: Annotated[
        bool, typer.Option("--bias", help="The audit by groups instead: whom the data serves worse.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(metavar="VERSION", help="With --bias: what changed for each group since this version."),
    ] = None,
    with_images: Annotated[
        bool,
        typer.Option(
            "--with-images",
            help="With --bias: doubted labels with their pictures, and names of annotators. Such a page is not for sharing.",
        ),
    ] = False,
    format: Annotated[str, typer.Option(metavar="html|json", help="With --bias: the page, or its figures.")] = "html",
    figures: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --bias: write the figures there as JSON, too.")
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --bias: write how many pictures of whom to collect, as CSV. For who collects, not for sharing.",
        ),
    ] = None,
    fail_above: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=0,
            help="With --bias: exit status 1 only above so many findings. Default: [lint] fail_above, 0.",
        ),
    ] = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> int:
    """The audit as one self-contained HTML page.

    What came in and what was rejected, the classes, the findings with their pictures, what the model confuses, and the
    history of the labels. One file that opens from disk without a network, holds no script, and can be sent to somebody.
    It shows what `ingest`, `train` and `lint` left in the lake; where one of them did not run yet, it says what would be added.

    With --bias it is the audit by groups of people, with an interval for each figure: who is in the data, whose labels are doubted, for whom the
    model fails, whom annotators differ on, whom the queue picks. It shows no picture and no group that is too small, so that it can be shared.
    Exit status 0: no findings, or nothing could be compared, which is said; 1: findings above the threshold; 2: no attribute to compare by.

    Example:

        secondlook report --output report.html

    The state of last week:

        secondlook report --as-of 12 --output before.html

    Groups, and for whom cleaning helped since version 12:

        secondlook report --bias --since 12 --output bias.html --figures bias.json
    """
    chosen = read_settings(settings, lake)
    if fail_above is not None:
        chosen = dataclasses.replace(chosen, lint=dataclasses.replace(chosen.lint, fail_above=fail_above))
    only = {
        "--since": since,
        "--with-images": with_images,
        "--figures": figures,
        "--targets": targets,
        "--fail-above": fail_above is not None,
    }
    if not bias and (given := [name for name, value in {**only, "--format json": format != "html"}.items() if value]):
        raise UserError(f"{given[0]} goes with --bias")
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    opened = Lake.open(chosen.lake)
    version = opened.at(as_of)
    if not bias:
        summary = run(opened, chosen, output or Path("report.html"), version=version, thumbnails=thumbnails)
        console.finish(summary, as_json=json, lines=lambda: _lines(summary))
        return 0
    from secondlook.jobs.report import bias as by_groups

    summary = by_groups.run(
        opened,
        chosen,
        output or Path(f"bias.{format}"),
        version=version,
        since=opened.at(since) if since is not None else None,
        with_images=with_images,
        form=format,
        figures=figures,
        targets=targets,
    )
    console.finish(summary, as_json=json, lines=lambda: _bias_lines(summary))
    return 1 if summary["clean"] is False else 0
