"""`secondlook commit`: answers that no decision has used yet become decisions, and those become label events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import MARK
from secondlook.jobs.review.cases import Case, cases
from secondlook.jobs.review.decisions import Outcome, events, model_says, reasons
from secondlook.jobs.studio.reconcile import before_commit
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling.adjudication import Adjudicated
from secondlook.labeling.consensus.decide import Decision, Undecided, Vote, judge
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError

GONE = "of a class that is gone or waits for a sign-off"
READ = ("annotations", "labels", "samples", "classes", "batches", "annotators", "gold")
COUNTED = ("changed", "confirmed", "first", "spread")


def run(
    lake: Lake,
    settings: Settings,
    *,
    min_probability: float | None = None,
    new_classes: bool = False,
    with_model: bool | None = None,
    again: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Decide what is not decided yet, and append the decisions to the history of labels.

    Answers for equal pictures are one case, and its decision goes to each of them by an event of its own. `with_model`: whether the newest model
    is one more voice; None: where there is one. `again`: instead, weigh anew what was decided with answers of people who are paused now, or
    without those of people who were paused then. Returns decided (samples that were asked for), changed, confirmed, first (unlabeled until now),
    spread (events of equal pictures), restored (not decided any more), undecided by reason, rests_on_paused (decisions that `again` would
    look at), and the version (None where there was nothing to decide).
    """
    least = settings.review.min_probability if min_probability is None else min_probability
    version = lake.at()
    read = (*READ, *(() if with_model is False else ("predictions", "models")))
    inputs = {
        "min_probability": least,
        "new_classes": new_classes,
        "with_model": with_model,
        "again": again,
        "consensus": settings.review.consensus,
        "experts": settings.review.experts,
        "tables": {name: version.tables.get(name) for name in read},
    }
    done = lake.find("commit", inputs)
    if done:
        return dict(done.summary) | {"version": done.id}
    classes = read_classes(lake, version)
    found, gone = cases(lake, version, settings, classes)
    known = dataset.class_names(lake, version)
    outcomes = _decide(lake, version, found, known, settings.review.consensus, least, with_model, again)
    attempt = lake.attempt("commit", inputs, base=version)
    batch = f"again-{attempt.seq}" if again else None
    stamp = now or datetime.now(UTC)
    made = [event for one in outcomes for event in events(one, classes, again=batch, now=stamp)]
    rows = [row for row, _ in made]
    summary = _summary(outcomes, made)
    summary["rests_on_paused"] = 0 if again else sum(case.shaken for case in found)
    if gone:
        summary["undecided"][GONE] = gone
    added = in_order({row["label"] for row in rows if row["label"] is not None} - set(known))
    shown = [classes.shown(name) for name in added]
    if added and not new_classes:
        raise UserError(
            f"the answers name {len(added)} new class{'es' * (len(added) > 1)}: {', '.join(shown[:20])}; "
            "--new-classes adds them"
        )
    summary["new_classes"] = shown
    if not rows:
        return summary
    attempt.append("labels", rows_of("labels", rows))
    if added:
        attempt.append("classes", rows_of("classes", [_added(name, stamp) for name in added]))
    return summary | {"version": attempt.commit(summary).id}


def _added(name: str, now: datetime) -> dict[str, Any]:
    return {"name": name, "event": "added", "into": None, "actor": "review", "time": now}


def _decide(
    lake: Lake,
    version: Version,
    found: Sequence[Case],
    known: Sequence[str],
    method: str,
    least: float,
    with_model: bool | None,
    again: bool,
) -> list[Outcome]:
    """The cases to decide with what comes of them; how reliable people are is estimated on all cases."""
    votes = [
        Vote(n, row["annotator"], row["label"], row["answer"]) for n, case in enumerate(found) for row in case.voices
    ]
    golden = {n: case.gold for n, case in enumerate(found) if case.gold is not None}
    labels = {*known, *golden.values(), *(vote.label for vote in votes if vote.label is not None)}
    voice, model = ([], "") if with_model is False else _model_voice(lake, version, found, labels, with_model)
    classes = in_order({*labels, *(name for row in voice for name in row)})
    judged = judge(
        votes, classes, min_probability=least, name=method, model=voice if any(voice) else None, known=golden
    )
    by_person: list[dict[str, float | None]] = [{} for _ in found]
    for vote, weight in zip(votes, judged.weights, strict=True):
        by_person[vote.item][vote.annotator] = weight
    told = {"name": method, **judged.found}
    outcomes = []
    for n, case in enumerate(found):
        if not (case.shaken if again else case.pending):
            continue
        result = _agreed(case, judged.results[n] if n < len(judged.results) else Undecided("unsure"))
        if isinstance(case.adjudicated, Adjudicated):
            outcomes.append(Outcome(case, result))
            continue
        row = voice[n] if voice else {}
        says = model_says(row, model, result.label if isinstance(result, Decision) else None) if row else {}
        outcomes.append(Outcome(case, result, by_person[n], says, told))
    return outcomes


