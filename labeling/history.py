"""The history of labels: what holds, what differs, who said so, and how a batch is taken back.

Functions on tables of label events (the columns of the table `labels`: seq, sample_id, label, source, actor, time, batch,
evidence). `seq` is the order of commits, and one commit never writes two events of one sample; so (sample_id, seq)
names an event. A null label takes the label away.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.pipeline.core.schemas import TABLES

EVENTS = TABLES["labels"].schema
DIFF = pa.schema(
    [("sample_id", pa.string()), ("old", pa.string()), ("new", pa.string())]
    + [(name, EVENTS.field(name).type) for name in ("source", "actor", "batch", "evidence", "seq")]
)


@dataclass(frozen=True)
class Event:
    """One thing that happened to a sample's label; `evidence` is parsed, `seq` its place in the order of commits."""

    seq: int
    sample_id: str
    label: str | None
    source: str
    actor: str | None
    time: datetime | None
    batch: str | None
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reverted:
    """What taking back a batch comes to.

    `events`: to append, without `seq` and `batch`. `unchanged` counts those whose label stays the same, since the
    batch had only confirmed it. `kept`: ids of the samples that a later decision changed, which stay as they are;
    `already`: of those that an earlier revert took back.
    """

    events: pa.Table
    unchanged: int
    kept: tuple[str, ...]
    already: tuple[str, ...]


def in_order(events: pa.Table) -> pa.Table:
    """Events sorted by sample, each sample's in commit order."""
    return events.take(pc.sort_indices(events, [("sample_id", "ascending"), ("seq", "ascending")]))


def holding(events: pa.Table, as_of: int | None = None) -> pa.Table:
    """The event of each sample that holds: its newest, or its newest up to the commit `as_of`; sorted by sample."""
    rows = in_order(events if as_of is None else events.filter(pc.less_equal(events["seq"], as_of)))
    if rows.num_rows < 2:
        return rows
    ids = rows["sample_id"].combine_chunks()
    last = pc.not_equal(ids[:-1], ids[1:])
    return rows.filter(pa.concat_arrays([last, pa.array([True])]))


def diff(before: pa.Table, after: pa.Table) -> pa.Table:
    """Samples whose label differs between two states, given all events of each: columns of DIFF, sorted by sample.

    `old` and `new` are null where the sample has no label. The rest tells of the event that made the new one; where
    `after` has no event of the sample (it is the older state), of the event that made the old one.
    """
    old, new = holding(before), holding(after)
    ids = pc.unique(pa.concat_arrays([new["sample_id"].combine_chunks(), old["sample_id"].combine_chunks()]))
    in_new = pc.index_in(ids, value_set=new["sample_id"].combine_chunks())
    in_old = pc.index_in(ids, value_set=old["sample_id"].combine_chunks())
    columns: dict[str, Any] = {
        "sample_id": ids,
        "old": old["label"].combine_chunks().take(in_old),
        "new": new["label"].combine_chunks().take(in_new),
    }
    for name in DIFF.names[3:]:
        told = new[name].combine_chunks().take(in_new), old[name].combine_chunks().take(in_old)
        columns[name] = pc.if_else(pc.is_null(in_new), told[1], told[0])
    rows = pa.table(columns, schema=DIFF)
    none = pa.scalar(None, pa.string())
    equal = pc.if_else(
        pc.or_(pc.is_null(rows["old"]), pc.is_null(rows["new"])),
        pc.and_(pc.is_null(rows["old"]), pc.is_null(rows["new"])),
        pc.fill_null(pc.equal(rows["old"], pc.coalesce(rows["new"], none)), False),
    )
    return rows.filter(pc.invert(equal)).sort_by("sample_id")


def of_sample(events: pa.Table, sample_id: str) -> list[Event]:
    """All events of one sample in commit order: its blame."""
    return by_sample(events, [sample_id]).get(sample_id, [])


