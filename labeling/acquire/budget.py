"""What a batch may cost: pictures, a person's time, or money at a price an hour.

`500` are pictures, `90s`, `30m` and `2h` a person's time, `20 USD` (or `$20`) money.
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from secondlook.pipeline.core.errors import UserError

MOST = 10_000_000  # pictures, or seconds, of one batch: what is above is a slip of the finger
SECONDS = {"s": 1, "sec": 1, "min": 60, "m": 60, "h": 3600}
SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
SHAPE = re.compile(r"([$€£¥])? ?([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([A-Za-z]{1,12}|[$€£¥])?")
FORMS = "--budget takes pictures (500), time (90s, 30m, 2h) or money (20 USD)"


@dataclass(frozen=True)
class Budget:
    """So many `amount`: "pictures", "seconds" of people's time, or a currency's units (`kind` is then "money")."""

    amount: float
    kind: Literal["pictures", "seconds", "money"] = "pictures"
    currency: str = ""

    def __str__(self) -> str:
        """As it is said: 500 pictures, 30 minutes, 20 USD."""
        if self.kind == "money":
            return f"{self.amount:g} {self.currency}"
        if self.kind == "pictures":
            return f"{self.amount:,.0f} picture{'s' * (self.amount != 1)}"
        return told_time(self.amount)


@dataclass(frozen=True)
class Limit:
    """What a batch is filled to: `pictures`, or `seconds` of people's time; the other is None."""

    pictures: int | None = None
    seconds: float | None = None


def parse(text: str) -> Budget:
    """A budget as somebody writes it. Raises UserError for what is no number above 0, or has an unknown unit.

    >>> parse("500"), parse("1.5h").amount, parse("$20").currency
    (Budget(amount=500.0, kind='pictures', currency=''), 5400.0, 'USD')
    >>> parse("3 weeks")
    Traceback (most recent call last):
    secondlook.pipeline.core.errors.UserError: unknown unit 'weeks' in '3 weeks'; --budget takes pictures (500), time (90s, 30m, 2h) or money (20 USD)
    """
    shown = text if len(text) <= 40 else text[:40] + "…"
    match = SHAPE.fullmatch(text.strip())
    if match is None:
        raise UserError(f"{FORMS}, got {shown!r}")
    before, number, after = match.groups()
    amount = float(number)
    if before and after:
        raise UserError(f"{FORMS}, got two units in {shown!r}")
    unit = before or after or ""
    if not 0 < amount <= MOST:
        raise UserError(f"{FORMS}, above 0 and up to {MOST:,}, got {shown!r}")
    if unit.lower() in SECONDS:
        seconds = amount * SECONDS[unit.lower()]
        if seconds > MOST:
            raise UserError(f"{FORMS}, up to {told_time(MOST)}, got {shown!r}")
        return Budget(seconds, "seconds")
    if unit in SYMBOLS or re.fullmatch("[A-Z]{3}", unit):
        return Budget(amount, "money", SYMBOLS.get(unit, unit))
    if unit:
        raise UserError(f"unknown unit {unit!r} in {shown!r}; {FORMS}")
    if amount != math.floor(amount):
        raise UserError(f"pictures are whole, got {shown!r}; {FORMS}")
    return Budget(amount)


def limit(budget: Budget, *, price_per_hour: float, currency: str) -> Limit:
    """What a batch is filled to, money through the price of an hour.

    Raises UserError where there is no price, or another currency.
    """
    if budget.kind == "pictures":
        return Limit(pictures=int(budget.amount))
    if budget.kind == "seconds":
        return Limit(seconds=budget.amount)
    if not price_per_hour:
        raise UserError(f"a budget of {budget} needs the price of an hour: set [review] price_per_hour and currency")
    if budget.currency != currency:
        raise UserError(f"the budget is in {budget.currency}, and [review] price_per_hour in {currency}")
    return Limit(seconds=budget.amount / price_per_hour * 3600)


def told_time(seconds: float) -> str:
    """A time in the unit that people would say it in.

    >>> told_time(40), told_time(1800), told_time(9000)
    ('40 seconds', '30 minutes', '2.5 hours')
    """
    for size, unit in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0) or size == 1:
            value = round(seconds / size, 1)
            return f"{value:,g} {unit}{'s' * (value != 1)}"
    raise AssertionError("the smallest unit fits all")
