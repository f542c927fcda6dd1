"""`secondlook rule`: what the rules of lint mean."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from secondlook.jobs.lint import rules
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import JsonOption
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.rules import Rule


def rule(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="Code of a rule; without one, all are listed.")
    ] = None,
    pages: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write a page of Markdown for each rule into this folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What a rule means, how it decides, where it comes from, and what to do about a finding.

    ```
    secondlook rule           all rules in a list
    secondlook rule SL101     one of them in full
    ```
    """
    if pages:
        if code or as_json:
            raise UserError("--pages writes the pages of all rules; leave CODE and --json away")
        _write(pages)
    elif code is None:
        everything = {one.code: one.name for one in rules.RULES.values()}
        finish({"rules": everything}, as_json=as_json, lines=_list)
    else:
        one = rules.rule(code)
        finish(dataclasses.asdict(one), as_json=as_json, lines=lambda: _show(one))


def _write(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in rules.pages().items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UserError(f"{folder} can't be written: {problem.strerror or problem}") from None
    say(f"{len(rules.RULES)} rules in {folder}")


def _list() -> None:
    console = out()
    family = ""
    for one in rules.RULES.values():
        if one.code[:3] != family:
            family = one.code[:3]
            console.print(f"{family}  {rules.FAMILIES[family]}", style="bold")
        console.print(f"  [cyan]{one.code}[/]  [bold]{one.name}[/]  [dim]{one.what}[/]")
    console.print("\n`secondlook rule CODE` explains one.")


def _show(one: Rule) -> None:
    console = out()
    console.print(f"[bold cyan]{one.code}[/] [bold]{one.name}[/]")
    console.print(one.what, markup=False)
    for title, text in rules.words(one):
        if not text:
            continue
        console.print(f"\n[bold]{title}[/]")
        console.print(text, markup=False)
    if one.thresholds:
        console.print(f"\n[bold]Thresholds[/]  (of \\[{rules.section(one)}] in secondlook.toml)")
        for name in one.thresholds:
            console.print(f"  {name} = {rules.default(name)}", markup=False)
