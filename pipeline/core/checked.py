"""What a section of the settings is made of: fields with a sentence, a unit and bounds, checked when it is made."""

import dataclasses
from typing import Any

from secondlook.pipeline.core.errors import UserError, unknown


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    number: bool = False,
) -> Any:
    """A field of a section: its default, one sentence about it, its unit, and what is allowed.

    `number`: beside the words of `choices`, a float between `low` and `high` is allowed.
    """
    facts = {"doc": doc, "unit": unit, "low": low, "high": high, "choices": choices, "number": number}
    return dataclasses.field(default=default, metadata=facts)


def _check(section: str, field: dataclasses.Field[Any], value: Any) -> Any:
    name, facts = f"[{section}] {field.name}", field.metadata
    kind = type(field.default)
    if facts["number"] and type(value) is not str:
        kind = float
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise UserError(f"{name} takes a {kind.__name__}, got {value!r}")
    if kind is str and facts["choices"] and value not in facts["choices"]:
        raise unknown(name, str(value), [*facts["choices"], *(["a number"] if facts["number"] else [])])
    if kind is str:
        return value
    low, high = facts["low"], facts["high"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        span = (
            f"from {low:g}" + (f" to {high:g}" if high is not None else " up") if low is not None else f"up to {high:g}"
        )
        raise UserError(f"{name} takes {span}{' ' + facts['unit'] if facts['unit'] else ''}, got {value!r}")
    return value


class Checked:
    """A frozen dataclass whose fields are checked when it is made."""

    section = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, field.name, _check(self.section, field, getattr(self, field.name)))
