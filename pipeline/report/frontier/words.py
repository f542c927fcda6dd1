"""Figures of a frontier in words, the same on the terminal and on the page."""

import math
from collections.abc import Sequence

from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.frontier import AXES, Fall, Frontier, Point

MOST_NAMED = 3  # classes or students that a sentence names


def seconds(value: float) -> str:
    """A latency: 240 µs, 3.1 ms, 1.2 s.

    >>> seconds(0.00024), seconds(0.00314), seconds(1.234), seconds(float("nan"))
    ('240 µs', '3.14 ms', '1.23 s', '–')
    """
    if math.isnan(value):
        return "–"
    factor, unit = (1e6, "µs") if value < 1e-3 else (1e3, "ms") if value < 1 else (1.0, "s")
    return f"{value * factor:.3g} {unit}"


def count(value: float, unit: str = "") -> str:
    """A count or a size with three digits: 1.23 M, 45 k, 980; `unit` stands at its end.

    >>> count(1_234_567), count(45_000, "B"), count(980, "B"), count(float("nan"))
    ('1.23 M', '45 kB', '980 B', '–')
    """
    if math.isnan(value):
        return "–"
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor * 0.9995:
            return f"{value / factor:.3g} {letter}{unit}"
    return f"{value:.0f} {unit}".strip()


def percent(value: float) -> str:
    """A share with one digit: 91.2 %."""
    return "–" if math.isnan(value) else f"{value * 100:.1f} %"


def reach(its: Estimate, scale: float = 100.0) -> str:
    """Where a share or a difference of shares lies, in percent or points: 90.1 to 92.3."""
    return f"{its.interval.low * scale:.1f} to {its.interval.high * scale:.1f}".replace("-", "−")


def points(value: float) -> str:
    """A difference of shares without its sign: 1.2 points."""
    return f"{abs(value) * 100:.1f} points"


def title(point: Point) -> str:
    """What it is, in short: mobilenet-v1:0.5, 32 px, int8."""
    return ", ".join(
        [
            point.net,
            *([f"{point.image_px} px"] if point.image_px else []),
            *([point.numbers] if point.numbers != "float32" else []),
        ]
    )


def fell(one: Fall) -> str:
    """A group or class that fell: `race Indian: 81.0 % → 74.0 %, 7.0 points (2.1 to 12.0), n = 240`."""
    return (
        f"{one.words}: {percent(one.teacher.value)} → {percent(one.student.value)}, {points(one.fall.value)} "
        f"{'less' if one.fall.value >= 0 else 'more'} ({reach(one.fall)}), n = {one.n:,}"
    )


def picked(best: Point | None, limits: Sequence[str], nearest: Point | None = None, exceeds: float = math.nan) -> str:
    """Who is picked under the limits, or that nobody is and who comes nearest."""
    under = ", ".join(limits)
    if best is not None:
        return (
            f"under {under}: {best.name}, {percent(best.accuracy.value)} right ({reach(best.accuracy)}), "
            f"{seconds(best.latency.value)}, {count(best.bytes, 'B')}"
        )
    if nearest is None or math.isinf(exceeds):
        return f"no student is under {under}"
    return f"no student is under {under}; {nearest.name} comes nearest, at {exceeds:.3g} times what a limit allows"


def runner_up(best: Point, other: Point) -> str:
    """What the next one would have given: its accuracy beside the picked one's, and its costs."""
    less = best.against.get(other.name)
    if less is None or less.value == 0:
        accuracy = "as accurate"
    else:
        sure = "" if less.interval.low > 0 else ", which may be chance"
        accuracy = f"{points(less.value)} less accurate ({reach(less)}){sure}"
    costs = [
        f"{_times(other.value(axis), best.value(axis))} {word}"
        for axis, word in (("latency", "the latency"), ("bytes", "the bytes"))
        if best.value(axis) > 0 and not math.isnan(other.value(axis))
    ]
    return (
        f"the next is {other.name}: {accuracy}; {', '.join(costs)}"
        if costs
        else f"the next is {other.name}: {accuracy}"
    )


def _times(one: float, other: float) -> str:
    return f"{one / other:.2g} ×"


def gate(frontier: Frontier) -> list[str]:
    """Who is refused, and why; a sentence each."""
    return [f"{one.name} is refused: {one.refused}" for one in frontier.students if one.refused]


def forgot(point: Point) -> str:
    """The classes that a student forgot: how many, and the first of them; "" where it forgot none."""
    if not point.forgotten:
        return ""
    named = ", ".join(one.name for one in point.forgotten[:MOST_NAMED])
    more = len(point.forgotten) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def beaten(point: Point) -> str:
    """By whom it is beaten, and where surely; "" on the frontier."""
    if point.on_frontier:
        return ""
    first = point.better[0]
    words = {axis.name: axis.words for axis in AXES}
    others = f", and by {len(point.better) - 1} more" if len(point.better) > 1 else ""
    return (
        f"{first.name} is nowhere worse and surely better in {_listed([words[name] for name in first.surely])}{others}"
    )


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def headline(frontier: Frontier) -> str:
    """How many students there are, how many are on the frontier, and how many are refused, in a sentence."""
    students = frontier.students
    on = sum(one.on_frontier for one in students)
    refused = sum(bool(one.refused) for one in students)
    told = f"{on} of {len(students)} students {'are' if on != 1 else 'is'} on the frontier"
    return told + (f", {refused} {'are' if refused != 1 else 'is'} refused" if refused else "")
