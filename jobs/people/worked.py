"""What people's time has brought so far: labels fixed, hours worked, and the next hour."""

from collections import defaultdict
from typing import Any

from pyiceberg.expressions import NotEqualTo

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.given import Given
from secondlook.labeling import history
from secondlook.labeling.people.speed import Speeds, worked
from secondlook.labeling.people.stopping import Pace, pace
from secondlook.pipeline.core.seeds import generator

FIXING = ("review",)  # sources of label events that people's answers make
MEASURES = ("audit", "verify")  # strategies that measure: their answers fix labels as well, but are not asked for that


def fixed_by_answer(lake: Lake, version: Version) -> dict[str, int]:
    """How many labels each annotation fixed, by id: the decision that used it first changed a label, or gave the first one.

    A decision of several answers counts for the last of them; what was reverted fixed nothing; equal pictures that followed count, too.
    """
    events = lake.read("labels", version)
    people = lake.read("labels", version, ["sample_id"], NotEqualTo("source", "ingest"))  # type: ignore[call-arg, arg-type]
    touched = set(people["sample_id"].to_pylist())
    found: dict[str, int] = defaultdict(int)
    spread: dict[tuple[str, int], int] = defaultdict(int)
    for its in history.by_sample(events, touched).values():
        gone = history.withdrawn(its)
        for before, event in zip([None, *its], its, strict=False):
            if event.source not in FIXING or event.seq in gone or event.label is None:
                continue
            if before is not None and before.label == event.label:
                continue
            votes = event.evidence.get("votes", ())
            if votes:
                last = max(votes, key=lambda vote: (vote["seq"], vote["annotation"]))
                found[last["annotation"]] += 1
            elif "spread_from" in event.evidence:
                spread[event.evidence["spread_from"], event.seq] += 1
    if spread:
        _follow(events, spread, found)
    return dict(found)


def _follow(events: Any, spread: dict[tuple[str, int], int], found: dict[str, int]) -> None:
    """Credit equal pictures' labels to the answers to the picture that was asked for."""
    for sample_id, its in history.by_sample(events, {sample_id for sample_id, _ in spread}).items():
        for event in its:
            votes = event.evidence.get("votes", ())
            if votes and (sample_id, event.seq) in spread:
                last = max(votes, key=lambda vote: (vote["seq"], vote["annotation"]))
                found[last["annotation"]] += spread[sample_id, event.seq]


def progress(lake: Lake, version: Version, answered: list[Given], speeds: Speeds) -> Pace | None:
    """Labels fixed an hour and the next hour's forecast, from answers that a decision could use; None without an answer.

    Answers that came after the newest commit wait for a decision, and are left out. An unknown time counts as the mean.
    """
    decided = lake.newest("commit", version)
    if decided is None:
        return None
    mine = [one for one in answered if one.seq < decided.seq and one.strategy not in MEASURES]
    if not mine:
        return None
    fixed = fixed_by_answer(lake, version)
    known = [one.seconds for one in mine if one.seconds is not None]
    cut = iter(worked(known).tolist())
    seconds = [speeds.of(one.strategy) if one.seconds is None else next(cut) for one in mine]
    counts = [fixed.get(one.annotation_id, 0) for one in mine]
    return pace(counts, seconds, generator(0, "next hour"))
