"""The picture of a frontier: accuracy against latency, as inline SVG in percent of its box, so that it fits a phone and a desk."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from secondlook.pipeline.core.frontier import Fall, Point
from secondlook.pipeline.report.charts import svg
from secondlook.pipeline.report.frontier.words import percent, seconds

HEIGHT_PX = 420
LEFT, RIGHT, TOP, BOTTOM = 9.0, 96.0, 4.0, 91.0  # of the box, in percent: what is left of it are the axes' words
SMALLEST_PX, LARGEST_PX = 9.0, 20.0  # radius of a dot: its area grows with the bytes …
TEACHER_PX = 13.0  # … but for a teacher, which may have none
TICKS = 5


@dataclass(frozen=True)
class Scale:
    """From a figure to percent of the box; `log`: each step multiplies."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Where a figure lies."""
        low, high, at = (math.log(its) if self.log else its for its in (self.low, self.high, value))
        return self.start + (self.end - self.start) * ((at - low) / (high - low) if high > low else 0.5)


def picture(points: Sequence[Point], numbers: Sequence[int], line: Sequence[int], picked: str = "") -> Markup:
    """Accuracy up, latency (log) to the right, dots as large as the bytes, with the numbers that the table has.

    line: places of the points that the line goes through. A dot of a refused student is hollow and red, that of a teacher a ring.
    """
    drawn = [one for one in points if not math.isnan(one.latency.value)]
    across = _across([one.latency.value for one in drawn])
    up = _up([end for one in drawn for end in (one.accuracy.interval.low, one.accuracy.interval.high)])
    largest = max((_bytes(one) for one in drawn if one.role == "student"), default=0.0) or 1.0
    body = _axes(across, up) + _stairs([points[place] for place in line], across, up)
    for one, number in sorted(zip(points, numbers, strict=True), key=lambda its: -_bytes(its[0])):
        if one in drawn:
            body += _dot(one, number, across, up, largest, one.name == picked)
    label = f"Accuracy against latency of {len(drawn)} models; the same figures stand in the table below"
    return svg(HEIGHT_PX, body, "frontier", label)


def falls(one: Fall, most: float, margin: float) -> Markup:
    """How far a group fell, with its interval, on a scale from -most to most; beyond the margin is shaded."""
    across = Scale(-most, most, 0.0, 100.0)
    low, high, at = (
        min(max(across(value), 0.0), 100.0) for value in (one.fall.interval.low, one.fall.interval.high, one.fall.value)
    )
    edge = min(across(margin), 100.0)
    body = _line(0, 50, 100, 50, "axis") + _rect(edge, 100 - edge, "harm") + _line(50, 0, 50, 100, "rest")
    kind = "found" if one.fall.interval.low > margin else "quiet"
    body += _line(low, 50, high, 50, f"reach {kind}")
    body += Markup('<circle class="{}" cx="{:.2f}%" cy="50%" r="4.2"/>').format(kind, at)
    return svg(18, body, "fall")


def _bytes(one: Point) -> float:
    return 0.0 if math.isnan(one.bytes) else one.bytes


def _across(values: Sequence[float]) -> Scale:
    low, high = (min(values, default=1e-3), max(values, default=1e-2))
    room = max((high / low) ** 0.08, 1.15)
    return Scale(low / room, high * room, LEFT, RIGHT, log=True)


def _up(values: Sequence[float]) -> Scale:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max((high - low) * 0.06, 0.005)
    return Scale(max(low - room, 0.0), min(high + room, 1.0), BOTTOM, TOP)


def _axes(across: Scale, up: Scale) -> Markup:
    body = _line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")
    for value in _even(up.low, up.high):
        at = up(value)
        body += _line(LEFT, at, RIGHT, at, "grid")
        body += Markup('<text class="tick" x="{:.2f}%" y="{:.2f}%" dx="-6" dy="4" text-anchor="end">{}</text>').format(
            LEFT, at, f"{value * 100:.3g}"
        )
    for value in _round(across.low, across.high):
        at = across(value)
        body += _line(at, BOTTOM, at, BOTTOM + 1.2, "axis")
        body += Markup('<text class="tick" x="{:.2f}%" y="{:.2f}%" dy="18" text-anchor="middle">{}</text>').format(
            at, BOTTOM + 1, seconds(value)
        )
    return body


def _even(low: float, high: float) -> list[float]:
    """Round figures between two ends, at most some five."""
    raw = (high - low) / TICKS
    if raw <= 0:
        return [low]
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
    first = math.ceil(low / step)
    return [step * k for k in range(first, math.floor(high / step) + 1)]


def _round(low: float, high: float) -> list[float]:
    """1, 2, 5, 10, 20 … between two ends; fewer where they would be many."""
    found = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
        if low <= factor * 10.0**power <= high
    ]
    return found if len(found) <= TICKS else [value for value in found if f"{value:e}"[0] == "1"]


def _stairs(on: Sequence[Point], across: Scale, up: Scale) -> Markup:
    """What is the most accurate up to each latency."""
    body = Markup("")
    corners = [(across(one.latency.value), up(one.accuracy.value)) for one in on]
    for (x, y), (end, higher) in pairwise(corners):
        body += _line(x, y, end, y, "stair") + _line(end, y, end, higher, "stair")
    if corners:
        body += _line(*corners[-1], RIGHT, corners[-1][1], "stair")
    return body


def _dot(one: Point, number: int, across: Scale, up: Scale, largest: float, picked: bool) -> Markup:
    x, y = across(one.latency.value), up(one.accuracy.value)
    radius = max(SMALLEST_PX, LARGEST_PX * math.sqrt(_bytes(one) / largest)) if one.role == "student" else TEACHER_PX
    kind = (
        "teacher"
        if one.role == "teacher"
        else "picked"
        if picked
        else "refused"
        if one.refused
        else "on"
        if one.on_frontier
        else "off"
    )
    told = f"{number}: {one.name}, {percent(one.accuracy.value)}, {seconds(one.latency.value)}"
    body = _line(x, up(one.accuracy.interval.low), x, up(one.accuracy.interval.high), f"spread {kind}")
    body += Markup('<circle class="dot {}" cx="{:.2f}%" cy="{:.2f}%" r="{:.1f}"><title>{}</title></circle>').format(
        kind, x, y, radius, told
    )
    return body + Markup('<text class="name {}" x="{:.2f}%" y="{:.2f}%" dy="4" text-anchor="middle">{}</text>').format(
        kind, x, y, number
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return Markup('<line class="{}" x1="{:.2f}%" y1="{:.2f}%" x2="{:.2f}%" y2="{:.2f}%"/>').format(kind, x1, y1, x2, y2)


def _rect(x: float, width: float, kind: str) -> Markup:
    return Markup('<rect class="{}" x="{:.2f}%" y="0" width="{:.2f}%" height="100%"/>').format(kind, x, width)
