"""What the tool says now against what is held: which rows of `annotations` follow.

A function of two states and not of the way between them, so however often, in whatever order and with whatever gaps the
tool was read, the same answers hold in the end.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from secondlook.labeling.answers import Answer, annotation_id

State = tuple[str, datetime | None]


@dataclass(frozen=True)
class Heard:
    """An answer in the tool: `origin` names it there, `number` is its id, `changed` the tool's time of its newest state.

    `named`: whether the tool still knows the annotator's name; else it is made of a number.
    """

    answer: Answer
    origin: str
    number: int
    changed: datetime
    named: bool = True


@dataclass(frozen=True)
class Held:
    """What the lake holds of one batch.

    rows: the newest state of each annotation. taken: (origin, changed) of all states there ever were.
    """

    rows: Sequence[Mapping[str, Any]]
    taken: frozenset[State]

    def live(self, prefix: str) -> list[Mapping[str, Any]]:
        """Rows that hold and came from where origins begin with `prefix`."""
        return [row for row in self.rows if row["state"] != "deleted" and (row["origin"] or "").startswith(prefix)]


def settle(
    batch: str, held: Held, heard: Iterable[Heard], samples: Collection[str], keep: Collection[str], prefix: str
) -> list[dict[str, Any]]:
    """Rows of `annotations` (state submitted, changed or deleted) that make the lake say what the tool says.

    heard: all answers that the tool has for `samples`. keep: origins of answers that are in the tool but whose task can't be
    believed any more; what was taken of them before stays. prefix: of this project's origins; answers of other origins,
    such as a file, stay unless the tool's is newer.
    """
    before = {row["annotation_id"]: row for row in held.rows}
    by_origin = {row["origin"]: row for row in held.live(prefix)}
    voices: dict[str, list[Heard]] = defaultdict(list)
    for one in heard:
        known = by_origin.get(one.origin)
        # Where the account is gone, its answers stay whose they were.
        name = known["annotator"] if known is not None and not one.named else one.answer.annotator
        mine = replace(one, answer=replace(one.answer, annotator=name))
        voices[annotation_id(batch, mine.answer.sample_id, name)].append(mine)
    made = []
    for identity, its in voices.items():
        newest = max(its, key=lambda one: (one.changed, one.number))
        row = before.get(identity)
        if not _known(row, newest, {one.origin for one in its}, held.taken):
            made.append(_row(batch, identity, newest, "changed" if row else "submitted"))
    silent = [row for row in held.live(prefix) if row["annotation_id"] not in voices and row["origin"] not in keep]
    made += [
        {name: row[name] for name in _KEPT} | {"state": "deleted"} for row in silent if row["sample_id"] in samples
    ]
    return sorted(made, key=lambda row: row["annotation_id"])


_KEPT = ("annotation_id", "batch", "sample_id", "annotator", "answer", "label", "seconds", "origin", "changed")


def _known(row: Mapping[str, Any] | None, newest: Heard, living: Collection[str], taken: frozenset[State]) -> bool:
    """Whether the newest answer of a person is what is held, or is older than a file that corrected it."""
    if row is None or row["state"] == "deleted":
        return False
    if row["origin"] is None:
        return (newest.origin, newest.changed) in taken
    if row["origin"] not in living:
        return False
    said = row["answer"], row["label"], -1.0 if row["seconds"] is None else row["seconds"]
    return row["origin"] == newest.origin and said == newest.answer.content


def _row(batch: str, identity: str, one: Heard, state: str) -> dict[str, Any]:
    answer = one.answer
    return {
        "annotation_id": identity,
        "batch": batch,
        "sample_id": answer.sample_id,
        "annotator": answer.annotator,
        "answer": answer.answer,
        "label": answer.label,
        "seconds": answer.known_seconds,
        "state": state,
        "origin": one.origin,
        "changed": one.changed,
    }
