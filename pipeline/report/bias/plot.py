"""A plot of a measure: a lane for each group, with its figure, how far that may be off, and what it is held against.

A lane is drawn in percent of its box, so that the page can lay words beside it on a desk and above it on a phone. What is a
finding is told apart by shape (a filled diamond) and by colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from secondlook.pipeline.core.comparison import Compared, Estimate, Unit, Worse
from secondlook.pipeline.report.bias.words import amount
from secondlook.pipeline.report.charts import rect, svg

LANE_PX = 22
TICKS = 5  # at most, on a scale
STEPS = (1.0, 2.0, 5.0, 10.0)
DIAMOND = "M0 -6.5 L6.5 0 L0 6.5 L-6.5 0Z"
LEFT, RIGHT = "M5 -4 L0 0 L5 4", "M-5 -4 L0 0 L-5 4"  # an interval that goes on beyond the scale


@dataclass(frozen=True)
class Scale:
    """From where to where a plot goes, in the measure's unit, and what is written below it."""

    low: float
    high: float
    ticks: tuple[float, ...]
    unit: Unit

    def place(self, value: float) -> float:
        """Where a value lies, in percent, kept inside."""
        return min(max((value - self.low) / (self.high - self.low), 0.0), 1.0) * 100

    def holds(self, value: float) -> bool:
        """Whether a value lies on the scale."""
        return self.low - 1e-9 <= value <= self.high + 1e-9

    def marks(self) -> list[tuple[float, str]]:
        """Where marks stand, in percent, and what they say."""
        return [(self.place(tick), _mark(tick, self.unit)) for tick in self.ticks]


def _mark(value: float, unit: Unit) -> str:
    if unit == "share":
        return f"{value * 100:.3g} %"
    return amount(value, unit).removesuffix("s").removesuffix(" point") if value else "0"


def scale(groups: Sequence[Compared], unit: Unit) -> Scale:
    """A scale that holds every figure and what it is held against, and the intervals of all but the least certain quarter."""
    values = [value for one in groups for value in (one.figure.value, one.against.value) if not math.isnan(value)]
    ends = sorted(
        (one.figure.interval.high - one.figure.interval.low, one.figure.interval.low, one.figure.interval.high)
        for one in groups
        if not math.isnan(one.figure.interval.high - one.figure.interval.low)
    )
    for _, low, high in ends[: max(math.ceil(len(ends) * 0.75), min(len(ends), 8))]:
        values += [low, high]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if not high > low:
        low, high = low - 0.01, high + 0.01
    step = _step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [at * step for at in range(first, last + 1)]
    return Scale(ticks[0], ticks[-1], tuple(0.0 if abs(tick) < step / 1e6 else tick for tick in ticks), unit)


def _step(span: float) -> float:
    """A round step of which `span` has at most TICKS - 1, rounded outwards."""
    rough = span / (TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * step for step in STEPS if power * step >= rough * (1 - 1e-9))


def lane(one: Compared, on: Scale, worse: Worse, kind: str) -> Markup:
    """A group's lane; kind: found, explained (beyond chance, as its attributes are one by one) or quiet."""
    figure, against = one.figure, on.place(one.against.value) if not math.isnan(one.against.value) else None
    body = Markup("")
    if against is not None:
        if worse == "higher":
            body += rect(against, 0, 100 - against, 100, "harm")
        elif worse == "lower":
            body += rect(0, 0, against, 100, "harm")
        body += Markup('<line class="rest" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="100%"/>').format(against)
    body += _whisker(figure, on, kind)
    if one.pooled is not None and not math.isnan(one.pooled.value):
        body += Markup('<circle class="pooled" cx="{:.2f}%" cy="50%" r="4"/>').format(on.place(one.pooled.value))
    if math.isnan(figure.value):
        return svg(LANE_PX, body, "lane")
    at = on.place(figure.value)
    if kind != "quiet":
        body += Markup('<svg x="{:.2f}%" y="50%" overflow="visible"><path class="{}" d="{}"/></svg>').format(
            at, kind, DIAMOND
        )
    else:
        body += Markup('<circle class="quiet" cx="{:.2f}%" cy="50%" r="4.2"/>').format(at)
    return svg(LANE_PX, body, "lane")


def _whisker(figure: Estimate, on: Scale, kind: str) -> Markup:
    low, high = figure.interval.low, figure.interval.high
    if math.isnan(low) or math.isnan(high):
        return Markup("")
    start, end = on.place(low), on.place(high)
    body = Markup('<line class="reach {}" x1="{:.2f}%" x2="{:.2f}%" y1="50%" y2="50%"/>').format(kind, start, end)
    for value, at, arrow in ((low, start, LEFT), (high, end, RIGHT)):
        if not on.holds(value):
            body += Markup('<svg x="{:.2f}%" y="50%" overflow="visible"><path class="on {}" d="{}"/></svg>').format(
                at, kind, arrow
            )
    return body


def change(before: Estimate, after: Estimate, on: Scale, *, kind: str) -> Markup:
    """A share at two versions: from a hollow dot to a full one; kind: helped, worse or unsure."""
    start, end = on.place(before.value), on.place(after.value)
    body = Markup('<line class="axis" x1="0" x2="100%" y1="50%" y2="50%"/>')
    body += Markup('<line class="reach {}" x1="{:.2f}%" x2="{:.2f}%" y1="50%" y2="50%"/>').format(kind, start, end)
    body += Markup('<circle class="pooled" cx="{:.2f}%" cy="50%" r="4"/>').format(start)
    if kind == "worse":
        body += Markup('<svg x="{:.2f}%" y="50%" overflow="visible"><path class="found" d="{}"/></svg>').format(
            end, DIAMOND
        )
    else:
        body += Markup('<circle class="{}" cx="{:.2f}%" cy="50%" r="4.6"/>').format(kind, end)
    return svg(LANE_PX, body, "lane")


def change_scale(pairs: Sequence[tuple[Estimate, Estimate]]) -> Scale:
    """A scale of shares that holds both versions of all."""
    values = [one.value for pair in pairs for one in pair]
    low, high = min(values), max(values)
    low, high = (low - 0.01, high + 0.01) if high - low < 0.02 else (low, high)
    step = _step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(at * step for at in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], ticks, "share")
