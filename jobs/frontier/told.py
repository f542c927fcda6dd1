"""What a person sees of a frontier: one table, who pays, who is picked."""

from rich.table import Table
from rich.text import Text

from secondlook.jobs.terminal import console
from secondlook.pipeline.core.frontier import AXES, Frontier, Point
from secondlook.pipeline.report.formats import printable
from secondlook.pipeline.report.frontier import words

LONGEST = 60  # characters of a name from data


def lines(frontier: Frontier, sentences: list[str]) -> None:
    """The table of all models, teachers first; notes; the gate; and `sentences` about who was picked."""
    out = console.out()
    has = {axis.name for axis in AXES if any(one.value(axis.name) == one.value(axis.name) for one in frontier.points)}
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(_headings(has)):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for one in frontier.points:
        table.add_row(*(Text(printable(cell), _style(one)) for cell in _cells(one, has)))
    out.print(table)
    out.print(
        f"{frontier.n:,} {frontier.pictures}; * on the frontier; latency of one and of 64 pictures, one thread",
        markup=False,
    )
    for note in frontier.notes:
        console.say(printable(note), style="yellow")
    for told in [words.headline(frontier), *words.gate(frontier), *sentences]:
        out.print(printable(told), markup=False)


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
