"""Who fails gold questions is paused: their answers stay, and count for nothing until somebody resumes them."""

import contextlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.lake.gold import gold_rows
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.given import GoldAnswer, given, gold_answers
from secondlook.labeling.people.gold import Rates, Verdict, usual_errors, verdict
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import ConflictError, UserError

JOB = "review annotators"
READ = ("annotations", "annotators", "gold", "classes")
BY_GOLD = "gold"  # the actor of a pause that no person decided


def rates(settings: Settings) -> Rates:
    """The error rates of the settings; raises UserError where they leave nothing between acceptable and not."""
    chosen = settings.review
    if not chosen.gold_acceptable < chosen.gold_unacceptable:
        raise UserError(
            "[review] gold_acceptable is below gold_unacceptable, "
            f"got {chosen.gold_acceptable:g} and {chosen.gold_unacceptable:g}"
        )
    return Rates(chosen.gold_acceptable, chosen.gold_unacceptable, chosen.gold_alpha, chosen.gold_beta)


def resumed(lake: Lake, version: Version) -> dict[str, int]:
    """The commit of each person's newest resumption."""
    rows = lake.read("annotators", version, ["seq", "annotator", "event"])
    back: dict[str, int] = {}
    for row in rows.filter(pc.equal(rows["event"], "resumed")).to_pylist():
        back[row["annotator"]] = max(row["seq"], back.get(row["annotator"], 0))
    return back


def judged(
    answered: list[GoldAnswer], since: Mapping[str, int], silent: frozenset[str], asked: Rates
) -> dict[str, Verdict]:
    """The verdict of each person, on the gold answers that came after the commit `since`; the standard is without `silent`."""
    told = [one for one in answered if one.wrong is not None]
    columns = [one.content_id for one in told], [one.annotator for one in told], [bool(one.wrong) for one in told]
    usual = usual_errors(*columns, asked, silent)
    mine: dict[str, tuple[list[bool], list[float]]] = {one.annotator: ([], []) for one in answered}
    for one, error in zip(told, usual, strict=True):
        if one.seq > since.get(one.annotator, 0):
            mine[one.annotator][0].append(bool(one.wrong))
            mine[one.annotator][1].append(error)
    return {name: verdict(wrong, errors, asked) for name, (wrong, errors) in sorted(mine.items())}


def pause_failing(lake: Lake, settings: Settings, now: datetime | None = None) -> list[dict[str, Any]]:
    """Pause who fails the gold questions, in one commit; nothing where nobody does. Returns annotator, reason and evidence of each.

    Those who are paused set no standard for the others, so it is tried again until nobody more fails.
    """
    version = lake.at()
    golden = gold_rows(lake, version)
    if not golden.num_rows:
        return []
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    mine = pc.is_in(samples["sample_id"], value_set=golden["sample_id"].combine_chunks())
    answered = gold_answers(lake, version, given(lake, version, pc.unique(samples["content_id"].filter(mine))))
    silent, asked = paused(lake, version), rates(settings)
    back = resumed(lake, version)
    found: dict[str, Verdict] = {}
    while failing := _failing(judged(answered, back, silent, asked), silent):
        found |= failing
        silent |= frozenset(failing)
    events = [_event(name, one, asked) for name, one in sorted(found.items())]
    if events:
        tables = {table: version.tables.get(table) for table in READ}
        attempt = lake.attempt(JOB, {"gold": sorted(found), "tables": tables}, base=version)
        when = now or datetime.now(UTC)
        attempt.append("annotators", rows_of("annotators", [event | {"time": when} for event in events]))
        attempt.commit({"paused": sorted(found), "resumed": []})
    return [{name: event[name] for name in ("annotator", "reason", "evidence")} for event in events]


def after_pull(lake: Lake, settings: Settings, now: datetime | None = None) -> list[str]:
    """Who was paused now that answers came in. Where another job commits at this moment, the next pull does it."""
    with contextlib.suppress(ConflictError):
        return [one["annotator"] for one in pause_failing(lake, settings, now)]
    return []


def _failing(found: Mapping[str, Verdict], silent: frozenset[str]) -> dict[str, Verdict]:
    return {name: one for name, one in found.items() if one.state == "failed" and name not in silent}


def _event(name: str, one: Verdict, asked: Rates) -> dict[str, Any]:
    evidence = {
        "asked": one.asked,
        "wrong": one.wrong,
        "expected": round(one.expected, 2),
        "evidence": round(one.evidence, 2),
        "limit": round(1 / asked.alpha, 2),
        "decided_at": one.decided_at,
        "acceptable": asked.acceptable,
        "unacceptable": asked.unacceptable,
    }
    reason = f"{one.wrong} of {one.asked} gold questions wrong, where an acceptable person has {one.expected:.1f}"
    return {"annotator": name, "event": "paused", "actor": BY_GOLD, "reason": reason, "evidence": json.dumps(evidence)}
