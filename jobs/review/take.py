"""Answers come in, however they were given, and become rows of `annotations`, each exactly once."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.answers import Answer, annotation_id
from secondlook.pipeline.core.errors import UserError, unknown

OUTSIDE = "answers file"  # strategy of a batch that nobody pushed: its answers came unasked


def take(
    lake: Lake,
    version: Version,
    found: Sequence[Answer],
    *,
    batch: str | None,
    outside: str,
    inputs: Mapping[str, Any],
    now: datetime,
    asked: pa.Table | None = None,
) -> dict[str, Any]:
    """Answers, however they came, become rows of `annotations`: added, changed, or known already.

    `outside` names the batch of answers that no batch asked for. `inputs` tells this delivery from any other.
    """
    asked = lake.latest("batches", version) if asked is None else asked
    placed = _place(found, asked, batch, outside, _newest_state(lake, version))
    rows = [row for row in placed if row["state"] != "known"]
    states = Counter(row["state"] for row in placed)
    summary: dict[str, Any] = {
        "answers": len(found),
        "added": states["submitted"],
        "changed": states["changed"],
        "known": states["known"],
        "batches": sorted({row["batch"] for row in rows}),
        "version": None,
    }
    return record(lake, version, rows, summary, inputs=inputs, now=now, asked=asked)


def record(
    lake: Lake,
    version: Version,
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    *,
    inputs: Mapping[str, Any],
    now: datetime,
    asked: pa.Table,
    beside: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Rows of `annotations`, and those of other tables that hold with them or not at all, in one commit.

    `asked`: the table `batches`; what it does not ask for becomes a batch of its own. No rows, no version. Returns the summary with it.
    """
    beside = {table: its for table, its in (beside or {}).items() if its}
    if not rows and not beside:
        return dict(summary)
    attempt = lake.attempt("review pull", inputs, base=version)
    attempt.append("annotations", rows_of("annotations", [{**row, "time": now} for row in rows]))
    known = set(zip(asked["batch"].to_pylist(), asked["sample_id"].to_pylist(), strict=True))
    unasked = list(
        dict.fromkeys((r["batch"], r["sample_id"]) for r in rows if (r["batch"], r["sample_id"]) not in known)
    )
    choices = dataset.class_names(lake, version) if unasked else []
    outside = [
        {"batch": name, "sample_id": sample_id, "position": n, "strategy": OUTSIDE, "choices": choices, "time": now}
        for n, (name, sample_id) in enumerate(unasked)
    ]
    attempt.append("batches", rows_of("batches", outside))
    for table, its in beside.items():
        attempt.append(table, rows_of(table, its))
    made = attempt.commit(summary)
    return dict(summary) | {"version": made.id}


def _newest_state(lake: Lake, version: Version) -> dict[str, dict[str, Any]]:
    return {row["annotation_id"]: row for row in lake.latest("annotations", version).to_pylist()}


def _place(
    found: Sequence[Answer], asked: pa.Table, batch: str | None, outside: str, current: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each answer with its batch and with its state: submitted, changed, or known."""
    columns = ["seq", "batch", "sample_id", "strategy"]
    rows = sorted(asked.select(columns).to_pylist(), key=lambda row: (row["seq"], row["batch"]))
    newest = {row["sample_id"]: row["batch"] for row in rows if row["strategy"] != OUTSIDE}
    names = {row["batch"] for row in rows}
    if batch is not None and batch not in names:
        raise unknown("batch", batch, names)
    in_batch = {row["sample_id"] for row in rows if row["batch"] == batch}
    holding = [row for row in current.values() if row["state"] != "deleted"]
    said = {(row["annotator"], row["sample_id"], _content(row)) for row in holding}
    placed = []
    for answer in found:
        if batch is not None and answer.sample_id not in in_batch:
            raise UserError(f"line {answer.line}: batch {batch} did not ask for this picture; leave --batch out")
        name = batch or newest.get(answer.sample_id, outside)
        identity = annotation_id(name, answer.sample_id, answer.annotator)
        before = current.get(identity)
        if before and before["state"] != "deleted" and _content(before) == answer.content:
            state = "known"
        elif batch is None and (answer.annotator, answer.sample_id, answer.content) in said:
            state = "known"  # the same answer, given to an earlier batch
        else:
            state = "changed" if before else "submitted"
        placed.append(
            {"annotation_id": identity, "batch": name, "sample_id": answer.sample_id, "annotator": answer.annotator}
            | {"answer": answer.answer, "label": answer.label, "seconds": answer.known_seconds, "state": state}
        )
    return placed


def _content(row: Mapping[str, Any]) -> tuple[str, str | None, float]:
    return row["answer"], row["label"], -1.0 if row["seconds"] is None else row["seconds"]
