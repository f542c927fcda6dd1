"""Decisions become label events, each with everything that it was made of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lake.verified import MARK
from secondlook.jobs.review.cases import Case
from secondlook.labeling import history
from secondlook.labeling.adjudication import Adjudicated
from secondlook.labeling.consensus.decide import Decision, Undecided

Made = list[tuple[dict[str, Any], str]]  # events, each with what it does: changed, confirmed, first, spread, restored


@dataclass(frozen=True)
class Outcome:
    """What came of a case. `weights`: of each voice, None where it named no class or the method has none.

    `model`: what the model said, for the evidence; empty where it was not heard. `method`: its name and parameters.
    """

    case: Case
    result: Decision | Undecided
    weights: Mapping[str, float | None] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)
    method: Mapping[str, Any] = field(default_factory=dict)


def events(one: Outcome, classes: Classes, *, again: str | None, now: datetime) -> Made:
    """The events of an outcome. `again`: the batch of a commit that weighs answers anew; what is not decided any more is restored."""
    stamp = {"source": "review", "time": now}
    if isinstance(one.result, Decision):
        return [(stamp | event, kind) for event, kind in _decided(one, one.result, again)]
    return _restored(one, one.result, classes, again, now) if again else []


def _decided(one: Outcome, decision: Decision, again: str | None) -> Made:
    """One event for each sample that people were asked for, and for each copy whose label differs."""
    case = one.case
    named = [row["annotator"] for row in case.voices if row["label"] is not None]
    actor = named[0] if len(named) == 1 else "consensus"
    batch = again or max(case.pending, key=lambda row: (row["seq"], row["batch"]))["batch"]
    asked = _asked(case)
    evidence = _evidence(one, decision, again)
    sure = {"probability": evidence["probability"]}
    origin = next(copy for copy in case.copies if copy["sample_id"] in asked)
    made: Made = []
    for copy in case.copies:
        event = {"sample_id": copy["sample_id"], "label": decision.label, "actor": actor, "batch": batch}
        if copy["sample_id"] in asked:
            kind = "first" if copy["label"] is None else "confirmed" if copy["label"] == decision.label else "changed"
            made.append((event | {"evidence": _json(evidence)}, kind))
        elif copy["label"] != decision.label:
            spread = sure | {"spread_from": origin["sample_id"], "spread_from_key": origin["key"]}
            made.append((event | {"evidence": _json(spread)}, "spread"))
    return made


def _evidence(one: Outcome, decision: Decision, again: str | None) -> dict[str, Any]:
    case = one.case
    told: dict[str, Any] = {"probability": round(decision.probability, 6)}
    if decision.alone is not None:
        told["people_alone"] = round(decision.alone, 6)
    told |= _who(one) | {"overruled": list(decision.overruled)}
    if one.model:
        told["model"] = dict(one.model)
    if isinstance(case.adjudicated, Adjudicated):
        told[MARK] = case.adjudicated.voices
    else:
        told["method"] = dict(one.method)
    return told | ({"again": True} if again else {})


def _who(one: Outcome) -> dict[str, Any]:
    """The votes with what each weighed, older answers of the same people that this decision settles, and who was not heard."""
    case = one.case
    older = [row for row in case.pending if row not in case.voices]
    votes = [_vote(row) | _weight(one.weights.get(row["annotator"])) for row in case.voices]
    votes += [_vote(row) | {"weight": 0.0} for row in older]
    return {"votes": votes} | ({"silent": [_vote(row) for row in case.silent]} if case.silent else {})


def _vote(row: Mapping[str, Any]) -> dict[str, Any]:
    told = {"annotator": row["annotator"], "answer": row["label"] or row["answer"], "seconds": row["seconds"]}
    return told | {"annotation": row["annotation_id"], "seq": row["seq"]}


def _weight(weight: float | None) -> dict[str, float]:
    return {} if weight is None else {"weight": round(weight, 3)}


def _restored(one: Outcome, result: Undecided, classes: Classes, again: str, now: datetime) -> Made:
    """Where nobody would decide any more, the label before people's answers comes back, and no answer is withdrawn."""
    asked = _asked(one.case)
    made: Made = []
    for copy in one.case.copies:
        its = one.case.events.get(copy["sample_id"], [])
        current = history.meant(its)
        if current is None or not ("votes" in current.evidence or current.evidence.get("spread_from") in asked):
            continue
        before = history.before_answers(its, asked)
        label = None if before is None or before.label is None else _today(before, classes)
        told: dict[str, Any] = {"undid": [], "restores": before.seq if before else None}
        told |= {"undecided": result.reason, "again": True}
        told |= _who(one) if "votes" in current.evidence else {"spread_from": current.evidence["spread_from"]}
        event = {"sample_id": copy["sample_id"], "label": label, "source": "revert", "actor": "consensus"}
        made.append((event | {"batch": again, "time": now, "evidence": _json(told)}, "restored"))
    return made


def unmade(events: Sequence[history.Event]) -> set[int]:
    """The seqs of one sample's decisions that a later commit weighed anew and would not decide any more; reverts are not told here."""
    gone = history.withdrawn(events)
    found: set[int] = set()
    decided: list[int] = []
    for event in events:
        if event.seq in gone or (event.source == "revert" and "undecided" not in event.evidence):
            continue
        if "undecided" in event.evidence:
            found.update(decided)
        elif "votes" in event.evidence or "spread_from" in event.evidence:
            decided.append(event.seq)
        else:
            decided.clear()
    return found


def _today(event: history.Event, classes: Classes) -> str | None:
    import pyarrow as pa

    label, seq = pa.chunked_array([[event.label]]), pa.chunked_array([[event.seq]])
    found = classes.read(label, seq, reveal=True).to_pylist()[0]
    return None if found is None else str(found)


def _asked(case: Case) -> set[str]:
    """The samples of a content that people answered for."""
    return {row["sample_id"] for row in (*case.voices, *case.silent, *case.pending)}


def _json(evidence: Mapping[str, Any]) -> str:
    return json.dumps(evidence, ensure_ascii=False)


def model_says(row: Mapping[str, float], name: str, label: str | None) -> dict[str, Any]:
    """What a model's voice was: its most probable class, and what it gives to the decided one (absent where that is not told)."""
    best = max(row, key=lambda one: (row[one], one))
    told: dict[str, Any] = {"name": name, "says": best, "probability": round(row[best], 6)}
    return told | ({"of_decision": round(row[label], 6)} if label is not None and label in row else {})


def reasons(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many cases stay open, by reason."""
    found: dict[str, int] = {}
    for one in outcomes:
        if isinstance(one.result, Undecided):
            found[one.result.reason] = found.get(one.result.reason, 0) + 1
    return dict(sorted(found.items()))
