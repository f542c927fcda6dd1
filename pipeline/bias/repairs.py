"""Values that a spreadsheet, a hand or an export has mangled: recognized, and what each was, with the rule that says so.

Nothing here is applied: what is proposed is shown to people with its rule, and they decide.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from secondlook.pipeline.bias.binning import Span, span
from secondlook.pipeline.core.groups import NOT_SAID

RULES: Mapping[str, str] = {
    "not-said": "a way to write that nothing is known",
    "whitespace": "spaces around it or in a row, and signs that nobody sees",
    "dash": "another sign for the dash",
    "case": "upper and lower case, as most pictures have it",
    "spreadsheet-date": "a spreadsheet took a span of numbers for a date",
}
MISSING = frozenset(
    ("", "-", "--", "?", "n/a", "na", "nan", "null", "nil", "none", "unknown", "undefined", "not available", "missing",
     "not specified", "not said", "unspecified", "#n/a", "(none)", "<na>")
)  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = "(" + "|".join(_MONTHS) + ")[a-z]*"
_DAY_MONTH = re.compile(rf"(\d{{1,2}})[-. /]\s*{_MONTH}", re.IGNORECASE)
_MONTH_NUMBER = re.compile(rf"{_MONTH}[-. /]\s*(\d{{2}}|\d{{4}})", re.IGNORECASE)
_FULL = re.compile(r"\d{2}(\d{2})-(\d{2})-(\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?")
_DASHES = re.compile("[\u2010-\u2015\u2212]")
_SPACES = re.compile(r"[\s\u200b\u2060\ufeff]+")
MOST_READINGS = 4096  # combinations of what dates may have been that are tried


@dataclass(frozen=True)
class Proposal:
    """`value` was `into` (NOT_SAID: it says nothing), by a rule of RULES, or several joined by +; of so many pictures."""

    value: str
    into: str
    rule: str
    pictures: int


@dataclass(frozen=True)
class Proposed:
    """What is proposed for one attribute, in the order of its values, and in sentences what looks mangled but is not clear."""

    repairs: tuple[Proposal, ...] = ()
    doubts: tuple[str, ...] = ()


def propose(counts: Mapping[str, int]) -> Proposed:
    """What the values of an attribute were, by their numbers of pictures. Nothing is proposed where it is ambiguous."""
    means: dict[str, tuple[str, tuple[str, ...]]] = {value: (value, ()) for value in counts}
    doubts: list[str] = []
    steps: tuple[tuple[str, Callable[[Mapping[str, int]], tuple[dict[str, str], list[str]]]], ...] = (
        ("whitespace", _spaces), ("not-said", _missing), ("dash", _dashes), ("case", _cases), ("spreadsheet-date", _dates),
    )  # fmt: skip
    for rule, step in steps:
        now: dict[str, int] = {}
        for value, n in counts.items():
            now[means[value][0]] = now.get(means[value][0], 0) + n
        now.pop(NOT_SAID, None)
        into, said = step(now)
        doubts += said
        means = {
            value: (into[at], (*rules, rule)) if into.get(at, at) != at else (at, rules)
            for value, (at, rules) in means.items()
        }
    found = (Proposal(value, into, "+".join(rules), counts[value]) for value, (into, rules) in means.items() if rules)
    return Proposed(tuple(sorted(found, key=lambda one: (-one.pictures, one.value))), tuple(doubts))


def _spaces(counts: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
    return {value: _SPACES.sub(" ", value).strip() for value in counts}, []


def _missing(counts: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
    found = {value: NOT_SAID for value in counts if value.casefold() in MISSING}
    others = [value for value in counts if value not in found]
    codes = len(others) > 1 and all(len(value) == 2 and value.isalpha() and value.isupper() for value in others)
    if codes and "NA" in found:  # Namibia, North America
        del found["NA"]
        return found, ["'NA' may be a code like the others, or say that nothing is known: `--set` decides"]
    return found, []


def _dashes(counts: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
    """Only between numbers, or where the same value is there with a plain dash."""
    plain = {value: _DASHES.sub("-", value) for value in counts}
    return {value: one for value, one in plain.items() if one in counts or span(value) is not None}, []


def _cases(counts: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
    spellings: dict[str, list[str]] = {}
    for value in counts:
        spellings.setdefault(unicodedata.normalize("NFKC", value).casefold(), []).append(value)
    best = {folded: min(its, key=lambda one: (-counts[one], one)) for folded, its in spellings.items()}
    return {value: best[folded] for folded, its in spellings.items() for value in its}, []


# Dates that were spans


def _dates(counts: Mapping[str, int]) -> tuple[dict[str, str], list[str]]:
    """Dates that were spans of numbers, where the other values tell how they are to be read.

    A spreadsheet reads 3-9 as a day and a month, in the order of its country, and 10-19 as a month and a year. So a date may
    have been several spans. One reading is proposed where it alone makes spans that go on from the column's other spans
    without a gap and without overlap.
    """
    readings = {value: its for value in counts if (its := _readings(value))}
    others = [said for value in counts if value not in readings and (said := span(value)) is not None]
    if not readings:
        return {}, []
    names = ", ".join(map(repr, list(readings)[:5]))
    if not others:
        return {}, [
            f"{names}: dates, or spans of numbers that a spreadsheet took for dates; no other value is a span that could tell"
        ]
    if math.prod(map(len, readings.values())) > MOST_READINGS:
        return {}, [f"{names}: too many dates to tell what they were"]
    fitting = [
        dict(zip(readings, chosen, strict=True)) for chosen in product(*readings.values()) if _tiles(chosen, others)
    ]
    if len(fitting) == 1:
        return fitting[0], []
    why = (
        "they fit the other values in several ways"
        if fitting
        else "no span that they may have been fits the other values"
    )
    return {}, [f"{names}: dates, which a spreadsheet may have made of spans of numbers, but {why}"]


def _readings(value: str) -> tuple[str, ...]:
    """The spans of numbers that a date may have been; none where it is no date."""
    text = value.strip()
    if found := _DAY_MONTH.fullmatch(text):
        day, month = int(found[1]), _month(found[2])
        return _spans((day, month), (month, day))
    if found := _MONTH_NUMBER.fullmatch(text):
        month, number = _month(found[1]), int(found[2])
        return _spans((month, number))
    if found := _FULL.fullmatch(text):
        year, month, day = (int(part) for part in found.groups())
        pairs = [(day, month), (month, day), *([(month, year)] if day == 1 else [])]
        return _spans(*pairs)
    return ()


def _month(text: str) -> int:
    return _MONTHS.index(text[:3].casefold()) + 1


def _spans(*pairs: tuple[int, int]) -> tuple[str, ...]:
    """Spans from low to high, each once; of the rest, none was one."""
    return tuple(dict.fromkeys(f"{low}-{high}" for low, high in pairs if low <= high))


def _tiles(chosen: Sequence[str], others: Sequence[Span]) -> bool:
    """Whether spans overlap neither one another nor the others, and each is in a row without gaps that one of the others is in.

    Spans that share an end, such as 3-9 and 9-20, don't overlap.
    """
    mine = [its for value in chosen if (its := span(value)) is not None]
    everything = [*mine, *others]
    for at, one in enumerate(mine):
        if any(_overlap(one, other) for place, other in enumerate(everything) if place != at):
            return False
    runs: list[list[Span]] = []
    for one in sorted(everything):
        if not runs or one.low > max(its.high for its in runs[-1]) + 1:
            runs.append([])
        runs[-1].append(one)
    return all(any(one in others for one in run) for run in runs)


def _overlap(one: Span, other: Span) -> bool:
    low, high = max(one.low, other.low), min(one.high, other.high)
    return low < high or (low == high and (one.low == one.high or other.low == other.high))
