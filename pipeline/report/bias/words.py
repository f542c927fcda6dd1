"""What is said of one figure: amounts, groups and findings in plain words, as docs/guide/bias.md speaks of results."""

import math
import re

from secondlook.pipeline.core.comparison import Compared, Estimate, GroupAudit, Measure, Unit
from secondlook.pipeline.core.groups import Group
from secondlook.pipeline.core.statistics import Interval
from secondlook.pipeline.report.bias.shareable import SHARES
from secondlook.pipeline.report.page import clean, percent

TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")  # characters that turn the direction of what stands beside them
LONGEST_NAME = 60


def isolated(text: object, longest: int = LONGEST_NAME) -> str:
    """A name from data inside a sentence of ours: cut, and unable to turn the sentence's direction."""
    return "\N{FIRST STRONG ISOLATE}" + TURNS.sub("", clean(text, longest)) + "\N{POP DIRECTIONAL ISOLATE}"


def valued(value: str, longest: int = LONGEST_NAME) -> str:
    """A value of an attribute, which may be an empty text."""
    return clean(value, longest) or "(empty)"


def group_name(group: Group, estimated: frozenset[str] = frozenset(), longest: int = LONGEST_NAME) -> str:
    """A group as it is called everywhere on the page; an attribute that a model estimated says so."""
    each = max(longest // max(group.depth, 1), 24)
    return ", ".join(
        f"{clean(attribute, each)}{' (estimated)' if attribute in estimated else ''}: {valued(value, each)}"
        for attribute, value in group.values
    )


def points(value: float, *, signed: bool = False) -> str:
    """A difference of shares: `8.7 points`, `−8.7 points`."""
    if math.isnan(value):
        return "–"
    sign = ("−" if value < 0 else "+") if signed and round(abs(value) * 100, 1) else ""
    size = f"{abs(value) * 100:.1f}"
    return f"{sign}{size} {'point' if size == '1.0' else 'points'}"


def bare(value: float, unit: Unit) -> str:
    """A difference without its unit, as in a table: `−8.7`, `+0.21`."""
    if math.isnan(value):
        return "–"
    size = f"{abs(value) * 100:.1f}" if unit != "npmi" else f"{abs(value):.2f}"
    return ("" if not float(size) else "−" if value < 0 else "+") + size


def amount(value: float, unit: Unit) -> str:
    """A figure: `67.8 %` of a share, `+4.2 points`, npmi `+0.21`."""
    if unit == "share":
        return percent(value, 1)
    return points(value, signed=True) if unit == "difference" else bare(value, unit)


def reach(interval: Interval, unit: Unit) -> str:
    """The interval of a figure: `63.1–72.2 %`, `−1.0 to +3.1`."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "–"
    if unit == "share":
        return f"{interval.low * 100:.1f}–{interval.high * 100:.1f} %"
    return apart(interval, unit)


def apart(interval: Interval, unit: Unit) -> str:
    """The interval of a difference: `−13.1 to −4.2`."""
    return f"{bare(interval.low, unit)} to {bare(interval.high, unit)}"


def chance(p: float) -> str:
    """A p as it is read: `< 0.001`, `0.012`, `0.34`."""
    if math.isnan(p):
        return "–"
    if p < 0.001:
        return "< 0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def said_p(p: float) -> str:
    """`adjusted p < 0.001`, `adjusted p = 0.012`."""
    told = chance(p)
    return f"adjusted p {told if told.startswith('<') else '= ' + told}"


def size(one: Compared) -> float:
    """How large a difference is at least, by its interval: 0 where that holds 0."""
    low, high = one.effect.interval.low, one.effect.interval.high
    return max(low, -high, 0.0)


def sentence(measure: Measure, one: Compared, audit: GroupAudit, *, among: bool = True) -> str:
    """A comparison as a whole sentence: what was measured on whom, with how many, how sure. `among`: of which pictures."""
    who = isolated(group_name(one.group, audit.estimated), 2 * LONGEST_NAME)
    if measure.rule == SHARES:
        return _share(one, who)
    unit, begins = measure.unit, f"Among {_told(measure.population)}, one" if among else "One"
    figure, less = one.figure, "less" if one.effect.value < 0 else "more"
    sure = f"{apart(one.effect.interval, unit)}, {said_p(one.adjusted)}"
    if unit == "npmi":
        return (
            f"{begins} of {who} {_told(measure.outcome)} {less} often than chance would have it: "
            f"npmi {bare(figure.value, unit)} ({sure}, n = {one.n:,})."
        )
    if unit == "difference":
        return (
            f"{_told(measure.title)}: {amount(figure.value, unit)} for {who} ({reach(figure.interval, unit)}, n = {one.n:,}), "
            f"{amount(one.against.value, unit)} for the others; {points(one.effect.value)} {less} ({sure})."
        )
    corrected = ", corrected for the errors of who said it" if one.corrected else ""
    return (
        f"{begins} of {who} {_told(measure.outcome)} in {amount(figure.value, unit)} of cases ({reach(figure.interval, unit)}, "
        f"n = {one.n:,}{corrected}), one of the others in {amount(one.against.value, unit)}: {points(one.effect.value)} {less} ({sure})."
    )


def _told(text: str) -> str:
    """Words of a measure, which may hold the name of a class."""
    return TURNS.sub("", clean(text, 200))


def _share(one: Compared, who: str) -> str:
    lacks = ""
    if one.missing is not None and not math.isnan(one.missing) and abs(one.missing) >= 1:
        n = abs(round(one.missing))
        lacks = f"; {n:,} {'picture is' if n == 1 else 'pictures are'} {'missing' if one.missing > 0 else 'more than its share'}"
    return (
        f"{who} has {amount(one.raw.value, 'share')} of the pictures ({reach(one.raw.interval, 'share')}, {round(one.k):,} of {one.n:,}), "
        f"where the reference says {amount(one.against.value, 'share')}: {points(one.effect.value)} "
        f"{'less' if one.effect.value < 0 else 'more'} ({apart(one.effect.interval, 'share')}, {said_p(one.adjusted)}){lacks}."
    )


def seen(measure: Measure, groups: list[Compared], power: float) -> str:
    """What gap this many pictures would have shown: the power statement of a measure; "" where nobody knows."""
    known = sorted(one.smallest_gap for one in groups if not math.isnan(one.smallest_gap))
    blind = len(groups) - len(known)
    if not known:
        return "" if measure.unit == "npmi" else "No gap, however large, would have been likely to show with so few."
    low, high = (points(value) if measure.unit != "npmi" else f"npmi {value:.2f}" for value in (known[0], known[-1]))
    span = f"{low} or more" if low == high else f"{low} or more for the largest group, {high} for the smallest"
    told = f"A gap would have been seen with {percent(power, 0)} power from {span}"
    return told + (f"; for {blind:,} of {len(groups):,} groups none would." if blind else ".")


def estimate(one: Estimate | None, unit: Unit) -> str:
    """A figure with its interval: `67.8 % (63.1–72.2 %)`."""
    return "–" if one is None else f"{amount(one.value, unit)} ({reach(one.interval, unit)})"
