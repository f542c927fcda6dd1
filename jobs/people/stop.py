"""Whether to go on asking: labels fixed an hour, errors left, and what the next hour is worth."""

from collections.abc import Mapping
from typing import Any

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.given import Given
from secondlook.jobs.people.worked import progress
from secondlook.jobs.share import share
from secondlook.labeling.people.speed import Speeds
from secondlook.labeling.people.stopping import Rate, worth_going_on
from secondlook.pipeline.core.config import Settings


def run(lake: Lake, version: Version, settings: Settings, answered: list[Given], speeds: Speeds) -> dict[str, Any]:
    """fixed, hours, per_hour and next_hour (value, interval; None: too few answers), errors_left, gain, price, stop and why.

    `stop` is None where nothing can be said.
    """
    found = progress(lake, version, answered, speeds)
    left = errors_left(lake, version, settings)
    following = found.following if found else None
    chosen = settings.review
    paying = chosen.worth_per_label > 0 and chosen.price_per_hour > 0
    stop = None
    if following is not None:
        stop = not worth_going_on(
            following.value, least=chosen.least_fixed, worth=chosen.worth_per_label, price=chosen.price_per_hour
        )
    return {
        "fixed": found.fixed if found else 0,
        "hours": round(found.hours, 4) if found else 0.0,
        "per_hour": _rate(found.rate) if found else None,
        "next_hour": _rate(following) if following else None,
        "gain": round(following.value * chosen.worth_per_label, 2) if following and paying else None,
        "price": chosen.price_per_hour if paying else None,
        "currency": chosen.currency,
        "least_fixed": chosen.least_fixed,
        "errors_left": left,
        "stop": stop,
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {"value": round(rate.value, 2), "interval": [round(rate.interval.low, 2), round(rate.interval.high, 2)]}


def errors_left(lake: Lake, version: Version, settings: Settings) -> dict[str, Any] | None:
    """How many labels are wrong still, with an interval where people's answers give one, and what it comes from; None: nothing is known.

    From an audit: the share of the labels that it drew from. Changes since are subtracted at the lower end only: if each corrected a wrong label.
    """
    told = share.run(lake, settings, version)
    if told["called"] is None:
        return None
    if told["called"] == share.MODEL:
        labeled = dataset.samples(lake, version)["label"]
        n = len(labeled) - labeled.null_count
        return {"value": round(told["value"] * n), "interval": None, "of": n, "from": share.MODEL}
    n = told["population"] or 0
    if not n:
        return None
    changed = (told["audit"] or {}).get("changed_since") or 0
    low, high = (end * n for end in told["interval"])
    middle = max(told["value"] * n - changed / 2, 0.0) if changed else told["value"] * n
    ends = [round(max(low - changed, 0.0)), round(high)]
    return {"value": round(middle), "interval": ends, "of": n, "from": told["called"]}


def told(summary: Mapping[str, Any]) -> list[str]:
    """In lines, the last of which says whether to stop."""
    lines = []
    left = summary["errors_left"]
    if left:
        between = f" ({left['interval'][0]:,} to {left['interval'][1]:,})" if left["interval"] else ", unchecked"
        lines.append(
            f"wrong labels left: about {left['value']:,} of {left['of']:,}{between}, from the {_source(left['from'])}"
        )
    if summary["per_hour"]:
        lines.append(
            f"{summary['fixed']:,} labels fixed in {summary['hours']:.2g} hours of people's time: {_per_hour(summary['per_hour'])} an hour"
        )
    if summary["next_hour"] is None:
        return lines
    expected = f"the next hour is expected to fix {_per_hour(summary['next_hour'])}"
    if summary["gain"] is not None:
        money = f"worth {summary['gain']:,.2f} {summary['currency']}, and costs {summary['price']:,.2f}"
        return [*lines, f"{'stop' if summary['stop'] else 'go on'}: {expected}, {money}"]
    least = f"[review] least_fixed is {summary['least_fixed']:g}"
    return [*lines, f"{'stop' if summary['stop'] else 'go on'}: {expected}; {least}"]


def _source(name: str) -> str:
    return name.removeprefix("the ")


def _per_hour(rate: Mapping[str, Any]) -> str:
    low, high = rate["interval"]
    return f"{rate['value']:,.0f} ({low:,.0f} to {high:,.0f})"
