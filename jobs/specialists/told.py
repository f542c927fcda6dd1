"""What `secondlook specialists` says in the end."""

from collections.abc import Mapping
from typing import Any

from secondlook.jobs.terminal import console
from secondlook.pipeline.report.formats import printable


def told(summary: Mapping[str, Any]) -> None:
    """Who was kept and why, and what they bring."""
    from rich.table import Table
    from rich.text import Text

    out = console.out()
    table = Table(box=None, pad_edge=False)
    table.add_column("cluster", overflow="fold", max_width=44)
    for column in ("classes", "righted", "wronged", "sure"):
        table.add_column(column, justify="right")
    table.add_column("right within it")
    table.add_column("")
    for one in summary["specialists"]:
        within = one["conditional"]
        shares = " → ".join(percent(within[when]) for when in ("before", "after") if within[when] is not None)
        name = Text(("  " if one["level"] else "") + printable(one["cluster"]))
        cells = [str(len(one["classes"])), str(one["righted"]), str(one["wronged"]), f"{100 * one['sure']:.0f} %"]
        table.add_row(name, *cells, shares, Text(one["why"], style="green" if one["kept"] else "dim"))
    n = summary["chose"]
    out.print(
        f"{len(summary['specialists'])} specialists were tried beside {summary['generalist']}; {n:,} held-out pictures chose:"
    )
    out.print(table)
    for one in summary["left_out"]:
        out.print(f"{printable(one['cluster'])}: not tried, {one['why']}", markup=False)
    if not summary["kept"]:
        out.print("none is kept: no model was made, and the generalist stays as it is")
        return
    _gains(summary)
    out.print(f"version {summary['version']}: {summary['model']}; next: secondlook distill --teacher specialists")


def _gains(summary: Mapping[str, Any]) -> None:
    out = console.out()
    out.print(f"{summary['kept']} of {len(summary['specialists'])} are kept")
    out.print("held-out pictures that chose nothing: " + gain(summary["held_out"]["gain"]))
    test = summary["test"]
    if test is None:
        out.print("there is no split `test`: nothing is said of the kept specialists themselves, which saw all labels")
        return
    out.print("split test, beside the generalist's net: " + gain(test["gain"]))
    out.print("  only the cluster's classes allowed: " + gain(test["conditional"]))
    out.print(
        f"  beside further nets instead, {test['control_nets']} averaged (the specialists cost as much to fit as "
        f"{test['cost_in_nets']:.1f}): " + gain(test["over_control"])
    )
    for row in test["by_cover"]:
        relative = "" if row["relative"] is None else f", {100 * row['relative']:+.1f} %"
        out.print(
            f"  true class in {row['specialists']} specialists: {row['n']:,} pictures, {row['right_before']:,} → "
            f"{row['right_after']:,} right{relative}"
        )


def gain(facts: Mapping[str, Any]) -> str:
    """A gain in words, with its interval."""
    if not facts["n"]:
        return "there are none"
    line = f"{percent(facts['before'])} → {percent(facts['after'])} of {facts['n']:,}"
    if facts["relative"] is None:
        return line
    low, high = facts["interval"]
    sure = "" if low > 0 or high < 0 else ", which may be chance"
    return f"{line}, {100 * facts['relative']:+.1f} % relative ({100 * low:+.1f} to {100 * high:+.1f} %{sure})"


def percent(share: float | None) -> str:
    """A share as people read it."""
    return "-" if share is None else f"{100 * share:.1f} %"
