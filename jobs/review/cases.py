"""What `commit` looks at: each content that people answered for, who spoke, who was silenced, and what was decided before."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lake.gold import gold
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import STRATEGY as VERIFY
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.share.adjudicated import STRATEGY as AUDIT
from secondlook.jobs.share.adjudicated import experts
from secondlook.labeling import history
from secondlook.labeling.adjudication import Adjudicated, Open, Voice, adjudicate
from secondlook.labeling.history import Event
from secondlook.pipeline.core.config import Settings

BLIND = (VERIFY, AUDIT)  # of tasks that measure: nothing is decided of their answers until people agree
GOLD = "gold"  # of tasks whose class is known: their answers tell of people, not of pictures
State = tuple[str, int]  # an annotation and the commit that made it what it is


@dataclass(frozen=True)
class Case:
    """One content that people answered for.

    `voices`: the newest answer of each person, without those who are paused, who are in `silent`. `pending`: answers, of voices or older ones,
    that no decision has used yet and that one may use; empty where there is nothing new to decide. `copies`: all samples that
    show the content; `events`: what happened to their labels. `gold`: its class, where that is known beyond doubt. `adjudicated`: what an audit or
    a verification came to, None where none asked.
    """

    content: str
    voices: list[dict[str, Any]]
    silent: list[dict[str, Any]]
    pending: list[dict[str, Any]]
    copies: list[dict[str, Any]]
    events: Mapping[str, Sequence[Event]] = field(default_factory=dict)
    gold: str | None = None
    adjudicated: Adjudicated | Open | None = None

    @property
    def judged(self) -> Event | None:
        """The decision that holds, made of answers; None where there is none, or where something else came after it."""
        found = [
            event
            for row in self.copies
            if (event := history.meant(self.events.get(row["sample_id"], ()))) is not None and "votes" in event.evidence
        ]
        return max(found, key=lambda event: event.seq, default=None)

    @property
    def shaken(self) -> bool:
        """Whether the decision that holds counted somebody who is paused now, or silenced somebody who is not any more."""
        event = self.judged
        if event is None:
            return False
        silent = {row["annotator"] for row in self.silent}
        heard = {_state(row) for row in self.voices}
        counted = {vote["annotator"] for vote in event.evidence["votes"]}
        was_silent = {(vote["annotation"], vote["seq"]) for vote in event.evidence.get("silent", ())}
        return bool(counted & silent or was_silent & heard)


def cases(lake: Lake, version: Version, settings: Settings, classes: Classes) -> tuple[list[Case], int]:
    """All contents with answers, by content; and how many answers name a class that is gone, or waits for a sign-off."""
    annotations = lake.latest("annotations", version)
    annotations = annotations.filter(pc.not_equal(annotations["state"], "deleted"))
    annotations, gone = _as_today(annotations, classes)
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "key", "label"])
    answered = samples.filter(pc.is_in(samples["sample_id"], value_set=annotations["sample_id"].combine_chunks()))
    contents = pc.unique(answered["content_id"])
    shown = samples.filter(pc.is_in(samples["content_id"], value_set=contents)).to_pylist()
    content_of = {row["sample_id"]: row["content_id"] for row in shown}
    copies: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in shown:
        copies[row["content_id"]].append(row)
    events = history.by_sample(lake.read("labels", version), content_of)
    used, withdrawn = history.uses(events)
    current: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in annotations.to_pylist():
        content = content_of.get(row["sample_id"])
        if content is not None and _state(row) not in withdrawn:
            current[content].append(row)
    asked = _strategies(lake, version)
    silenced, chosen = paused(lake, version), experts(settings)
    known = {content_of[sample]: label for sample, label in gold(lake, version).items() if sample in content_of}
    found = []
    for content, rows in sorted(current.items()):
        heard = [row for row in rows if row["annotator"] not in silenced]
        blind = [row for row in heard if asked.get((row["batch"], row["sample_id"])) in BLIND]
        told = _adjudicated(blind, chosen) if blind else None
        measured = isinstance(told, Open)
        pending = [
            row
            for row in heard
            if _state(row) not in used
            and (strategy := asked.get((row["batch"], row["sample_id"]))) != GOLD
            and not (measured and strategy in BLIND)
        ]
        its = {row["sample_id"]: events[row["sample_id"]] for row in copies[content] if row["sample_id"] in events}
        found.append(
            Case(
                content,
                _voices(heard),
                _voices([row for row in rows if row["annotator"] in silenced]),
                pending,
                copies[content],
                its,
                known.get(content),
                told,
            )
        )
    return found, gone


def _state(row: Mapping[str, Any]) -> State:
    return row["annotation_id"], row["seq"]


def _strategies(lake: Lake, version: Version) -> dict[tuple[str, str], str]:
    """Why each (batch, sample) was asked."""
    rows = lake.latest("batches", version, ["batch", "sample_id", "strategy"])
    tasks = zip(rows["batch"].to_pylist(), rows["sample_id"].to_pylist(), strict=True)
    return dict(zip(tasks, rows["strategy"].to_pylist(), strict=True))


def _adjudicated(rows: Sequence[Mapping[str, Any]], chosen: Sequence[str]) -> Adjudicated | Open:
    newest = _voices(rows)
    return adjudicate([Voice(row["annotator"], row["answer"], row["label"]) for row in newest], chosen)


def _as_today(annotations: pa.Table, classes: Classes) -> tuple[pa.Table, int]:
    """Answers with their classes as they are called today, and the number of those left out that can't be."""
    labels = classes.read(annotations["label"], annotations["seq"], reveal=True)
    known = {name: classes.concern(name) is None for name in pc.unique(labels).drop_null().to_pylist()}
    usable = pc.is_in(labels, value_set=pa.array([name for name, fine in known.items() if fine], pa.string()))
    usable = pc.or_(usable, pc.is_null(annotations["label"].combine_chunks()))
    today = annotations.set_column(annotations.column_names.index("label"), "label", labels).filter(usable)
    return today, annotations.num_rows - today.num_rows


def _voices(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One voice a person: the newest answer of each, by annotator."""
    newest = {row["annotator"]: dict(row) for row in sorted(rows, key=lambda row: (row["seq"], row["annotation_id"]))}
    return [newest[name] for name in sorted(newest)]