def _agreed(case: Case, result: Decision | Undecided) -> Decision | Undecided:
    """The consensus; of what an audit or a verification asked for, what people agreed on there.

    No model and no estimate is in that: labels that a model is compared on, or an audit measures, must not lean on the model.
    """
    if not isinstance(case.adjudicated, Adjudicated):
        return result
    label = case.adjudicated.label
    if label is None:
        return Undecided("none of these")
    agree = sum(row["label"] == label for row in case.voices)
    overruled = sorted(row["annotator"] for row in case.voices if row["label"] not in {label, None})
    return Decision(label, agree / len(case.voices), tuple(overruled))


def _model_voice(
    lake: Lake, version: Version, found: Sequence[Case], labels: set[str], wanted: bool | None
) -> tuple[list[dict[str, float]], str]:
    """The newest model's most probable classes for each case, and the model's name.

    Where `wanted` is None and there is no model, nobody speaks. A class that nobody here can mean is left out.
    """
    try:
        model = dataset.newest_model(lake, version)
    except UserError:
        if wanted:
            raise
        return [], ""
    kept = dataset.predictions(lake, version, model.name)
    mine = pc.is_in(kept["content_id"], value_set=pa.array(sorted({case.content for case in found}), pa.string()))
    rows = {row["content_id"]: row for row in kept.filter(mine).to_pylist()}
    voice: list[dict[str, float]] = []
    for case in found:
        row = rows.get(case.content)
        told = {} if row is None else dict(zip((model.classes[n] for n in row["classes"]), row["probs"], strict=True))
        voice.append({name: float(prob) for name, prob in told.items() if name in labels})
    return voice, model.name


def _summary(outcomes: Sequence[Outcome], made: Sequence[tuple[Mapping[str, Any], str]]) -> dict[str, Any]:
    counts = Counter(kind for _, kind in made)
    asked = counts["changed"] + counts["confirmed"] + counts["first"]
    verified = sum(f'"{MARK}"' in row["evidence"] for row, _ in made)
    return {
        "decided": asked,
        **{kind: counts[kind] for kind in COUNTED},
        **({"verified": verified} if verified else {}),
        **({"restored": counts["restored"]} if counts["restored"] else {}),
        "undecided": reasons(outcomes),
        "batches": sorted({row["batch"] for row, _ in made}),
        "version": None,
    }


def commit(
    min_probability: Annotated[
        float | None,
        typer.Option(
            "--min-probability", min=0.5, max=1.0, help="Decide where the consensus is at least this probable."
        ),
    ] = None,
    new_classes: Annotated[bool, typer.Option("--new-classes", help="Add classes that only the answers name.")] = False,
    with_model: Annotated[
        bool | None,
        typer.Option(
            "--with-model/--without-model",
            help="Whether the newest model is one more voice; by default it is where there is one.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Weigh anew what rests on answers of people who were paused since, or resumed."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Don't ask the labeling tool for what changed there since the last pull.")
    ] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Answers become label decisions and a new version.

    Each answer is weighed by how often its giver is right in this class, by how hard the picture seems, and by what the others and the model say
    of it; `[review] consensus` chooses another method. Only a class that a person named is decided: what the model alone finds is asked again.
    Where the best class is probable enough it becomes the label, of equal pictures too; the rest stays open, and the reason is said. Answers of
    people who are paused don't count. With nothing to decide, no version is made.

    Example:

        secondlook commit --min-probability 0.8
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    before_commit(opened, chosen, offline=offline)
    summary = run(
        opened, chosen, min_probability=min_probability, new_classes=new_classes, with_model=with_model, again=again
    )
    finish(summary, as_json=json, lines=lambda: out().print(told(summary), markup=False))


def told(summary: Mapping[str, Any]) -> str:
    """What a commit did, in a sentence."""
    open_cases = ", ".join(f"{n} {reason}" for reason, n in summary["undecided"].items())
    left = f"{sum(summary['undecided'].values())} left open ({open_cases})" if open_cases else ""
    resting = summary.get("rests_on_paused", 0)
    hint = (
        f"{resting} decisions rest on people who were paused or resumed since: --again weighs them anew"
        if resting
        else ""
    )
    if summary["version"] is None:
        nothing = f"nothing to decide{': ' + left if left else ''}; no version made"
        return nothing + (f". {hint}" if hint else "")
    parts = [f"{summary['decided']} decided: {summary['changed']} changed, {summary['confirmed']} confirmed"]
    parts[0] += f", {summary['first']} labeled for the first time"
    if summary["spread"]:
        parts.append(f"{summary['spread']} equal pictures follow")
    if summary.get("verified"):
        parts.append(f"{summary['verified']} verified, as three people or an expert agree")
    if summary.get("restored"):
        parts.append(f"{summary['restored']} not decided any more")
    done = "; ".join([*parts, *([left] if left else [])]) + f" (version {summary['version']})"
    return done + (f". {hint}" if hint else "")
