"""Facts of a frontier → one self-contained HTML page, in the frame of the other reports: no script, nothing loaded."""

import functools
from collections.abc import Sequence

import jinja2

from secondlook.pipeline.core.frontier import AXES, Frontier, Point, line
from secondlook.pipeline.report.frontier import chart, words
from secondlook.pipeline.report.page import environment

MOST_GROUPS = 8  # of a student that are drawn, those that fell furthest
MOST_CLASSES = 12  # that a student forgot and that are listed
MOST_STUDENTS = 40  # whose groups are drawn


@functools.cache
def _environment() -> jinja2.Environment:
    made = environment().overlay()
    made.filters = made.filters | {
        "seconds": words.seconds,
        "count": words.count,
        "share": words.percent,
        "within": words.reach,
        "points_of": words.points,
        "called": words.title,
        "beaten": words.beaten,
        "fell": words.fell,
    }
    made.globals = made.globals | {"fall_of": chart.falls}
    return made


def render(frontier: Frontier, told: Sequence[str] = (), picked: str = "") -> str:
    """The whole page; the same facts give the same text. told: sentences about who was picked; picked: its name."""
    points = sorted(frontier.points, key=_order)
    numbers = {one.name: number for number, one in enumerate(points, 1)}
    students = [one for one in points if one.role == "student"]
    places = line([one.latency.value for one in students], [one.accuracy.value for one in students])
    on_line = [points.index(students[place]) for place in places]
    shown = [one for one in students if one.groups][:MOST_STUDENTS]
    return (
        _environment()
        .get_template("frontier.html")
        .render(
            facts=frontier,
            points=points,
            students=students,
            numbers=numbers,
            headline=words.headline(frontier),
            told=told,
            refused=[one for one in students if one.refused],
            picture=chart.picture(points, list(numbers.values()), on_line, picked),
            picked=picked,
            has=_measured(points),
            groups=[(one, sorted(one.groups, key=lambda its: -its.fall.value)[:MOST_GROUPS]) for one in shown],
            most=_most(shown, frontier.margin),
            forgetful=[(one, one.forgotten[:MOST_CLASSES]) for one in students if one.forgotten],
            settings=_settings(frontier),
        )
    )


def _order(point: Point) -> tuple[bool, float, float, str]:
    return (point.role != "teacher", -point.accuracy.value, point.latency.value, point.name)


def _measured(points: Sequence[Point]) -> dict[str, bool]:
    """Of each axis whether it was measured of anybody: columns of nothing are left out."""
    return {axis.name: any(one.value(axis.name) == one.value(axis.name) for one in points) for axis in AXES}


def _most(students: Sequence[Point], margin: float) -> float:
    """How far the drawing of falls reaches to each side."""
    ends = [
        abs(end) for one in students for its in one.groups for end in (its.fall.interval.low, its.fall.interval.high)
    ]
    return min(max([*ends, 2 * margin, 0.05]), 1.0)


def _settings(frontier: Frontier) -> dict[str, str]:
    machine = frontier.machine
    return {
        "pictures": f"{frontier.n:,} {frontier.pictures}",
        "latency": f"median of {frontier.rounds} rounds in which all take turns, ONNX Runtime, one thread",
        "attack": f"FGSM and PGD, up to {frontier.attack:g} of 255, {frontier.attacked:,} pictures"
        if frontier.attacked
        else "none",
        "refused from": f"a fall of a group of more than {frontier.margin * 100:g} points, surely",
        "forgotten from": f"a fall of a class of more than {frontier.forgot * 100:g} points, surely",
        "seed": str(frontier.seed),
        "measured": f"version {frontier.read_version}, {frontier.created[:16].replace('T', ' ')} UTC",
        "machine": ", ".join(f"{name} {value}" for name, value in machine.items()) or "–",
        "commit": frontier.commit or "–",
    }
