"""What `secondlook clusters` says in the end."""

from collections.abc import Mapping
from typing import Any

from secondlook.jobs.terminal import console
from secondlook.pipeline.report.advice import many
from secondlook.pipeline.report.formats import printable

SHOWN = 40  # clusters that are listed; all are in the lake, in --json and on the page


def told(summary: Mapping[str, Any]) -> None:
    """The clusters, what they hold and how stable they are."""
    from rich.table import Table
    from rich.text import Text

    out = console.out()
    found = summary["clusters"]
    if not found:
        out.print(
            f"{summary['model']} confuses no two of its {summary['classes']:,} classes more than all others: no cluster "
            f"(version {summary['version']})"
        )
        return
    out.print(
        f"{summary['model']}: {many(summary['mistakes'], 'mistake')} on {summary['pictures']:,} held-out pictures, "
        f"{summary['classes']:,} classes; {_how(summary)}"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("cluster", overflow="fold", max_width=72)
    for column in ("classes", "mistakes inside", "of all", "comes back"):
        table.add_column(column, justify="right")
    for one in found[:SHOWN]:
        table.add_row(
            Text(printable(one["name"])),
            f"{len(one['classes']):,}",
            f"{one['mistakes']:,}",
            percent(one["share"]),
            f"{one['stability']:.2f}",
        )
    out.print(table)
    if len(found) > SHOWN:
        out.print(f"… and {len(found) - SHOWN:,} more")
    _together(summary)
    page = f"; {summary['output']}" if "output" in summary else ""
    out.print(f"version {summary['version']}{page}; next: secondlook specialists", markup=False)


def _how(summary: Mapping[str, Any]) -> str:
    many = f"{summary['n']:,} cluster{'s' if summary['n'] != 1 else ''} by {summary['method']}"
    return (
        many
        + {"setting": ", as asked", "greedy": "", "excess": ", the number that holds most beyond chance"}[
            summary["chosen"]["by"]
        ]
    )


def _together(summary: Mapping[str, Any]) -> None:
    out = console.out()
    left_out, rand = summary["coverage_left_out"], summary["stability"]
    out.print(
        f"together they hold {percent(summary['coverage'])} of the mistakes, {percent(summary['excess'])} beyond chance; on "
        f"pictures that took no part {percent(left_out['value'])} ({percent(left_out['low'])} to {percent(left_out['high'])})"
    )
    out.print(
        f"{many(len(summary['in_none']), 'class', 'classes')} in none; adjusted Rand index over {summary['draws']} bootstrap draws "
        f"{rand['value']:.2f} ({rand['low']:.2f} to {rand['high']:.2f})"
    )


def percent(share: float | None) -> str:
    """A share as people read it."""
    return "–" if share is None else f"{100 * share:.1f} %"
