"""What changes of classes did to labels, beside what happened to the labels themselves: for `diff` and `blame`."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling import history
from secondlook.labeling.class_changes import told
from secondlook.labeling.class_list import ClassEvent, causes, steps
from secondlook.labeling.history import Event

SOURCE = "classes"  # of a label that reads otherwise since something happened to its class


def diff(lake: Lake, before: Version, after: Version, shown: Classes) -> pa.Table:
    """Samples whose label reads otherwise in two versions: history.DIFF, with `classes` as the source where only its class changed."""
    given = [lake.read("labels", version) for version in (before, after)]
    lists = [class_lists.read(lake, version) for version in (before, after)]
    read = [
        _set(rows, "label", classes.read(rows["label"], rows["seq"], reveal=True))
        for rows, classes in zip(given, lists, strict=True)
    ]
    rows = history.diff(*read)
    if lists[0].events != lists[1].events and rows.num_rows:
        rows = _by_classes(rows, history.holding(given[0]), history.holding(given[1]), shown)
    for column in ("old", "new"):
        rows = _set(rows, column, shown.masks(rows[column]))
    evidence = rows["evidence"] if not shown.hidden else shown.without_hidden(rows["evidence"])
    return _set(rows, "evidence", evidence)


def _set(rows: pa.Table, column: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.column_names.index(column), column, values)


def _by_classes(rows: pa.Table, before: pa.Table, after: pa.Table, classes: Classes) -> pa.Table:
    """Where the same event holds in both versions, its class is what changed: who did that, and by which event."""
    old, new = (
        events.take(pc.index_in(rows["sample_id"], value_set=events["sample_id"].combine_chunks()).combine_chunks())
        for events in (before, after)
    )
    same = pc.equal(old["seq"], new["seq"]).fill_null(False).to_pylist()
    columns: dict[str, list[Any]] = {name: rows[name].to_pylist() for name in ("source", "actor", "batch", "evidence")}
    known: dict[tuple[str, int], ClassEvent | None] = {}
    through = steps(classes.events)
    for n, (is_same, label, seq) in enumerate(zip(same, new["label"].to_pylist(), new["seq"].to_pylist(), strict=True)):
        if not is_same or label is None:
            continue
        if (label, seq) not in known:
            changes = causes(through, label, seq)
            known[label, seq] = changes[-1][0] if changes else None
        event = known[label, seq]
        if event is not None:
            columns["source"][n], columns["actor"][n], columns["batch"][n] = SOURCE, event.actor, event.batch
            columns["evidence"][n] = json.dumps(_evidence(event, classes), ensure_ascii=False)
    for name, values in columns.items():
        rows = _set(rows, name, pa.array(values, pa.string()))
    return rows


def _evidence(event: ClassEvent, classes: Classes) -> dict[str, str]:
    return {
        "class_event": f"{classes.shown(event.name)} {told(event, classes.shown)}",
        "reason": classes.told(event.reason or ""),
    }


def of_label(label: Event, classes: Classes, versions: Mapping[int, int]) -> list[dict[str, Any]]:
    """What happened to the class of the label that holds, as entries of a blame; versions: by the seq of class events."""
    if label.label is None:
        return []
    return [
        {"version": versions.get(event.seq), "time": event.time.isoformat() if event.time else None, "label": means}
        | {"source": SOURCE, "actor": event.actor, "batch": event.batch, "evidence": _evidence(event, classes)}
        for event, means in causes(steps(classes.events), label.label, label.seq)
    ]


def masked(entry: Mapping[str, Any], classes: Classes) -> dict[str, Any]:
    """An entry of a blame as people may see it: what the label and the votes name is masked where it waits for a sign-off."""
    evidence = dict(entry["evidence"])
    for name in ("votes", "silent"):
        if evidence.get(name):
            evidence[name] = [vote | {"answer": classes.shown(vote["answer"])} for vote in evidence[name]]
    if "model" in evidence:
        evidence["model"] = evidence["model"] | {"says": classes.shown(evidence["model"]["says"])}
    for name in ("was", "spread_from_key"):
        if isinstance(evidence.get(name), str):
            evidence[name] = classes.without_hidden(pa.chunked_array([[evidence[name]]]))[0].as_py()
    label = entry["label"]
    return dict(entry) | {"label": None if label is None else classes.shown(label), "evidence": evidence}
