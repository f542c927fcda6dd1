"""Values that are numbers or spans of numbers: into bins, and in an order that people expect."""

import math
import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.groups import NOT_SAID

_NUMBER = r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))"
_DASHES = "-\u2013\u2014\u2212"  # hyphen, en dash, em dash, minus
_MORE, _LESS = "over|above|older|more", "under|below|younger|less"
_PATTERNS = tuple(
    (re.compile(pattern, re.IGNORECASE), ends)
    for pattern, ends in (
        (_NUMBER, "both"),
        (rf"{_NUMBER}\s*(?:[{_DASHES}]|to)\s*{_NUMBER}", "span"),
        (rf"(?:(?:more|older|greater) than|over|above|at least|from|>=?|\u2265)\s*{_NUMBER}", "low"),
        (rf"{_NUMBER}\s*(?:\+|(?:and|or) (?:{_MORE}))", "low"),
        (rf"(?:(?:less|younger|fewer) than|under|below|<)\s*{_NUMBER}", "below"),
        (rf"(?:at most|up to|<=|\u2264)\s*{_NUMBER}", "high"),
        (rf"{_NUMBER}\s*(?:and|or) (?:{_LESS})", "high"),
    )
)


@dataclass(frozen=True, order=True)
class Span:
    """From `low` to `high`, as a value says it; an end that it does not say is infinite."""

    low: float
    high: float


def span(value: str) -> Span | None:
    """The number or span of numbers that a value says, such as 31, 20-29, 70+, `more than 70`, <18; None where it is none."""
    text = value.strip()
    for pattern, ends in _PATTERNS:
        found = pattern.fullmatch(text)
        if found is None:
            continue
        numbers = [float(one) for one in found.groups()]
        if ends == "span":
            return Span(*numbers) if numbers[0] <= numbers[1] else None
        if ends == "below":
            return Span(-math.inf, math.nextafter(numbers[0], -math.inf))
        return Span(-math.inf if ends == "high" else numbers[0], math.inf if ends == "low" else numbers[0])
    return None


def in_order(values: Iterable[str]) -> list[str]:
    """Values in the order that people expect: numbers and spans by number, then texts, NOT_SAID last."""
    return sorted(values, key=_place)


def _place(value: str) -> tuple[int, float, float, str, str]:
    said = span(value) if value != NOT_SAID else None
    if said is not None:
        return 0, said.low, said.high, "", value
    return (2 if value == NOT_SAID else 1), 0.0, 0.0, value.casefold(), value


@dataclass(frozen=True)
class Bins:
    """Where groups of a number end: `edges` 18, 30, 50 make <18, 18-29, 30-49, 50+."""

    edges: tuple[float, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The bins in words, from low to high."""
        between = (_named(low, high) for low, high in pairwise(self.edges))
        return (f"<{_text(self.edges[0])}", *between, f"{_text(self.edges[-1])}+")

    def place(self, value: str) -> int | None:
        """The bin of a value; None where it is no number, or a span that reaches over an edge."""
        said = span(value)
        if said is None:
            return None
        low, high = bisect_right(self.edges, said.low), bisect_right(self.edges, said.high)
        return low if low == high else None

    def binned(self, value: str) -> str:
        """The name of a value's bin, NOT_SAID where it has none."""
        at = self.place(value)
        return NOT_SAID if at is None else self.names[at]


def bins(text: str, attribute: str) -> Bins | None:
    """The bins that `[[attributes]] bins` asks for, such as `18,30,50`; None where it asks for none."""
    if not text.strip():
        return None
    try:
        edges = tuple(float(one) for one in text.split(","))
    except ValueError:
        edges = ()
    if not edges or not all(map(math.isfinite, edges)) or any(a >= b for a, b in pairwise(edges)):
        raise UserError(
            f"[[attributes]] bins of {attribute} takes numbers that grow, with commas between, such as 18,30,50; got {text!r}"
        )
    return Bins(edges)


def _text(number: float) -> str:
    return f"{number:g}" if number % 1 else f"{int(number)}"


def _named(low: float, high: float) -> str:
    if low % 1 or high % 1:
        return f"{_text(low)} to <{_text(high)}"
    return _text(low) if high - low == 1 else f"{_text(low)}-{_text(high - 1)}"