def by_sample(events: pa.Table, sample_ids: Iterable[str]) -> dict[str, list[Event]]:
    """The events of some samples, each sample's in commit order; samples without an event are left out."""
    chosen = events.filter(pc.is_in(events["sample_id"], value_set=pa.array(sorted(set(sample_ids)), pa.string())))
    found: dict[str, list[Event]] = {}
    for row in in_order(chosen).select(list(EVENTS.names)).to_pylist():
        evidence = json.loads(row.pop("evidence") or "{}")
        found.setdefault(row["sample_id"], []).append(Event(**row, evidence=evidence))
    return found


def _meant(events: list[Event], last: int) -> int:
    """Index of the event whose decision event `last` stands for: itself, or what a revert restored; -1: no label yet."""
    event = events[last]
    if event.source != "revert":
        return last
    wanted = event.evidence["restores"]
    return next((n for n, earlier in enumerate(events) if earlier.seq == wanted), -1)


def meant(events: Sequence[Event]) -> Event | None:
    """The event that one sample's newest event stands for: itself, or what a revert restored; None where there is none.

    A revert that took nothing back but weighed answers anew (its evidence has their votes) stands for itself.
    """
    if not events:
        return None
    if "votes" in events[-1].evidence:
        return events[-1]
    place = _meant(list(events), len(events) - 1)
    return events[place] if place >= 0 else None


def before_answers(events: Sequence[Event], origins: Collection[str]) -> Event | None:
    """What one sample's label was before people's answers decided it: the event below all decisions made of answers.

    Decisions are events with votes, and those that came from equal pictures, `origins`. None where there was no label.
    """
    place = len(events) - 1
    while place >= 0:
        evidence = events[place].evidence
        if events[place].source == "revert" and "votes" not in evidence:
            place = _meant(list(events), place)
        elif "votes" in evidence or evidence.get("spread_from") in origins:
            place -= 1
        else:
            return events[place]
    return None


def _take_back(events: list[Event], chosen: Callable[[Event], bool]) -> dict[str, Any] | None:
    """The label and evidence that undo the chosen events on one sample, or None where none of them is the current decision."""
    top = len(events) - 1
    if not chosen(events[top]):
        top = _meant(events, top)  # reverting C on top of B makes B's decision the current one again
    if top < 0 or not chosen(events[top]):
        return None
    below = top
    while below >= 0 and chosen(events[below]):
        below -= 1
    before = _meant(events, below) if below >= 0 else -1
    undone = [event.seq for event in events[below + 1 : top + 1]]
    return {
        "label": events[before].label if before >= 0 else None,
        "was": events[-1].label,
        "evidence": {"undid": undone, "restores": events[before].seq if before >= 0 else None},
    }


def revert(events: pa.Table, batch: str, *, actor: str, now: datetime) -> Reverted:
    """Events that restore the labels that held before a batch, where the batch's decision is still the current one.

    A revert can be reverted like any other batch, and reverting the batches of a stack from the top gives exactly the
    labels before each.
    """
    touched = pc.unique(events.filter(pc.equal(events["batch"], batch))["sample_id"]).to_pylist()
    its = by_sample(events, touched)
    return _reverted(its, lambda event: event.batch == batch, {"reverts": batch}, actor=actor, now=now)


def revert_between(events: pa.Table, since: datetime, until: datetime | None, *, actor: str, now: datetime) -> Reverted:
    """Events that take back what was decided from `since` on, and before `until` if it is given; reverts of that time, too.

    Where such a decision is still the current one, the label before all of them comes back. What a source says is no decision
    and stays.
    """

    def chosen(event: Event) -> bool:
        late = event.time is not None and event.time >= since and (until is None or event.time < until)
        return late and event.source != "ingest"

    times = pc.greater_equal(events["time"], pa.scalar(since, EVENTS.field("time").type))
    touched = pc.unique(events.filter(pc.fill_null(times, False))["sample_id"]).to_pylist()
    its = {name: found for name, found in by_sample(events, touched).items() if any(map(chosen, found))}
    span = f"since {since.isoformat()}" + (f" until {until.isoformat()}" if until else "")
    return _reverted(its, chosen, {"reverts": span}, actor=actor, now=now)


