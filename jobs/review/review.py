"""`secondlook review`: a batch goes out as a queue file, answers come back as annotations.

Label Studio plugs in at the same places: `queue.candidates` and `acquire.choose` have records out, `pull.take` has records in.
"""

from pathlib import Path
from typing import Annotated, Any

import pyarrow.compute as pc
import typer

from secondlook.jobs.lake.dataset import told_quarantined
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.audit import run_audit
from secondlook.jobs.review.pull import run_pull
from secondlook.jobs.review.push import run_again, run_push
from secondlook.jobs.share.adjudicated import audit as read_audit
from secondlook.jobs.share.share import population_of, progress, told_progress
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import history
from secondlook.pipeline.core.errors import UserError

__all__ = ["pull", "push", "run_again", "run_audit", "run_pull", "run_push", "run_status", "status"]


def run_status(lake: Lake, *, as_of: str | int | None = None) -> list[dict[str, Any]]:
    """Batches, oldest first: batch, time, asked, answered (samples with an answer), decided, reverted.

    A sample is decided where a decision of this batch, or of an equal picture or a later batch, used its answers.
    """
    version = lake.at(as_of)
    asked = lake.latest("batches", version).sort_by([("seq", "ascending"), ("batch", "ascending")])
    annotations = lake.latest("annotations", version)
    given = annotations.filter(pc.not_equal(annotations["state"], "deleted")).to_pylist()
    answered = {(row["batch"], row["sample_id"]) for row in given}
    labels = lake.read("labels", version)
    touched = pc.unique(labels.filter(pc.equal(labels["source"], "review"))["sample_id"]).to_pylist()
    used, withdrawn = history.uses(history.by_sample(labels, touched))
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


def push(
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write the queue to this CSV file.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", metavar="DIR", help="Copy the pictures here, under names that tell nothing."),
    ] = None,
    budget: Annotated[
        int | None, typer.Option("--budget", min=1, help="Pictures in the batch. Default: [review] budget.")
    ] = None,
    audit: Annotated[
        int | None,
        typer.Option(
            "--audit", metavar="N", min=1, help="Draw N labeled pictures to measure how many labels are wrong."
        ),
    ] = None,
    classes: Annotated[
        str, typer.Option("--classes", metavar="A,B", help="Classes that may be answered beside those of the lake.")
    ] = "",
    again: Annotated[
        bool,
        typer.Option("--again", help="Ask again where answers came to no decision; with --audit, to no agreement."),
    ] = False,
    show_guess: Annotated[
        bool, typer.Option("--show-guess", help="Show the given label and the model's guess. They anchor people.")
    ] = False,
    batch: Annotated[str | None, typer.Option("--batch", help="Write the queue of this earlier batch again.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn at random.")] = 0,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Choose what people should look at, as a batch.

    Doubted labels and pictures without a label by turns, and a random share; no picture twice, and like beside like. The file has a line for each picture:
    people fill in annotator, label and seconds, and `review pull` takes it back. The given label and the model's guess are
    not in it. Keys and paths may give labels away, so use --pictures, and know a picture by the sample_id in its column `key`.

    With --audit, the batch is a random sample of all labeled pictures, with known probabilities: give the file to three people
    (or to an expert), and `secondlook share` says how many labels are wrong, with an interval.

    Example:

        secondlook review push --budget 100 --to queue.csv --pictures queue/
        secondlook review push --audit 500 --to audit.csv --pictures audit/
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    if audit is not None and (budget is not None or classes or show_guess or batch is not None):
        raise UserError("--audit takes no --budget, --classes, --show-guess or --batch: it draws N, and shows nothing")
    if batch is not None:
        summary = run_again(opened, batch, to=to, pictures=pictures, show_guess=show_guess)
    elif audit is not None:
        summary = run_audit(opened, chosen, audit, again=again, to=to, pictures=pictures, seed=seed)
    else:
        named = [name.strip() for name in classes.split(",") if name.strip()]
        summary = run_push(
            opened,
            chosen,
            to=to,
            pictures=pictures,
            budget=budget,
            seed=seed,
            classes=named,
            again=again,
            show_guess=show_guess,
        )

    def lines() -> None:
        if summary.get("audit"):
            out().print(f"{summary['audit']}: {summary['drawn']} pictures drawn, {summary['how']}", markup=False)
        if not summary["asked"]:
            out().print("nothing to ask for: every picture was asked for before, or there is none", markup=False)
            return
        why = ", ".join(f"{n} {name}" for name, n in summary["strategies"].items())
        out().print(f"{summary['batch']}: {summary['asked']} pictures ({why})", markup=False)
        if left := told_quarantined(summary.get("quarantined", {})):
            say(left, style="yellow")

    finish(summary, as_json=json, lines=lines)


def pull(
    file: Annotated[Path, typer.Option("--from", metavar="FILE", help="CSV with annotator, key, label, seconds.")],
    batch: Annotated[
        str | None,
        typer.Option("--batch", help="The batch they answer. Default: the newest that asked for each picture."),
    ] = None,
    new_classes: Annotated[
        bool, typer.Option("--new-classes", help="Take classes that the lake does not know.")
    ] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take people's answers back.

    The file is a CSV with the columns annotator, key, label, seconds. The label is a class, or one of "unsure", "none of these",
    "bad picture". The same file twice adds nothing; a changed answer of the same person is kept beside the earlier one.

    Example:

        secondlook review pull --from answers.csv
    """
    chosen = read_settings(settings, lake)
    summary = run_pull(Lake.open(chosen.lake), chosen, file, batch=batch, new_classes=new_classes)

    def lines() -> None:
        text = f"{summary['added']} new answers, {summary['changed']} changed, {summary['known']} known already"
        out().print(text, markup=False)
        if summary["version"]:
            out().print("`secondlook commit` turns them into labels", markup=False)

    finish(summary, as_json=json, lines=lines)


def status(
    as_of: AsOfOption = None, lake: LakeOption = None, settings: SettingsOption = None, json: JsonOption = False
) -> None:
    """Batches, and how far they are answered and decided; and how far the newest audit is.

    Example:

        secondlook review status
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    rows, version = run_status(opened, as_of=as_of), opened.at(as_of)
    found = read_audit(opened, version, chosen)
    audit = progress(opened, version, found, population_of(opened, found)) if found else None

    def lines() -> None:
        width = max((len(row["batch"]) for row in rows), default=0)
        for row in rows:
            counts = ", ".join(f"{row[name]} {name}" for name in ("asked", "answered", "decided"))
            back = f", {row['reverted']} of them reverted" if row["reverted"] else ""
            out().print(f"{row['batch']:<{width}}  {counts}{back}", markup=False)
        if not rows:
            out().print("no batches yet; `secondlook review push` makes one", markup=False)
        if audit:
            out().print("\n".join([*told_progress(audit), "`secondlook share` says what it tells"]), markup=False)

    finish({"batches": rows, "audit": audit}, as_json=json, lines=lines)
