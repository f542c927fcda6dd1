"""What people tagged comes back into the lake, in one commit: `keep`, `label:NAME` and `drop` as decisions, `relabel` as a batch.

A tag is an answer of the person who pulls it, so it is written as one, and the decision names it as its vote: status, consensus
and revert treat it as any other. Its evidence says `explore`, and what was tagged.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.explore.dataset import pulls
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.dropped import DROP
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling import history
from secondlook.labeling.answers import annotation_id
from secondlook.pipeline.core.errors import unknown

STRATEGY = "explore"  # in the table `batches`
RELABEL, KEEP, LABEL = "relabel", "keep", "label:"
REFUSALS = ("gone", "contradicting", "changed", "without a label", "unknown class")


@dataclass(frozen=True)
class Tagged:
    """A sample's tags in FiftyOne that mean something, and the label that the person saw beside them."""

    sample_id: str
    tags: tuple[str, ...]
    seen: str | None


@dataclass(frozen=True)
class Wish:
    """What a person wants of a content, who tagged some of its samples: one of RELABEL, KEEP, DROP, or LABEL with a class."""

    content: str
    tag: str
    samples: tuple[str, ...]
    label: str | None


def take_back(
    lake: Lake, tagged: Sequence[Tagged], *, opened: int, actor: str, now: datetime
) -> tuple[dict[str, Any], list[str]]:
    """Write what was tagged, once; returns the summary, and the samples whose tags are in the lake by now.

    `opened`: the version that the person saw. Summary: kept, labeled, dropped (samples), asked (contents for the next people), known (pulled
    before), refused: reason → keys; batch (of the decisions), queue (of what is asked), version (None where nothing changed).
    """
    version = lake.at()
    seen_at = lake.at(opened).seq if any(one.id == opened for one in lake.versions.all()) else 0
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "key", "label"])
    wishes, refused = _wishes(tagged, samples.to_pylist(), dataset.class_names(lake, version))
    new, known = _new(lake, version, wishes, seen_at)
    inputs = {"wishes": [(one.content, one.tag, one.label) for one in new], "actor": actor, "opened": opened}
    tables = {name: version.tables.get(name) for name in ("labels", "batches", "annotations")}
    attempt = lake.attempt("explore pull", inputs | {"tables": tables}, base=version)
    decisions, queue = f"explore-{attempt.seq}", f"batch-{attempt.seq}"
    decided, asked = [one for one in new if one.tag != RELABEL], [one for one in new if one.tag == RELABEL]
    copies = defaultdict(list)
    for row in samples.to_pylist():
        copies[row["content_id"]].append(row)
    events = [
        event for one in decided for event in _events(one, copies[one.content], decisions, actor, attempt.seq, now)
    ]
    counts = {
        what: sum(len(one.samples) for one in decided if one.tag.startswith(tag))
        for what, tag in (("kept", KEEP), ("labeled", LABEL), ("dropped", DROP))
    }
    summary: dict[str, Any] = counts | {
        "asked": len(asked),
        "known": sum(len(one.samples) for one in known),
        "refused": refused,
        "batch": decisions if decided else None,
        "queue": queue if asked else None,
        "version": None,
    }
    safe = [sample for one in (*new, *known) for sample in one.samples]
    if not new:
        return summary, safe
    choices = dataset.class_names(lake, version)
    tasks = [
        {
            "batch": name,
            "sample_id": one.samples[0],
            "position": n,
            "strategy": STRATEGY,
            "choices": choices,
            "time": now,
        }
        for name, some in ((decisions, decided), (queue, asked))
        for n, one in enumerate(some)
    ]
    attempt.append("batches", rows_of("batches", tasks))
    attempt.append("annotations", rows_of("annotations", [_answer(one, decisions, actor, now) for one in decided]))
    attempt.append("labels", rows_of("labels", events))
    return summary | {"version": attempt.commit(summary).id}, safe


def _wishes(
    tagged: Sequence[Tagged], samples: Sequence[Mapping[str, Any]], classes: Sequence[str]
) -> tuple[list[Wish], dict[str, list[str]]]:
    """What is wanted of each content, and (reason → keys) what can't be done."""
    here = {row["sample_id"]: row for row in samples}
    refused: dict[str, list[str]] = defaultdict(list)
    wanted: dict[str, dict[tuple[str, str | None], list[str]]] = defaultdict(lambda: defaultdict(list))
    for one in sorted(tagged, key=lambda one: one.sample_id):
        sample = here.get(one.sample_id)
        reason, tag = _refusal(one, sample, classes)
        if reason or sample is None:
            refused[reason].append(sample["key"] if sample else one.sample_id)
            continue
        label = tag.removeprefix(LABEL) if tag.startswith(LABEL) else sample["label"] if tag == KEEP else None
        wanted[sample["content_id"]][tag, label].append(one.sample_id)
    wishes = []
    for content, by_tag in wanted.items():
        if len(by_tag) > 1:  # equal pictures, of which different things are wanted
            refused["contradicting"] += [here[sample]["key"] for its in by_tag.values() for sample in its]
            continue
        [((tag, label), its)] = by_tag.items()
        wishes.append(Wish(content, tag, tuple(its), label))
    return wishes, {reason: sorted(keys) for reason, keys in refused.items()}