def revert_annotator(events: pa.Table, annotator: str, *, actor: str, now: datetime) -> Reverted:
    """Events that take back the decisions in which a person's answer counted, where they are current.

    Only that person's answers are withdrawn with them: those of the others are free to decide anew. Labels that went from such a
    decision to equal pictures go with it.
    """
    voted = pc.fill_null(pc.match_substring(events["evidence"], '"votes"'), False)
    spread = pc.fill_null(pc.match_substring(events["evidence"], '"spread_from"'), False)
    touched = pc.unique(events.filter(pc.or_(voted, spread))["sample_id"]).to_pylist()
    its = by_sample(events, touched)
    tainted = {
        (sample_id, event.seq)
        for sample_id, found in its.items()
        for event in found
        if any(vote["annotator"] == annotator for vote in event.evidence.get("votes", ()))
    }

    def chosen(event: Event) -> bool:
        origin = event.evidence.get("spread_from")
        return ((event.sample_id if origin is None else origin), event.seq) in tainted

    its = {name: found for name, found in its.items() if any(map(chosen, found))}
    told = {"reverts": f"annotator {annotator}", "withdraws": annotator}
    return _reverted(its, chosen, told, actor=actor, now=now)


def _reverted(
    its: Mapping[str, list[Event]],
    chosen: Callable[[Event], bool],
    told: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
) -> Reverted:
    rows: list[dict[str, Any]] = []
    kept: list[str] = []
    already: list[str] = []
    unchanged = 0
    for sample_id, events in its.items():
        back = _take_back(events, chosen)
        if back is None:
            gone = withdrawn(events)
            (already if all(event.seq in gone for event in events if chosen(event)) else kept).append(sample_id)
            continue
        unchanged += back["label"] == back["was"]
        evidence = json.dumps({**told, **back["evidence"], "was": back["was"]}, ensure_ascii=False)
        rows.append(
            {"sample_id": sample_id, "label": back["label"], "source": "revert", "actor": actor}
            | {"time": now, "evidence": evidence}
        )
    schema = pa.schema([EVENTS.field(name) for name in EVENTS.names if name not in {"seq", "batch"}])
    return Reverted(pa.Table.from_pylist(rows, schema), unchanged, tuple(kept), tuple(already))


def withdrawn(events: Iterable[Event]) -> set[int]:
    """The seqs of one sample's events that a revert took back and no later revert restored."""
    return set(_withdrawn_by(events))


def _withdrawn_by(events: Iterable[Event]) -> dict[int, str | None]:
    """The seqs of events that were taken back, each with the person whose answers alone went with it (None: everybody's)."""
    back: dict[int, str | None] = {}
    for event in events:
        if event.source == "revert":
            back |= dict.fromkeys(event.evidence["undid"], event.evidence.get("withdraws"))
            back.pop(event.evidence["restores"], None)
    return back


def uses(events: Mapping[str, Sequence[Event]]) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """The states of annotations (id, seq) that decisions were made of, and those that were withdrawn with their decision since.

    An answer that another decision was made of, which stands, is not withdrawn. Where a decision was taken back for one
    person's sake, the others' answers are neither used nor withdrawn: they are free to decide anew.
    """
    standing: set[tuple[str, int]] = set()
    reverted: set[tuple[str, int]] = set()
    for its in events.values():
        gone = _withdrawn_by(its)
        for event in its:
            blamed = gone.get(event.seq)
            for vote in event.evidence.get("votes", ()):
                if event.seq not in gone:
                    standing.add((vote["annotation"], vote["seq"]))
                elif blamed is None or vote["annotator"] == blamed:
                    reverted.add((vote["annotation"], vote["seq"]))
    return standing | reverted, reverted - standing
