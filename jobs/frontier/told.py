"""What a person sees of a frontier: one table, who pays, who is picked."""

from rich.table import Table
from rich.text import Text

from secondlook.jobs.terminal import console
from secondlook.pipeline.core.frontier import AXES, Frontier, Point
from secondlook.pipeline.report.formats import printable
from secondlook.pipeline.report.frontier import words

LONGEST = 60  # characters of a name from data
LEAST = (
    "64",
    "multiply-adds",
    "parameters",
    "in clusters",
    "attacked",
    "95 %",
    "worst group",
)  # left out first where it is narrow


def lines(frontier: Frontier, sentences: list[str]) -> None:
    """The table of all models, teachers first; notes; the gate; and `sentences` about who was picked."""
    out = console.out()
    has = {axis.name for axis in AXES if any(one.value(axis.name) == one.value(axis.name) for one in frontier.points)}
    hidden: list[str] = []
    table = _table(frontier, has, hidden)
    for heading in (one for one in LEAST if one in _headings(has)):
        if out.measure(table).maximum < out.width:
            break
        hidden.append(heading)
        table = _table(frontier, has, hidden)
    out.print(table)
    if hidden:
        out.print(f"in a wider terminal, with --json and on the page of --output: {', '.join(hidden)}", markup=False)
    out.print(
        f"{frontier.n:,} {frontier.pictures}; * on the frontier; latency of one and of 64 pictures, one thread",
        markup=False,
    )
    for note in frontier.notes:
        console.say(printable(note), style="yellow")
    for told in [words.headline(frontier), *words.gate(frontier), *sentences]:
        out.print(printable(told), markup=False)


def _table(frontier: Frontier, has: set[str], hidden: list[str]) -> Table:
    table = Table(box=None, pad_edge=False)
    shown = [heading not in hidden for heading in _headings(has)]
    for number, heading in enumerate(_headings(has)):
        if shown[number]:
            table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for one in frontier.points:
        cells = zip(_cells(one, has), shown, strict=True)
        table.add_row(*(Text(printable(cell), _style(one)) for cell, there in cells if there))
    return table


def _headings(has: set[str]) -> list[str]:
    optional = {"conditional": "in clusters", "gap": "gap", "robust": "attacked"}
    return [
        "", "right", "95 %", *_of(has, optional, "conditional"), "1", "64", "multiply-adds", "parameters", "file",
        *_of(has, optional, "gap"), *(["worst group"] if "gap" in has else []), "forgotten", *_of(has, optional, "robust"),
    ]  # fmt: skip


def _of(has: set[str], words_of: dict[str, str], name: str) -> list[str]:
    return [words_of[name]] if name in has else []


def _cells(one: Point, has: set[str]) -> list[str]:
    mark = "  (teacher)" if one.role == "teacher" else " *" if one.on_frontier else ""
    shares = {name: words.percent(one.value(name)) for name in ("conditional", "robust")}
    gap = "–" if one.gap is None else f"{one.gap.value * 100:.1f}"
    return [
        one.name + mark, words.percent(one.accuracy.value), words.reach(one.accuracy), *_of(has, shares, "conditional"),
        words.seconds(one.latency.value), words.seconds(one.latency_64.value), words.count(one.madds),
        words.count(one.params), words.count(one.bytes, "B"), *_of(has, {"gap": gap}, "gap"),
        *([_worst(one)] if "gap" in has else []), str(len(one.forgotten)) if one.classes else "–", *_of(has, shares, "robust"),
    ]  # fmt: skip


def _worst(one: Point) -> str:
    worst = one.worst
    if worst is None:
        return "–"
    name = worst.words if len(worst.words) <= LONGEST else worst.words[: LONGEST - 1] + "…"
    return f"{name} {-worst.fall.value * 100:+.1f}".replace("-", "−")


def _style(one: Point) -> str:
    return "red" if one.refused else "dim" if one.role == "teacher" or not one.on_frontier else ""
