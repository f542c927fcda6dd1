"""`secondlook review push`: a batch goes out, to people."""

from pathlib import Path
from typing import Annotated

import typer

from secondlook.jobs.lake.dataset import told_quarantined
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.audit import run_audit
from secondlook.jobs.review.batches import run_again, run_push
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.core.errors import UserError


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
