"""`secondlook report`: the audit of a version as one self-contained HTML page. It shows, and computes no finding."""

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
from secondlook.pipeline.core.errors import UserError

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


def report(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write the page.", show_default=True)
    ] = Path("report.html"),
    thumbnails: Annotated[
        int,
        typer.Option("--thumbnails", metavar="N", min=0, max=500, help="Pictures shown for each rule; 0 for none."),
    ] = THUMBNAILS,
    bias: Annotated[bool, typer.Option("--bias", help="The audit by groups of people: not there yet.")] = False,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """The audit as one self-contained HTML page.

    What came in and what was rejected, the classes, the findings with their pictures, what the model confuses, and the
    history of the labels. One file that opens from disk without a network, holds no script, and can be sent to somebody.
    It shows what `ingest`, `train` and `lint` left in the lake; where one of them did not run yet, it says what would be added.

    Example:

        secondlook report --output report.html

    The state of last week:

        secondlook report --as-of 12 --output before.html
    """
    if bias:
        raise UserError("--bias is not there yet; `secondlook report` without it shows label errors by attribute")
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    summary = run(opened, chosen, output, version=opened.at(as_of), thumbnails=thumbnails)
    console.finish(summary, as_json=json, lines=lambda: _lines(summary))
