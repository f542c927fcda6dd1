"""`secondlook commit`: answers that no decision has used yet become decisions, and those become label events."""

import json as json_format
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import history
from secondlook.labeling.consensus import decide as consensus
from secondlook.labeling.consensus.decide import Decision, Undecided, Vote
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

GONE = "of a class that is gone or waits for a sign-off"
READ = ("annotations", "labels", "samples", "classes")


@dataclass(frozen=True)
class Case:
    """One content that people answered for: its voices (one a person), and all samples that show it.

    `pending`: annotations that no decision has used yet; empty where there is nothing new to decide.
    """

    content: str
    voices: list[dict[str, Any]]
    pending: list[dict[str, Any]]
    copies: list[dict[str, Any]]


def run(
    lake: Lake,
    settings: Settings,
    *,
    min_probability: float | None = None,
    new_classes: bool = False,
    with_model: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Decide what is not decided yet, and append the decisions to the history of labels.

    Answers for equal pictures are one case, and its decision goes to each of them by an event of its own. Returns decided (samples that
    were asked for), changed, confirmed, first (unlabeled until now), spread (events of equal pictures), undecided by reason, and the
    version (None where there was nothing to decide).
    """
    least = settings.review.min_probability if min_probability is None else min_probability
    version = lake.at()
    read = (*READ, "predictions", "models") if with_model else READ
    inputs = {"min_probability": least, "new_classes": new_classes, "with_model": with_model} | {
        "tables": {name: version.tables.get(name) for name in read}
    }
    done = lake.find("commit", inputs)
    if done:
        return dict(done.summary) | {"version": done.id}
    classes = read_classes(lake, version)
    cases, gone = _cases(lake, version, classes)
    known = dataset.class_names(lake, version)
    results = _decide(lake, version, cases, known, least, with_model)
    rows, summary = _events(results, now or datetime.now(UTC))
    if gone:
        summary["undecided"][GONE] = gone
    added = in_order({row["label"] for row in rows} - set(known))
    shown = [classes.shown(name) for name in added]
    if added and not new_classes:
        raise UserError(
            f"the answers name {len(added)} new class{'es' * (len(added) > 1)}: {', '.join(shown[:20])}; "
            "--new-classes adds them"
        )
    summary["new_classes"] = shown
    if not rows:
        return summary
    attempt = lake.attempt("commit", inputs, base=version)
    attempt.append("labels", rows_of("labels", rows))
    if added:
        attempt.append("classes", rows_of("classes", [_added(name, now or datetime.now(UTC)) for name in added]))
    return summary | {"version": attempt.commit(summary).id}


def _added(name: str, now: datetime) -> dict[str, Any]:
    return {"name": name, "event": "added", "into": None, "actor": "review", "time": now}


def _cases(lake: Lake, version: Version, classes: Classes) -> tuple[list[Case], int]:
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
    used, withdrawn = history.uses(history.by_sample(lake.read("labels", version), content_of))
    current: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in annotations.to_pylist():
        content = content_of.get(row["sample_id"])
        if content is not None and (row["annotation_id"], row["seq"]) not in withdrawn:
            current[content].append(row)
    return [
        Case(
            content,
            _voices(rows),
            [row for row in rows if (row["annotation_id"], row["seq"]) not in used],
            copies[content],
        )
        for content, rows in sorted(current.items())
    ], gone


def _as_today(annotations: pa.Table, classes: Classes) -> tuple[pa.Table, int]:
    """Answers with their classes as they are called today, and the number of those left out that can't be."""
    labels = classes.read(annotations["label"], annotations["seq"], reveal=True)
    known = {name: classes.concern(name) is None for name in pc.unique(labels).drop_null().to_pylist()}
    usable = pc.is_in(labels, value_set=pa.array([name for name, fine in known.items() if fine], pa.string()))
    usable = pc.or_(usable, pc.is_null(annotations["label"].combine_chunks()))
    today = annotations.set_column(annotations.column_names.index("label"), "label", labels).filter(usable)
    return today, annotations.num_rows - today.num_rows


def _voices(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One voice a person: the newest answer of each, by annotator."""
    newest = {row["annotator"]: row for row in sorted(rows, key=lambda row: (row["seq"], row["annotation_id"]))}
    return [newest[name] for name in sorted(newest)]


def _decide(
    lake: Lake, version: Version, cases: Sequence[Case], known: Sequence[str], least: float, with_model: bool
) -> list[tuple[Case, Decision | Undecided]]:
    """The pending cases with what comes of them; how reliable people are is estimated on all cases."""
    votes = [
        Vote(n, row["annotator"], row["label"], row["answer"]) for n, case in enumerate(cases) for row in case.voices
    ]
    classes = in_order({*known, *(vote.label for vote in votes if vote.label is not None)})
    probs = None
    if with_model:
        probs = _model_voice(lake, version, [(cases[vote.item].content, vote.label) for vote in votes], len(classes))
    decided = consensus.decide(votes, classes, min_probability=least, model_probs=probs)
    return [(case, result) for case, result in zip(cases, decided, strict=True) if case.pending]


def _model_voice(lake: Lake, version: Version, wanted: Sequence[tuple[str, str | None]], classes: int) -> list[float]:
    """The newest model's probability of each (content, class); 1 / K where it has not seen the content or the class.

    A class outside the top k that are kept shares what mass they leave with the others outside, and has no more than
    the least probable that is kept.
    """
    model = dataset.newest_model(lake, version)
    number = {name: n for n, name in enumerate(model.classes)}
    kept = dataset.predictions(lake, version, model.name)
    mine = pc.is_in(kept["content_id"], value_set=pa.array(sorted({content for content, _ in wanted}), pa.string()))
    probs = {row["content_id"]: row for row in kept.filter(mine).to_pylist()}
    voice = []
    for content, label in wanted:
        row, index = probs.get(content), number.get(label or "")
        if row is None or index is None:
            voice.append(1.0 / max(classes, 2))
        elif index in row["classes"]:
            voice.append(row["probs"][row["classes"].index(index)])
        else:
            left = (1.0 - sum(row["probs"])) / max(len(number) - len(row["probs"]), 1)
            voice.append(min(max(left, 0.0), *row["probs"]))
    return voice


def _events(
    results: Sequence[tuple[Case, Decision | Undecided]], now: datetime
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    undecided: Counter[str] = Counter()
    for case, result in results:
        if isinstance(result, Undecided):
            undecided[result.reason] += 1
            continue
        for row, kind in _of_case(case, result):
            rows.append(row | {"source": "review", "time": now})
            counts[kind] += 1
    asked = counts["changed"] + counts["confirmed"] + counts["first"]
    summary = {"decided": asked, **{kind: counts[kind] for kind in ("changed", "confirmed", "first", "spread")}}
    return rows, summary | {
        "undecided": dict(sorted(undecided.items())),
        "batches": sorted({row["batch"] for row in rows}),
        "version": None,
    }


def _of_case(case: Case, decision: Decision) -> list[tuple[dict[str, Any], str]]:
    """The events of a decision: for each sample that people were asked for, and for its copies that differ."""
    newest = max(case.pending, key=lambda row: (row["seq"], row["batch"]))
    named = [row["annotator"] for row in case.voices if row["label"] is not None]
    actor = named[0] if len(named) == 1 else "consensus"
    asked = {row["sample_id"] for row in case.voices} | {row["sample_id"] for row in case.pending}
    votes = [
        {"annotator": row["annotator"], "answer": row["label"] or row["answer"]}
        | {"seconds": row["seconds"], "annotation": row["annotation_id"], "seq": row["seq"]}
        for row in [*case.voices, *(row for row in case.pending if row not in case.voices)]
    ]
    sure = {"probability": round(decision.probability, 6)}
    evidence = sure | {"votes": votes, "overruled": list(decision.overruled)}
    origin = next(copy for copy in case.copies if copy["sample_id"] in asked)
    made: list[tuple[dict[str, Any], str]] = []
    for copy in case.copies:
        event = {"sample_id": copy["sample_id"], "label": decision.label, "actor": actor, "batch": newest["batch"]}
        if copy["sample_id"] in asked:
            kind = "first" if copy["label"] is None else "confirmed" if copy["label"] == decision.label else "changed"
            made.append((event | {"evidence": json_format.dumps(evidence, ensure_ascii=False)}, kind))
        elif copy["label"] != decision.label:
            spread = sure | {"spread_from": origin["sample_id"], "spread_from_key": origin["key"]}
            made.append((event | {"evidence": json_format.dumps(spread, ensure_ascii=False)}, "spread"))
    return made


def commit(
    min_probability: Annotated[
        float | None,
        typer.Option(
            "--min-probability", min=0.5, max=1.0, help="Decide where the consensus is at least this probable."
        ),
    ] = None,
    new_classes: Annotated[bool, typer.Option("--new-classes", help="Add classes that only the answers name.")] = False,
    with_model: Annotated[
        bool, typer.Option("--with-model", help="Count the newest model's probabilities as one more voice.")
    ] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Answers become label decisions and a new version.

    Each picture's answers are weighed by how often each person agrees with the others. Where the best class is probable enough it becomes the
    label, of equal pictures too; the rest stays open, and the reason is said. With nothing to decide, no version is made.

    Example:

        secondlook commit --min-probability 0.8
    """
    chosen = read_settings(settings, lake)
    summary = run(
        Lake.open(chosen.lake), chosen, min_probability=min_probability, new_classes=new_classes, with_model=with_model
    )
    finish(summary, as_json=json, lines=lambda: out().print(told(summary), markup=False))


def told(summary: Mapping[str, Any]) -> str:
    """What a commit did, in a sentence."""
    open_cases = ", ".join(f"{n} {reason}" for reason, n in summary["undecided"].items())
    left = f"{sum(summary['undecided'].values())} left open ({open_cases})" if open_cases else ""
    if summary["version"] is None:
        return f"nothing to decide{': ' + left if left else ''}; no version made"
    parts = [f"{summary['decided']} decided: {summary['changed']} changed, {summary['confirmed']} confirmed"]
    parts[0] += f", {summary['first']} labeled for the first time"
    if summary["spread"]:
        parts.append(f"{summary['spread']} equal pictures follow")
    return "; ".join([*parts, *([left] if left else [])]) + f" (version {summary['version']})"
