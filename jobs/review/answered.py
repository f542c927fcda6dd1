"""What people found of the pictures that they looked at, a content at a time: what amplification learns from and is checked by."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.answers import answers
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.annotators import paused

AMPLIFIED = "amplified"  # source of the label events of amplification: one of schemas.LABEL_SOURCES
RANDOM = "random"  # strategy of what was drawn by chance from all that nobody had been asked for
CHECK = "amplified"  # strategy of what was drawn by chance from the amplified labels alone


@dataclass(frozen=True)
class Looked:
    """A content that people answered for. `label`: what they say that it is; None: none of the classes, or they don't agree.

    `answers`: how many there are. `chance`: whether the picture was drawn at random among all, `check` among the amplified ones. `before`: (source, label) of the label that it had when
    it was first asked for; source "" where it had none.
    """

    content_id: str
    label: str | None
    answers: int
    chance: bool
    check: bool
    before: tuple[str, str | None]


def looked(lake: Lake, version: Version) -> list[Looked]:
    """All contents with answers that hold, of people who are not paused, by content.

    A decision is what people say; where there is none yet, what all of them agree on.
    """
    rows = answers(lake, version)
    rows = rows.filter(
        pc.invert(pc.is_in(rows["annotator"], value_set=pa.array(sorted(paused(lake, version)), pa.string())))
    )
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "label"])
    content = dict(zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True))
    said: dict[str, list[str | None]] = defaultdict(list)
    for row in rows.select(["sample_id", "label"]).to_pylist():
        if row["sample_id"] in content:
            said[content[row["sample_id"]]].append(row["label"])
    mine = samples.filter(pc.is_in(samples["content_id"], value_set=pa.array(sorted(said), pa.string())))
    label = {row["content_id"]: row["label"] for row in mine.to_pylist() if row["label"] is not None}
    events = _events(lake, version, mine, content)
    asked = _asked(lake, version, content)
    return [
        _looked(one, votes, label.get(one), events.get(one, []), asked.get(one, (0, "")))
        for one, votes in sorted(said.items())
    ]


def _looked(
    content: str,
    votes: list[str | None],
    label: str | None,
    events: list[dict[str, Any]],
    asked: tuple[int, str],
) -> Looked:
    first, strategy = asked
    before = [event for event in events if event["seq"] < first]
    decided = bool(events) and events[-1]["source"] == "review"
    agreed = votes[0] if len(set(votes)) == 1 else None
    had = (before[-1]["source"], before[-1]["label"]) if before and before[-1]["label"] is not None else ("", None)
    return Looked(content, label if decided else agreed, len(votes), strategy == RANDOM, strategy == CHECK, had)


def _events(lake: Lake, version: Version, mine: pa.Table, content: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """The label events of some samples by content, in commit order, labels as they read today."""
    from secondlook.jobs.lake.classes import read as read_classes

    rows = lake.read("labels", version, ["sample_id", "seq", "source", "label"])
    rows = rows.filter(pc.is_in(rows["sample_id"], value_set=mine["sample_id"].combine_chunks())).sort_by("seq")
    rows = rows.set_column(3, "label", read_classes(lake, version).read(rows["label"], rows["seq"]))
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows.to_pylist():
        found[content[row["sample_id"]]].append(row)
    return found


def _asked(lake: Lake, version: Version, content: dict[str, str]) -> dict[str, tuple[int, str]]:
    """For each content the commit that asked for it first, and its strategy."""
    rows = lake.latest("batches", version, ["seq", "sample_id", "strategy"]).sort_by([("seq", "descending")])
    return {
        content[row["sample_id"]]: (row["seq"], row["strategy"])
        for row in rows.to_pylist()
        if row["sample_id"] in content
    }
