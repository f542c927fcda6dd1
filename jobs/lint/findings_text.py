"""Findings on a terminal: coloured lines, a table of counts, and what to do next."""

import sys
from collections import Counter

from rich.table import Table
from rich.text import Text

from secondlook.jobs.terminal.console import err, out
from secondlook.pipeline.report.formats import Listing, Shown, aside, place, printable, text_line


def show(listing: Listing, *, limit: int = 0) -> None:
    """Lines on standard output, at most `limit` a rule (0: all); counts and hints on standard error."""
    console = out()
    seen: Counter[str] = Counter()
    for shown in listing.findings:
        seen[shown.finding.rule] += 1
        if limit and seen[shown.finding.rule] > limit:
            continue
        if console.is_terminal:
            console.print(_line(shown))
        else:  # a pipe gets the same words twenty times as fast
            sys.stdout.write(text_line(shown) + "\n")
    _counts(listing, hidden=sum(max(0, n - limit) for n in seen.values()) if limit else 0)


def _line(shown: Shown) -> Text:
    finding = shown.finding
    dim = "" if shown.counts else "dim "
    return Text.assemble(
        (place(finding), dim + "bold"),
        (": ", dim),
        (finding.rule, dim + "red"),
        (f" {printable(finding.message)}", dim),
        (aside(shown), "dim yellow"),
    )


def _counts(listing: Listing, hidden: int) -> None:
    console = err()
    if hidden:
        console.print(f"… and {hidden:,} more; --limit 0 shows all", style="dim")
    for code, note in listing.notes.items():
        console.print(Text.assemble((f"{code} ", "dim red"), (note, "dim")), soft_wrap=True)
    if not listing.findings:
        console.print("nothing found", style="green")
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name, side in (
        ("rule", "left"),
        ("name", "left"),
        ("findings", "right"),
        ("waived", "right"),
        ("known", "right"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    kinds = ("counts", "waived", "known")
    totals: dict[str, Counter[str]] = {}
    for shown in listing.findings:
        kind = "counts" if shown.counts else "waived" if shown.waiver is not None else "known"
        totals.setdefault(shown.finding.rule, Counter())[kind] += 1
    for code, count in totals.items():
        numbers = [f"{count[kind]:,}" if count[kind] or kind == "counts" else "" for kind in kinds]
        table.add_row(Text(code, "red"), listing.rules[code].name, *numbers)
    console.print()
    console.print(table)
    first = next(iter(totals))
    console.print(f"\n`secondlook rule {first}` says what {first} means and what to do", style="dim", end="")
    review = "; `secondlook review push` asks people about doubted labels" if {"SL101", "SL102"} & set(totals) else ""
    console.print(f"{review}.", style="dim")
