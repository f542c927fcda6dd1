"""`secondlook review status`: batches, and how far they are answered and decided."""

from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake
from secondlook.jobs.share.adjudicated import audit as read_audit
from secondlook.jobs.share.share import population_of, progress, told_progress
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import history


def run_status(lake: Lake, *, as_of: str | int | None = None) -> list[dict[str, Any]]:
    """Batches, oldest first: batch, time, asked, answered (samples with an answer), decided, reverted.

    A sample is decided where a decision of this batch, or of an equal picture or a later batch, used its answers.
    """
    version = lake.at(as_of)
    asked = lake.latest("batches", version).sort_by([("seq", "ascending"), ("batch", "ascending")])
    annotations = lake.latest("annotations", version)
    given = annotations.filter(pc.not_equal(annotations["state"], "deleted")).to_pylist()
    answered = {(row["batch"], row["sample_id"]) for row in given}
    labels = lake.read("labels", version)
    touched = pc.unique(labels.filter(pc.equal(labels["source"], "review"))["sample_id"]).to_pylist()
    used, withdrawn = history.uses(history.by_sample(labels, touched))
    states = {(row["annotation_id"], row["seq"]): (row["batch"], row["sample_id"]) for row in given}
    decided = {states[state] for state in used if state in states}
    reverted = {states[state] for state in withdrawn if state in states}
    batches: dict[str, dict[str, Any]] = {}
    for row in asked.select(["batch", "sample_id", "time"]).to_pylist():
        fresh = {"batch": row["batch"], "time": row["time"].isoformat() if row["time"] else None}
        counts = batches.setdefault(
            row["batch"], fresh | dict.fromkeys(("asked", "answered", "decided", "reverted"), 0)
        )
        task = (row["batch"], row["sample_id"])
        counts["asked"] += 1
        for name, tasks in (("answered", answered), ("decided", decided), ("reverted", reverted)):
            counts[name] += task in tasks
    return list(batches.values())


def status(
    as_of: AsOfOption = None, lake: LakeOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Batches, and how far they are answered and decided; and how far the newest audit is.

    Example:

        secondlook review status
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    rows, version = run_status(opened, as_of=as_of), opened.at(as_of)
    found = read_audit(opened, version, chosen)
    audit = progress(opened, version, found, population_of(opened, found)) if found else None

    def lines() -> None:
        width = max((len(row["batch"]) for row in rows), default=0)
        for row in rows:
            counts = ", ".join(f"{row[name]} {name}" for name in ("asked", "answered", "decided"))
            back = f", {row['reverted']} of them reverted" if row["reverted"] else ""
            out().print(f"{row['batch']:<{width}}  {counts}{back}", markup=False)
        if not rows:
            out().print("no batches yet; `secondlook review push` makes one", markup=False)
        if audit:
            out().print("\n".join([*told_progress(audit), "`secondlook share` says what it tells"]), markup=False)

    finish({"batches": rows, "audit": audit}, as_json=json, lines=lines)