def _refusal(one: Tagged, sample: Mapping[str, Any] | None, classes: Sequence[str]) -> tuple[str, str]:
    """Why a sample's tags can't be taken ("": they can), and its one tag."""
    tags = pulls(one.tags)
    if sample is None:
        return "gone", ""
    if len(set(tags)) != 1:
        return "contradicting", ""
    [tag] = set(tags)
    if tag == KEEP and sample["label"] is None:
        return "without a label", tag
    if tag == KEEP and sample["label"] != one.seen:
        return "changed", tag  # the person confirmed another label than the one that holds by now
    named = tag.removeprefix(LABEL) if tag.startswith(LABEL) else sample["label"] if tag == KEEP else None
    if named is not None and named not in classes:
        return "unknown class", tag
    return "", tag


def _new(lake: Lake, version: Version, wishes: Sequence[Wish], seen_at: int) -> tuple[list[Wish], list[Wish]]:
    """Wishes that are not in the lake yet, and those that are: pulled since the person opened the dataset, or holding."""
    events = history.by_sample(lake.read("labels", version), [sample for one in wishes for sample in one.samples])
    asked = lake.latest("batches", version, ["seq", "batch", "sample_id", "strategy"])
    asked = asked.filter(pc.equal(asked["strategy"], STRATEGY))
    answered = lake.latest("annotations", version, ["batch", "sample_id"])
    done = set(zip(answered["batch"].to_pylist(), answered["sample_id"].to_pylist(), strict=True))
    waiting = {
        row["sample_id"]
        for row in asked.to_pylist()
        if row["seq"] > seen_at or (row["batch"], row["sample_id"]) not in done
    }

    def is_known(one: Wish, sample: str) -> bool:
        if one.tag == RELABEL:
            return sample in waiting
        its = events.get(sample, [])
        return any(
            event.evidence.get("explore") == one.tag and (event.seq > seen_at or event is its[-1]) for event in its
        )

    known = [one for one in wishes if any(is_known(one, sample) for sample in one.samples)]
    return [one for one in wishes if one not in known], known


def _answer(one: Wish, batch: str, actor: str, now: datetime) -> dict[str, Any]:
    sample = one.samples[0]
    return {
        "annotation_id": annotation_id(batch, sample, actor),
        "batch": batch,
        "sample_id": sample,
        "annotator": actor,
        "answer": "bad picture" if one.tag == DROP else "label",
        "label": one.label,
        "state": "submitted",
        "time": now,
        "origin": STRATEGY,
    }


def _events(
    one: Wish, copies: Sequence[Mapping[str, Any]], batch: str, actor: str, seq: int, now: datetime
) -> list[dict[str, Any]]:
    """The decision on the samples that were tagged, and on those of equal pictures whose label differs."""
    asked = one.samples[0]
    vote: dict[str, Any] = {"annotator": actor, "answer": one.label or "bad picture", "seconds": None}
    vote |= {"annotation": annotation_id(batch, asked, actor), "seq": seq}
    keys = {row["sample_id"]: row["key"] for row in copies}
    made = []
    for row in copies:
        if row["sample_id"] in one.samples:
            evidence = {"explore": one.tag, "votes": [vote]}
        elif row["label"] != one.label or one.tag == DROP:
            evidence = {"explore": one.tag, "spread_from": asked, "spread_from_key": keys[asked]}
        else:
            continue
        text = json.dumps(evidence, ensure_ascii=False)
        event = {"sample_id": row["sample_id"], "label": one.label, "source": "review", "actor": actor}
        made.append(event | {"batch": batch, "time": now, "evidence": text})
    return made


def tagged(fo: Any, name: str) -> tuple[list[Tagged], int]:
    """All samples of a dataset with tags that mean something, and the version that it shows."""
    from secondlook.jobs.explore.dataset import KEY

    if not fo.dataset_exists(name):
        raise unknown("dataset in FiftyOne (`secondlook explore` makes it)", name, fo.list_datasets("secondlook-*"))
    held = fo.load_dataset(name)
    ids, tags, seen = held.match(fo.ViewField("tags").length() > 0).values([KEY, "tags", "label.label"])
    found = [
        Tagged(one, tuple(pulls(marks)), label)
        for one, marks, label in zip(ids, tags, seen, strict=True)
        if one is not None and pulls(marks)
    ]
    return found, int(held.info.get("secondlook", {}).get("version", 0))


def untag(fo: Any, name: str, samples: Sequence[str], tagged: Sequence[Tagged]) -> None:
    """Take the tags off that are in the lake by now, so that what is left to do is what is still tagged."""
    from secondlook.jobs.explore.dataset import KEY

    mine = [one for one in tagged if one.sample_id in set(samples)]
    if mine:
        view = fo.load_dataset(name).match(fo.ViewField(KEY).is_in([one.sample_id for one in mine]))
        view.untag_samples(sorted({tag for one in mine for tag in one.tags}))
