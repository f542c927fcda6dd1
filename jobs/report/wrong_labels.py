"""How many labels are wrong, as the page shows it: what `secondlook share` says."""

from collections.abc import Mapping
from typing import Any

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.share import share
from secondlook.labeling.adjudication import REASONS
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.statistics import Interval
from secondlook.pipeline.report import facts as f


def wrong_labels(lake: Lake, version: Version, settings: Settings) -> f.ShareFacts | None:
    """The share of wrong labels of a version; None where nobody knows anything of it."""
    told = share.run(lake, settings, version)
    if told["called"] is None:
        return None
    audit = told["audit"] or {}
    measured = bool(told["interval"])
    return f.ShareFacts(
        called=told["called"],
        value=told["value"],
        method=told["method"],
        p_error=share.told_p_error(told) + ".",
        measured=_estimated(told) if measured else None,
        population=told.get("population"),
        drawn_from=audit.get("drawn_from", 0),
        classes={one["class"]: _estimated(one) for one in told["classes"]},
        pooled=told.get("pooled") or 0,
        drawn=audit.get("drawn", 0),
        answered=audit.get("answered", 0),
        adjudicated=audit.get("adjudicated", 0),
        open={REASONS[reason]: n for reason, n in audit.get("open", {}).items()},
        changed=audit.get("changed_since") or 0,
        left=share.left(told),
    )


def _estimated(one: Mapping[str, Any]) -> f.Estimated:
    return f.Estimated(one["value"], one["answers"], Interval(*one["interval"]))
