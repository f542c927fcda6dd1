"""What a device has: limits such as `5ms,2MB`, and which student is picked under them."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.frontier import Point

_TIME = {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0}
_SIZE = {"b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2.0**10, "mib": 2.0**20, "gib": 2.0**30}
_COUNT = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
UNITS: Mapping[str, tuple[str, float]] = {
    **{unit: ("latency", factor) for unit, factor in _TIME.items()},
    **{f"{unit}@1": ("latency", factor) for unit, factor in _TIME.items()},
    **{f"{unit}@64": ("latency_64", factor) for unit, factor in _TIME.items()},
    **{unit: ("bytes", factor) for unit, factor in _SIZE.items()},
    **{f"{prefix}madds": ("madds", factor) for prefix, factor in _COUNT.items()},
    **{f"{prefix}params": ("params", factor) for prefix, factor in _COUNT.items()},
}
EXAMPLES = "5ms, 50ms@64 (a batch of 64), 2MB, 20Mmadds or 1Mparams"
_LIMIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([^\d\s]*(?:@[0-9]+)?)")


@dataclass(frozen=True)
class Limit:
    """At most `most` on an axis (seconds, bytes, or a count), as `text` says it."""

    axis: str
    most: float
    text: str


@dataclass(frozen=True)
class Picked:
    """The most accurate student under the limits, the next one, and how many there are; `best` is None where none is.

    `nearest`: of no student under the limits, the one that exceeds them least, and `exceeds`: by which factor at most.
    """

    best: Point | None
    runner_up: Point | None = None
    under: int = 0
    nearest: Point | None = None
    exceeds: float = math.nan


def limits(text: str) -> tuple[Limit, ...]:
    """The limits that a person wrote, with commas between. Raises UserError, in one sentence.

    >>> [(limit.axis, limit.most) for limit in limits("5ms, 2MB,20Mmadds")]
    [('latency', 0.005), ('bytes', 2000000.0), ('madds', 20000000.0)]
    """
    found: dict[str, Limit] = {}
    for part in (part.strip() for part in text.split(",")):
        limit = _limit(part)
        if limit.axis in found:
            raise UserError(f"--under takes one limit of a kind, got {found[limit.axis].text} and {part}")
        found[limit.axis] = limit
    return tuple(found.values())


def _limit(text: str) -> Limit:
    read = _LIMIT.fullmatch(text)
    if read is None:
        raise UserError(f"--under takes limits such as {EXAMPLES}, with commas between, got {text!r}")
    number, unit = float(read[1]), read[2].lower()
    if unit in ("k", "m", "g"):
        raise UserError(
            f"--under {text} may be multiply-adds, parameters or bytes: write {text}madds, {text}params or {text}B"
        )
    if not unit:
        raise UserError(f"--under {text} has no unit: write it such as {EXAMPLES}")
    if unit not in UNITS:
        raise UserError(f"--under {text} has a unit that it does not know; it takes limits such as {EXAMPLES}")
    axis, factor = UNITS[unit]
    if not 0 < number * factor < math.inf:
        raise UserError(f"--under takes limits above 0, got {text!r}")
    return Limit(axis, number * factor, text)


def pick(points: Sequence[Point], under: Sequence[Limit]) -> Picked:
    """The most accurate of the students under all limits; of equally accurate ones the faster, then the smaller, then by name.

    What was not measured is under no limit.
    """
    students = [point for point in points if point.role == "student"]
    fitting = sorted((point for point in students if _excess(point, under) <= 1), key=_order)
    if fitting:
        return Picked(fitting[0], fitting[1] if len(fitting) > 1 else None, len(fitting))
    if not students:
        return Picked(None)
    nearest = min(students, key=lambda point: (_excess(point, under), _order(point)))
    return Picked(None, nearest=nearest, exceeds=_excess(nearest, under))


def _excess(point: Point, under: Sequence[Limit]) -> float:
    """The largest factor by which it is over a limit; at most 1 where it is under all."""
    costs = [point.value(limit.axis) for limit in under]
    return max(
        (math.inf if math.isnan(cost) else cost / limit.most for cost, limit in zip(costs, under, strict=True)),
        default=0.0,
    )


def _order(point: Point) -> tuple[float, float, float, str]:
    seconds, size = (math.inf if math.isnan(its := point.value(axis)) else its for axis in ("latency", "bytes"))
    return -point.accuracy.value, seconds, size, point.name
