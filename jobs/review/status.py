"""`secondlook review status`: how far people are, what their time brings, what is left, and whether to stop."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import verified
from secondlook.jobs.people import human, stop
from secondlook.jobs.people.compare import on_verified
from secondlook.jobs.people.given import given
from secondlook.jobs.people.pace import speeds
from secondlook.jobs.people.roster import run_roster
from secondlook.jobs.people.roster import told as told_person
from secondlook.jobs.review import amplify
from secondlook.jobs.review.decisions import unmade
from secondlook.jobs.share.adjudicated import audit as read_audit
from secondlook.jobs.share.share import population_of, progress, told_progress
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import history
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.statistics import Share


def run_status(lake: Lake, *, as_of: str | int | None = None) -> list[dict[str, Any]]:
    """Batches, oldest first: batch, time, asked, answered (samples with an answer), decided, reverted.

    A sample is decided where a decision of this batch, or of an equal picture or a later batch, used its answers. Where that was weighed anew since and
    would not be decided any more, it isn't.
    """
    version = lake.at(as_of)
    asked = lake.latest("batches", version).sort_by([("seq", "ascending"), ("batch", "ascending")])
    annotations = lake.latest("annotations", version)
    given = annotations.filter(pc.not_equal(annotations["state"], "deleted")).to_pylist()
    answered = {(row["batch"], row["sample_id"]) for row in given}
    labels = lake.read("labels", version)
    touched = pc.unique(labels.filter(pc.equal(labels["source"], "review"))["sample_id"]).to_pylist()
    events = history.by_sample(labels, touched)
    used, withdrawn = history.uses(events)
    used &= _decided(events)
    states = {(row["annotation_id"], row["seq"]): (row["batch"], row["sample_id"]) for row in given}
    decided = {states[state] for state in used if state in states}
    reverted = {states[state] for state in withdrawn if state in states}
    batches: dict[str, dict[str, Any]] = {}
    for row in asked.select(["batch", "sample_id", "time"]).to_pylist():
        fresh = {"batch": row["batch"], "time": row["time"].isoformat() if row["time"] else None}
        counts = batches.setdefault(
            row["batch"], fresh | dict.fromkeys(("asked", "answered", "decided", "reverted"), 0)
        )
        task = (row["batch"], row["sample_id"])
        counts["asked"] += 1
        for name, tasks in (("answered", answered), ("decided", decided), ("reverted", reverted)):
            counts[name] += task in tasks
    return list(batches.values())


def _decided(events: Mapping[str, Sequence[history.Event]]) -> set[tuple[str, int]]:
    """The states of annotations that decisions were made of which were not dropped when they were weighed anew."""
    found: set[tuple[str, int]] = set()
    for its in events.values():
        dropped = unmade(its)
        for event in its:
            if event.seq not in dropped and "undecided" not in event.evidence:
                found.update((vote["annotation"], vote["seq"]) for vote in event.evidence.get("votes", ()))
    return found


def status(
    as_of: AsOfOption = None, lake: LakeOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """How far people are, what their time brings, how many errors are left, and whether to stop.

    Batches and how far they are answered and decided; who answers and who is paused; what a person would score here; how many labels an hour of
    people's time has fixed, with an interval, and what the next hour is expected to fix. Where that is less than [review] least_fixed, or worth less than it costs
    ([review] worth_per_label, price_per_hour), it says *stop*. The forecast goes by the hours before, and knows nothing of new kinds of batches.

    Example:

        secondlook review status
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    found = everything(opened, chosen, as_of=as_of)
    finish(found, as_json=json, lines=lambda: _print(found))


