"""What people's time has brought so far: labels fixed, hours worked, and the next hour."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pyiceberg.expressions import NotEqualTo

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.given import Given
from secondlook.jobs.review.decisions import unmade
from secondlook.labeling import history
from secondlook.labeling.people.speed import Speeds, worked
from secondlook.labeling.people.stopping import Pace, pace
from secondlook.pipeline.core.seeds import generator

FIXING = ("review",)  # sources of label events that people's answers make
MEASURES = ("audit", "verify")  # strategies that measure: their answers fix labels as well, but are not asked for that


class Brought(NamedTuple):
    """What answers came to, by annotation: how many labels each fixed, and those whose decision was taken back."""

    fixed: Mapping[str, int]
    undone: frozenset[str]


@dataclass(frozen=True)
class Progress:
    """The pace of the answers that are there to fix labels; and hours that are not in it, of answers that measure and that wait for a commit."""

    pace: Pace | None
    measuring: float
    waiting: float


def brought(lake: Lake, version: Version) -> Brought:
    """What the decisions of a version that still hold came to.

    A label is fixed where it is another than before people's answers, or the first. The decision that made it counts for the last of its
    answers; equal pictures that followed count, too. What was reverted, or is not decided any more since it was weighed anew, fixed nothing.
    """
    events = lake.read("labels", version)
    people = lake.read("labels", version, ["sample_id"], NotEqualTo("source", "ingest"))  # type: ignore[call-arg, arg-type]
    found: dict[str, int] = defaultdict(int)
    spread: dict[tuple[str, int], int] = defaultdict(int)
    standing: set[str] = set()
    undone: set[str] = set()
    for its in history.by_sample(events, set(people["sample_id"].to_pylist())).values():
        gone = history.withdrawn(its) | unmade(its)
        for event in its:
            if event.source in FIXING:
                mine = {vote["annotation"] for vote in event.evidence.get("votes", ())}
                (undone if event.seq in gone else standing).update(mine)
        for event in _fixes(its, gone):
            if "votes" in event.evidence:
                found[_last(event)] += 1
            else:
                spread[event.evidence["spread_from"], event.seq] += 1
    if spread:
        _follow(events, spread, found)
    return Brought(dict(found), frozenset(undone - standing))


def _fixes(its: Sequence[history.Event], gone: Collection[int]) -> list[history.Event]:
    """The decisions that gave one sample a label that it did not have before people answered."""
    found: list[history.Event] = []
    fix: history.Event | None = None
    before = now = None
    for event in its:
        if event.seq in gone or event.source == "revert":
            continue
        if event.source in FIXING and ("votes" in event.evidence or "spread_from" in event.evidence):
            if event.label == before:
                fix = None
            elif event.label != now:
                fix = event
            now = event.label
            continue
        found += [fix] if fix else []
        fix, before, now = None, event.label, event.label
    return found + ([fix] if fix else [])


def _last(event: history.Event) -> str:
    return str(max(event.evidence["votes"], key=lambda vote: (vote["seq"], vote["annotation"]))["annotation"])


def _follow(events: Any, spread: dict[tuple[str, int], int], found: dict[str, int]) -> None:
    """Credit equal pictures' labels to the answers to the picture that was asked for."""
    for sample_id, its in history.by_sample(events, {sample_id for sample_id, _ in spread}).items():
        for event in its:
            if event.evidence.get("votes") and (sample_id, event.seq) in spread:
                found[_last(event)] += spread[sample_id, event.seq]


def progress(lake: Lake, version: Version, answered: Sequence[Given], speeds: Speeds) -> Progress:
    """Labels fixed an hour and the next hour's forecast, from answers that a decision could use.

    Answers that came after the newest commit wait for a decision. The forecast goes by what still counts: not by answers whose decision was
    taken back, nor by those of paused people; their hours were worked all the same. An unknown time counts as the mean.
    """
    decided = lake.newest("commit", version)
    last = decided.seq if decided else 0
    measuring = [one for one in answered if one.strategy in MEASURES]
    asked = [one for one in answered if one.strategy not in MEASURES]
    mine = [one for one in asked if one.seq < last]
    waiting = [one for one in asked if one.seq >= last]
    what, silent = brought(lake, version), paused(lake, version)
    counts = [what.fixed.get(one.annotation_id, 0) for one in mine]
    stands = [one.annotation_id not in what.undone and one.annotator not in silent for one in mine]
    found = pace(counts, _seconds(mine, speeds), generator(0, "next hour"), stands=stands) if mine else None
    return Progress(found, sum(_seconds(measuring, speeds)) / 3600, sum(_seconds(waiting, speeds)) / 3600)


def _seconds(some: Sequence[Given], speeds: Speeds) -> list[float]:
    cut = iter(worked([one.seconds for one in some if one.seconds is not None]).tolist())
    return [speeds.of(one.strategy) if one.seconds is None else next(cut) for one in some]
