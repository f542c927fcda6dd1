"""Whether to go on asking: labels fixed an hour, errors left, and what the next hour is worth."""

from collections.abc import Mapping
from typing import Any

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.given import Given
from secondlook.jobs.people.worked import progress
from secondlook.jobs.share import share
from secondlook.labeling.people.speed import Speeds
from secondlook.labeling.people.stopping import Left, Rate, at_most, worth_going_on
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.statistics import Interval


def run(lake: Lake, version: Version, settings: Settings, answered: list[Given], speeds: Speeds) -> dict[str, Any]:
    """fixed, hours, per_hour and next_hour (value, interval; None: too few answers), errors_left, unlabeled, gain, price, stop and why.

    `hours_left_out`: of answers that measure (audits and verifications), and of those that wait for a commit. `next_hour` is never more than there
    is to fix (`all_of_it` where that binds); `from_hours` is what it goes by. `stop` is None where nothing can be said.
    """
    made = progress(lake, version, answered, speeds)
    found = made.pace
    left, labels = errors_left(lake, version, settings), dataset.samples(lake, version)["label"]
    most = _to_fix(left, len(labels), labels.null_count)
    following = at_most(found.following, most) if found and found.following else None
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
        "hours_left_out": {"measuring": round(made.measuring, 4), "waiting": round(made.waiting, 4)},
        "per_hour": _rate(found.rate) if found else None,
        "next_hour": _rate(following) if following else None,
        "all_of_it": bool(found and found.following and following and following.value < found.following.value),
        "from_hours": round(found.seen, 4) if found else 0.0,
        "gain": round(following.value * chosen.worth_per_label, 2) if following and paying else None,
        "price": chosen.price_per_hour if paying else None,
        "currency": chosen.currency,
        "least_fixed": chosen.least_fixed,
        "errors_left": left,
        "unlabeled": labels.null_count,
        "stop": stop,
    }


def _to_fix(left: Mapping[str, Any] | None, samples: int, unlabeled: int) -> Left:
    """What an hour can fix at most: wrong labels as far as anything is known of them, and labels that are missing."""
    if left is None:
        return Left(samples, Interval(samples, samples))
    low, high = left["interval"] or (left["value"], left["value"])
    return Left(left["value"] + unlabeled, Interval(low + unlabeled, high + unlabeled))


def _rate(rate: Rate) -> dict[str, Any]:
    return {"value": round(rate.value, 2), "interval": [round(rate.interval.low, 2), round(rate.interval.high, 2)]}


def errors_left(lake: Lake, version: Version, settings: Settings) -> dict[str, Any] | None:
    """How many labels are wrong still, with an interval where people's answers give one, and what it comes from; None: nothing is known.

    From an audit: the share of the labels that it drew from. Changes since are subtracted at the lower end only: if each corrected a wrong label.
    What one more person disputes is no wrong label: until enough is adjudicated, it is the model's estimate, or nothing.
    """
    told = share.run(lake, settings, version)
    if told["called"] != share.WRONG:
        if told["model"] is None:
            return None
        labeled = dataset.samples(lake, version)["label"]
        n = len(labeled) - labeled.null_count
        return {"value": round(told["model"] * n), "interval": None, "of": n, "from": share.MODEL}
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
    if summary["unlabeled"]:
        lines.append(f"pictures without a label: {summary['unlabeled']:,}")
    if summary["per_hour"]:
        lines.append(
            f"{summary['fixed']:,} labels fixed in {summary['hours']:.2g} hours of people's time{_left_out(summary['hours_left_out'])}: "
            f"{_per_hour(summary['per_hour'])} an hour"
        )
    if summary["next_hour"] is None:
        return lines
    expected = f"the next hour is expected to fix {_per_hour(summary['next_hour'])}"
    expected += ", all that is left" if summary["all_of_it"] else ""
    if summary["from_hours"] < 1:
        expected += f", a guess from {summary['from_hours'] * 60:.2g} minutes of work"
    if summary["gain"] is not None:
        money = f"worth {summary['gain']:,.2f} {summary['currency']}, and costs {summary['price']:,.2f}"
        return [*lines, f"{'stop' if summary['stop'] else 'go on'}: {expected}, {money}"]
    least = f"[review] least_fixed is {summary['least_fixed']:g}"
    return [*lines, f"{'stop' if summary['stop'] else 'go on'}: {expected}; {least}"]


def _left_out(hours: Mapping[str, float]) -> str:
    words = (("measuring", "of audits and verifications"), ("waiting", "that wait for a commit"))
    parts = [f"{hours[name]:.2g} {what}" for name, what in words if hours[name] > 0]
    return f" (without {' and '.join(parts)})" if parts else ""


def _source(name: str) -> str:
    return name.removeprefix("the ")


def _per_hour(rate: Mapping[str, Any]) -> str:
    low, high = rate["interval"]
    return f"{rate['value']:,.0f} ({low:,.0f} to {high:,.0f})"