def everything(lake: Lake, settings: Settings, *, as_of: str | int | None = None) -> dict[str, Any]:
    """All that `review status` tells: batches, audit, verified (by split), annotators, seconds, human, amplified, and what `stop.run` says."""
    version = lake.at(as_of)
    answered = given(lake, version)
    audited = read_audit(lake, version, settings)
    pace = speeds(lake, version, default=settings.review.seconds_per_label)
    return {
        "batches": run_status(lake, as_of=as_of),
        "audit": progress(lake, version, audited, population_of(lake, audited)) if audited else None,
        "verified": verified_by_split(lake, version),
        "annotators": run_roster(lake, settings, as_of=as_of, answered=answered),
        "seconds": {"mean": round(pace.mean, 2), "answers": pace.answers}
        | {"interval": [round(pace.interval.low, 2), round(pace.interval.high, 2)]}
        | {"by_strategy": {name: round(value, 2) for name, value in sorted(pace.by_kind.items())}},
        "human": human.human_error(lake, version, settings, answered),
        "amplified": amplify.told(lake, version),
        "worth": stop.run(lake, version, settings, answered, pace),
    }


def verified_by_split(lake: Lake, version: Version) -> dict[str, dict[str, Any]]:
    """How many samples of each split are verified, of how many, and the newest model there; splits without a verified one are left out."""
    sure = verified(lake, version)
    samples = dataset.samples(lake, version).select(["sample_id", "split"]) if sure else None
    if samples is None:
        return {}
    samples = samples.set_column(1, "split", samples["split"].fill_null(""))
    total = Counter(samples["split"].to_pylist())
    mine = pc.is_in(samples["sample_id"], value_set=pa.array(sorted(sure), pa.string()))
    counts = Counter(samples["split"].filter(mine).to_pylist())
    right = on_verified(lake, version)
    return {
        split: {"verified": n, "samples": total[split], "model": _model(right.get(split))}
        for split, n in sorted(counts.items())
    }


def _model(right: Share | None) -> dict[str, Any] | None:
    """How right the newest model is there; None where there is no model."""
    if right is None:
        return None
    ends = [round(right.interval.low, 4), round(right.interval.high, 4)]
    return {"right": right.k, "n": right.n, "value": round(right.value, 4), "interval": ends}


def _print(found: Mapping[str, Any]) -> None:
    for line in lines(found):
        out().print(line, markup=False)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What `everything` found, for people."""
    rows = found["batches"]
    width = max((len(row["batch"]) for row in rows), default=0)
    for row in rows:
        counts = ", ".join(f"{row[name]} {name}" for name in ("asked", "answered", "decided"))
        yield f"{row['batch']:<{width}}  {counts}" + (
            f", {row['reverted']} of them reverted" if row["reverted"] else ""
        )
    if not rows:
        yield "no batches yet; `secondlook review push` makes one"
    if found["audit"]:
        yield from told_progress(found["audit"])
        yield "`secondlook share` says what it tells"
    for split, one in found["verified"].items():
        where = f"of split {split}" if split else "of pictures in no split"
        model = one["model"]
        right = ""
        if model:
            low, high = model["interval"]
            right = f"; the newest model is right on {model['value']:.1%} of {model['n']:,} of them ({low:.1%} to {high:.1%})"
        yield f"verified: {one['verified']:,} of {one['samples']:,} {where}{right}"
    if found["annotators"]:
        yield from ("; ".join(told_person(row)) for row in found["annotators"])
        yield _seconds(found["seconds"])
    if found["human"]:
        yield from human.told(found["human"])
    if found["amplified"]:
        yield _amplified(found["amplified"])
    yield from stop.told(found["worth"])


def _seconds(one: Mapping[str, Any]) -> str:
    if not one["answers"]:
        return f"no answer has a time yet; budgets go by {one['mean']:.1f} s"
    low, high = one["interval"]
    return f"an answer takes {one['mean']:.1f} s ({low:.1f} to {high:.1f}), from {one['answers']:,} answers"


def _amplified(one: Mapping[str, Any]) -> str:
    """What amplification came to: labels for each answer, and how many of those that were checked are wrong."""
    many = f"{one['labels']:,} labels amplified from {one['answers']:,} answers"
    if one["labels_per_answer"] is not None:
        many += f", {one['labels_per_answer']:g} for each"
    if not one["checked"]:
        return f"{many}; nobody has checked any yet"
    low, high = one["interval"]
    return f"{many}; {one['wrong']} of {one['checked']:,} that were checked are wrong ({low:.1%} to {high:.1%})"
