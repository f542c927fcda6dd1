"""`secondlook card`: what a dataset is, where it comes from and what is known of its limits, for people and for machines."""

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import typer

from secondlook.jobs.card.check import issues
from secondlook.jobs.card.exported import LISTED, look, splits, typed
from secondlook.jobs.card.facts import facts, going_out
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.report.card.croissant import as_croissant
from secondlook.pipeline.report.card.facts import CardFacts
from secondlook.pipeline.report.card.text import ASKED, as_markdown

__all__ = ["beside", "facts", "going_out", "run"]

README, CROISSANT = "README.md", "croissant.json"


def run(
    lake: Lake,
    settings: Settings,
    *,
    output: Path | None = None,
    croissant: Path | None = None,
    version: Version | None = None,
) -> dict[str, Any]:
    """Write the card of a version as Markdown, as Croissant, or both; returns what was written and what nobody has said.

    A Croissant file describes the export that lies in its folder, if one does. Raises UserError where a file can't be written.
    """
    told = facts(lake, version or lake.at(), settings)
    if output is not None:
        _markdown(told, output)
    described = _croissant(told, croissant) if croissant is not None else None
    return {
        "version": told.version,
        "samples": told.samples,
        "output": str(output) if output else None,
        "croissant": str(croissant) if croissant else None,
        "describes": described,
        "unsaid": [name for name in ASKED if not str(getattr(told.said, name)).strip()],
    }


def beside(lake: Lake, settings: Settings, version: Version, samples: pa.Table, folder: Path) -> None:
    """Write both files into the folder of an export of these rows of `dataset.samples`."""
    told = facts(lake, version, settings, samples)
    if (folder / LISTED).is_file():
        typed(folder)
    _markdown(told, folder / README)
    _croissant(told, folder / CROISSANT)


def _markdown(told: CardFacts, output: Path) -> None:
    from secondlook.jobs.report.report import write_atomically

    write_atomically(output, as_markdown(told, splits(output.parent)))


def _croissant(told: CardFacts, file: Path) -> str | None:
    """Writes the document and has it checked; returns what kind of export it describes, None where none lies there."""
    from secondlook.jobs.report.report import write_atomically

    exported = look(file.parent)
    document = json_format.dumps(as_croissant(told, exported), ensure_ascii=False, indent=1)
    write_atomically(file, document + "\n")
    found = issues(file)
    assert not found, found  # whatever the names in the data: what we write is valid
    return exported.kind if exported else None


def card(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the card as Markdown: README.md.")
    ] = None,
    croissant: Annotated[
        Path | None, typer.Option("--croissant", metavar="FILE", help="Write it as Croissant metadata: croissant.json.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Only check a Croissant file, of whoever wrote it.")
    ] = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """What the dataset is: purpose, origin, consent, licences, who is in it, how it was labeled, and its limits.

    What people know stands in the settings, under [card] and [[attributes]]; what the lake knows is filled in. What nobody has said is told as such.
    Groups with fewer than [bias] min_cell pictures are not in it, so that a card can be shared.

    As Markdown it has the front matter of dataset hubs. As Croissant it describes the export that lies in the same folder, so that a
    library can read the pictures by it. `secondlook export … --card` writes both beside the data.

    Example:

        secondlook card --output README.md --croissant croissant.json

    With neither, the Markdown is printed.
    """
    if check is not None:
        _check(check, as_json=json)
        return
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    if output is None and croissant is None and not json:
        console.out().print(as_markdown(facts(opened, opened.at(as_of), chosen)), markup=False, end="")
        return
    summary = run(opened, chosen, output=output, croissant=croissant, version=opened.at(as_of))
    console.finish(summary, as_json=json, lines=lambda: _lines(summary))


def _check(file: Path, *, as_json: bool) -> None:
    found = issues(file)
    if found:
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise UserError(f"{file} is not valid Croissant: {found[0]}{more}")
    console.finish({"file": str(file), "issues": []}, as_json=as_json, lines=lambda: console.out().print(f"{file} is valid Croissant", markup=False))  # fmt: skip


def _lines(summary: Mapping[str, Any]) -> None:
    out = console.out()
    for name in ("output", "croissant"):
        if summary[name]:
            out.print(f"version {summary['version']}: {summary[name]}", markup=False)
    if summary["croissant"] and not summary["describes"]:
        console.say("the Croissant file lies beside no export, so it describes no files: `secondlook export DIR --format hf-parquet --card`")  # fmt: skip
    if summary["unsaid"]:
        console.say(f"nobody has said: {', '.join(summary['unsaid'])}; each is a line under [card] in the settings", style="yellow")  # fmt: skip
