"""What a batch may cost: everything that people write is understood or refused in one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.labeling.acquire.budget import Budget, limit, parse, told_time
from secondlook.pipeline.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "amount", "kind", "currency"),
    [
        ("500", 500, "pictures", ""),
        (" 500 ", 500, "pictures", ""),
        ("90s", 90, "seconds", ""),
        ("30m", 1800, "seconds", ""),
        ("30 min", 1800, "seconds", ""),
        ("2H", 7200, "seconds", ""),
        ("0.5h", 1800, "seconds", ""),
        ("20 USD", 20, "money", "USD"),
        ("$20", 20, "money", "USD"),
        ("20€", 20, "money", "EUR"),
        ("12.50 CHF", 12.5, "money", "CHF"),
    ],
)
def test_a_budget_reads_as_it_is_written(text: str, amount: float, kind: str, currency: str) -> None:
    found = parse(text)
    assert (found.amount, found.kind, found.currency) == (amount, kind, currency)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "--budget takes pictures"),
        ("-5", "--budget takes pictures"),
        ("0", "above 0"),
        ("0h", "above 0"),
        ("1e9", "unknown unit 'e'|--budget takes"),
        ("nan", "--budget takes"),
        ("inf h", "--budget takes"),
        ("1,000", "--budget takes"),
        ("2.5", "pictures are whole"),
        ("3 weeks", "unknown unit 'weeks'"),
        ("20 usd", "unknown unit 'usd'"),
        ("$20 USD", "two units"),
        ("99999999", "up to 10,000,000"),
        ("9999999h", "up to"),
        ("५ h", "--budget takes"),
        ("5; rm -rf /", "--budget takes"),
        ("5\n5", "--budget takes"),
        ("9" * 5000, "--budget takes"),
        ("[bold]5", "--budget takes"),
    ],
)
def test_what_is_no_budget_is_refused_in_a_short_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as refused:
        parse(text)
    assert len(str(refused.value)) < 250
    assert "\n" not in str(refused.value)


@given(st.text(max_size=30))
def test_nothing_but_a_budget_or_a_user_s_error_comes_of_any_text(text: str) -> None:
    try:
        found = parse(text)
    except UserError:
        return
    assert found.amount > 0
    assert found.kind in {"pictures", "seconds", "money"}


def test_money_is_time_at_the_price_of_an_hour() -> None:
    assert limit(parse("20 USD"), price_per_hour=40, currency="USD").seconds == 1800
    assert limit(parse("30m"), price_per_hour=0, currency="USD").seconds == 1800
    assert limit(parse("7"), price_per_hour=0, currency="USD").pictures == 7
    with pytest.raises(UserError, match=r"needs the price of an hour: set \[review\] price_per_hour"):
        limit(parse("20 USD"), price_per_hour=0, currency="USD")
    with pytest.raises(UserError, match=r"the budget is in EUR, and \[review\] price_per_hour in USD"):
        limit(parse("20 EUR"), price_per_hour=40, currency="USD")


def test_a_budget_is_said_as_people_say_it() -> None:
    said = [str(one) for one in (Budget(1), Budget(5000), parse("30m"), parse("$20"))]
    assert said == ["1 picture", "5,000 pictures", "30 minutes", "20 USD"]
    assert told_time(1) == "1 second"
    assert told_time(3600) == "1 hour"
    assert told_time(100) == "100 seconds"
    assert told_time(5400) == "90 minutes"
