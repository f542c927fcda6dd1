"""What shares groups are held against: equal ones, or those that a table gives (a census, a target market)."""

import csv
import io
import math
from collections.abc import Mapping

from secondlook.pipeline.bias.grouping import Grouping
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.groups import NOT_SAID

UNIFORM = "uniform"
COLUMNS = ("attribute", "value", "share")
ROUNDING = 0.005  # by which each share may be rounded: two decimals

Shares = dict[str, dict[str, float]]


def shares(grouping: Grouping, text_or_uniform: str) -> Shares:
    """attribute → value → share, adding up to 1 over the values of an attribute but NOT_SAID.

    `uniform`: all values the same share. Else the text of a CSV with COLUMNS: shares that add up to 1, percents that add up
    to 100, or whole counts. Attributes that the table leaves out have no reference. Raises UserError, in a sentence, for
    an unknown attribute or value, a value of the data that is left out, and numbers that are no shares. Of attributes that are
    there and not compared nothing is asked.
    """
    said = {
        name: [one for one in its if one != NOT_SAID]
        for name, its in zip(grouping.attributes, grouping.values, strict=True)
    }
    if text_or_uniform == UNIFORM:
        return {name: dict.fromkeys(its, 1 / len(its)) for name, its in said.items() if its}
    given = {name: its for name, its in read(text_or_uniform).items() if name not in grouping.left_out}
    for name, its in given.items():
        if name not in said:
            raise unknown("attribute in the reference of shares", name, said)
        if left_out := [value for value in said[name] if value not in its]:
            strange = [value for value in its if value not in said[name]]
            beside = f"; it has {_listed(strange)}, which no picture has" if strange else ""
            raise UserError(
                f"the reference has no share of {name} for {_listed(left_out)}, which pictures have{beside}; "
                "give every value a share, 0 where there should be none"
            )
        for value in its:
            if value not in said[name]:
                raise unknown(f"value of {name} in the reference of shares", value, said[name])
    return {name: _normalised(name, given[name]) for name in said if name in given}


def read(text: str) -> Shares:
    """What the text of a reference says, attribute → value → number, as it stands there; see `shares`."""
    try:
        return _read(text)
    except csv.Error as problem:
        raise UserError(f"the reference of shares can't be read as CSV: {problem}") from None


def _read(text: str) -> Shares:
    rows = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    names = [name.strip() for name in rows.fieldnames or ()]
    if missing := [name for name in COLUMNS if name not in names]:
        raise UserError(
            f"the reference of shares needs the columns attribute, value, share; it lacks {', '.join(missing)}"
        )
    rows.fieldnames = names
    given: Shares = {}
    for row in rows:
        line = f"line {rows.line_num} of the reference of shares"
        attribute, value, share = ((row[name] or "").strip() for name in COLUMNS)
        if not attribute or not value:
            raise UserError(f"{line} names no {'value' if attribute else 'attribute'}")
        if value in given.setdefault(attribute, {}):
            raise UserError(f"{line} gives {attribute} {value} a second share")
        given[attribute][value] = _number(share, line)
    if not given:
        raise UserError("the reference of shares has no rows")
    return given


def _number(text: str, line: str) -> float:
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise UserError(f"{line}: a share is a number from 0 up, got {text!r}")
    return number


def _normalised(name: str, given: Mapping[str, float]) -> dict[str, float]:
    total, counts = sum(given.values()), all(share % 1 == 0 for share in given.values())
    rounded = ROUNDING * len(given)
    if not total or not (abs(total - 1) <= rounded or abs(total - 100) <= 100 * rounded or (counts and total > 1)):
        raise UserError(
            f"the shares of {name} in the reference add up to {total:g}; shares add up to 1, or give percents or whole counts"
        )
    return {value: share / total for value, share in given.items()}


def _listed(values: list[str]) -> str:
    return ", ".join(map(repr, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
