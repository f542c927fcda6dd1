"""`secondlook review amplify`: answers of people label the pictures like them, where that is shown to be safe.

What is decided here is decided anew by each run: the labels that earlier runs gave, and no person has looked at since, stay only where
the answers of now still show the bound. So the bound always is about all amplified labels.
"""

import json as json_format
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.review import margin
from secondlook.jobs.review.answered import AMPLIFIED, looked
from secondlook.jobs.review.sure import Guessed, Learned, amplified, guess, is_sure, learn, pool
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import amplify as pure
from secondlook.labeling.amplify import Sure
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.statistics import share

JOB = "review amplify"
READ = ("samples", "labels", "classes", "annotations", "annotators", "batches", "models", "embeddings", "predictions")


def run(
    lake: Lake,
    settings: Settings,
    *,
    only: str | None = None,
    error: float | None = None,
    together: bool = False,
    dry_run: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Label what the answers make sure, as events of source `amplified`; returns what that comes to.

    answers (pictures that people looked at), random (of them, those that the thresholds are tested on), labeled (new labels), kept and withdrawn
    (of earlier runs), margin (pictures left to people), by_class, error (the bound), batch and version (None where nothing changed).
    Raises UserError where there is nothing to learn from.
    """
    bound = settings.review.amplify_error if error is None else error
    version = lake.at()
    inputs = {"error": bound, "together": together, "class": only} | {
        "tables": {t: version.tables.get(t) for t in READ}
    }
    done = lake.find(JOB, inputs)
    if done:
        return dict(done.summary) | {"version": done.id}
    learned = learn(lake, version, bound, only=only, together=together)
    unseen = pool(lake, version)
    guessed = guess(lake, version, learned, unseen)
    attempt = lake.attempt(JOB, inputs, base=version)
    batch = f"amplify-{attempt.seq}"
    rows, counts = _events(learned, guessed, unseen, bound, batch, now or datetime.now(UTC))
    summary = _summary(learned, guessed, counts, bound, together=together)
    if dry_run or not rows:
        return summary
    attempt.append("labels", rows_of("labels", rows))
    summary["batch"] = batch
    return summary | {"version": attempt.commit(summary).id}


# What becomes of them


def _events(
    learned: Learned,
    guessed: Guessed,
    unseen: Mapping[str, Sequence[Mapping[str, Any]]],
    bound: float,
    batch: str,
    now: datetime,
) -> tuple[list[dict[str, Any]], Counter[tuple[str, str]]]:
    """Label events, and how many samples were labeled, kept or withdrawn, by class."""
    names = learned.classes
    wanted = {names[k] for k in learned.thresholds}
    why = {
        names[k]: _evidence(learned, held, bound) for k, held in learned.thresholds.items() if isinstance(held, Sure)
    }
    of_all = {"source": AMPLIFIED, "actor": "amplify", "time": now, "batch": batch}
    rows: list[dict[str, Any]] = []
    counts: Counter[tuple[str, str]] = Counter()
    sure = is_sure(learned, guessed).tolist()
    for content, k, p, fine in zip(
        guessed.contents, guessed.first.tolist(), guessed.probability.tolist(), sure, strict=True
    ):
        label = names[k] if fine else None
        for sample in unseen[content]:
            had = sample["label"]
            if had is not None and had not in wanted:
                continue  # of a class that this run is not about
            if label == had:
                counts["kept", had] += label is not None
                continue
            evidence = why[label] | {"p": round(p, 6)} if label is not None else {"withdrawn": had}
            text = json_format.dumps(evidence, ensure_ascii=False)
            rows.append(of_all | {"sample_id": sample["sample_id"], "label": label, "evidence": text})
            counts["withdrawn" if had is not None else "labeled", had or str(label)] += 1
            counts["labeled", str(label)] += had is not None and label is not None
    return rows, counts


def _evidence(learned: Learned, held: Sure, bound: float) -> dict[str, Any]:
    return {
        "classifier": f"ridge on {learned.embedder}",
        "threshold": round(held.threshold, 6),
        "answers": len(learned.people),
        "random": held.answers,
        "wrong": held.wrong,
        "error_at_most": round(held.error, 6),
        "bound": bound,
        "confidence": pure.CONFIDENCE,
    }


def _summary(
    learned: Learned, guessed: Guessed, counts: Counter[tuple[str, str]], bound: float, *, together: bool
) -> dict[str, Any]:
    totals: Counter[str] = Counter()
    for (kind, _), n in counts.items():
        totals[kind] += n
    by_class = {}
    for k, held in learned.thresholds.items():
        name = learned.classes[k]
        told: dict[str, Any] = {"answers": int((learned.labels == k).sum())}
        told |= {kind: counts[kind, name] for kind in ("labeled", "kept", "withdrawn")}
        told |= {"random": held.answers, "wrong": held.wrong}
        told |= (
            {"threshold": round(held.threshold, 6), "error_at_most": round(held.error, 6)}
            if isinstance(held, Sure)
            else {"needed": held.needed}
        )
        by_class[name] = told
    return {
        "answers": len(learned.people),
        "random": int(learned.drawn.sum()),
        **{kind: totals[kind] for kind in ("labeled", "kept", "withdrawn")},
        "margin": int((~is_sure(learned, guessed)).sum()),
        "bound": bound,
        "together": together,
        "by_class": by_class,
        "batch": None,
        "version": None,
    }


def told(lake: Lake, version: Version) -> dict[str, Any] | None:
    """What amplification has come to: None where no label is an amplified one and none was checked.

    labels (amplified ones that hold), answers (that the newest run learned from), labels_per_answer, bound, and of the pictures that were drawn at
    random after they had been amplified and people answered: checked, wrong, error and its 95 % interval.
    """
    held = len(amplified(lake, version))
    newest = lake.newest(JOB, version)
    if newest is None:
        return None
    known = [one for one in looked(lake, version) if one.before[0] == AMPLIFIED and (one.chance or one.check)]
    wrong = share(sum(one.label != one.before[1] for one in known), len(known))
    answers = int(newest.summary["answers"])
    return {
        "labels": held,
        "answers": answers,
        "labels_per_answer": round(held / answers, 2) if answers else None,
        "bound": newest.summary["bound"],
        "checked": wrong.n,
        "wrong": wrong.k,
        "error": round(wrong.value, 6) if wrong.n else None,
        "interval": [round(wrong.interval.low, 6), round(wrong.interval.high, 6)],
    }


def amplify(
    only: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Label only pictures of this class.")
    ] = None,
    error: Annotated[
        float | None,
        typer.Option("--error", min=0.0001, max=0.5, help="Bound of the error. Default: [review] amplify_error."),
    ] = None,
    together: Annotated[
        bool,
        typer.Option("--together", help="One bound for the labels of all classes, which takes far fewer answers."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would come to, and label nothing.")] = False,
    ask: Annotated[
        int | None,
        typer.Option("--ask", metavar="N", min=1, help="Label nothing; make a batch of the N most doubtful."),
    ] = None,
    check: Annotated[
        int | None,
        typer.Option(
            "--check", metavar="N", min=1, help="Label nothing; make a batch of N amplified labels, drawn by chance."
        ),
    ] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """People's answers label the pictures without a label that are surely like them.

    For each class, a classifier learns from what people answered, and random ones among their answers say from where on it is sure: with 95 %
    confidence fewer labels than the bound are not what people would answer. The rest stays for people, the most doubtful first. A later
    answer overrides such a label, `secondlook revert amplify-12` takes a run back, and each run checks the labels of the runs before it.

    Example:

        secondlook review push --strategy random --budget 600
        secondlook review amplify --error 0.02 --together --dry-run
        secondlook review amplify --ask 200
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    if ask is not None or check is not None:
        if only or error or together or dry_run or (ask and check):
            raise UserError("--ask and --check make a batch each, and take no other option")
        made = margin.run_ask(opened, chosen, ask) if ask is not None else margin.run_check(opened, check or 0)
        finish(made, as_json=json, lines=lambda: out().print(margin.told(made), markup=False))
        return
    summary = run(opened, chosen, only=only, error=error, together=together, dry_run=dry_run)

    def lines() -> None:
        for line in _lines(summary, dry_run=dry_run):
            out().print(line, markup=False)

    finish(summary, as_json=json, lines=lines)


def _lines(summary: Mapping[str, Any], *, dry_run: bool) -> Iterator[str]:
    from secondlook.pipeline.report.formats import printable

    groups = summary["by_class"]
    if summary["together"]:
        groups = {"all together": next(iter(groups.values())) | {"labeled": summary["labeled"]}}
    for name, one in groups.items():
        if "threshold" in one:
            of = f"{one['wrong']} of {one['random']} random answers differ, error at most {one['error_at_most']:.2%}"
            yield printable(f"{name}: sure from p = {one['threshold']:.3f} up ({of}), {one['labeled']:,} labeled")
    left = {name: one for name, one in groups.items() if "needed" in one}
    if left:
        some = ", ".join(
            f"{name} ({one['random']} random answers, {one['wrong']} differ)" for name, one in [*left.items()][:5]
        )
        fewest = min(one["needed"] for one in left.values())
        more = " …" if len(left) > 5 else ""
        yield printable(
            f"none is sure yet: {some}{more}; {fewest} or more, all right, show a bound of {summary['bound']:.2%}"
        )
    changed = f"{summary['labeled']:,} labeled, {summary['kept']:,} kept, {summary['withdrawn']:,} withdrawn"
    made = f" (version {summary['version']}, batch {summary['batch']})" if summary["version"] else ""
    would = "; nothing written: --dry-run" if dry_run else made or "; no version made"
    yield f"{changed}, {summary['margin']:,} left to people, from {summary['answers']:,} answered pictures{would}"
