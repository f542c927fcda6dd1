"""`secondlook review push`: a batch goes out, to people."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from secondlook.jobs.lake.dataset import told_quarantined
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.review.audit import run_audit
from secondlook.jobs.review.batches import run_again, run_push, unfinished
from secondlook.jobs.review.told import told
from secondlook.jobs.review.verify import run_verify
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling.acquire.budget import parse
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.report.formats import printable

# What goes with what: an option that makes its own kind of batch, and the options that mean nothing beside it.
ALONE = {
    "--batch": ("--budget", "--strategy", "--audit", "--verify", "--classes", "--again", "--group", "--dry-run"),
    "--audit": ("--budget", "--strategy", "--verify", "--classes", "--group", "--show-guess", "--dry-run"),
    "--verify": ("--strategy", "--classes", "--group", "--show-guess", "--dry-run"),
    "--dry-run": ("--to", "--pictures", "--show-guess"),
    "--again": ("--strategy",),
}
WHY_ALONE = {
    "--batch": "it sends or writes a batch that is chosen already",
    "--audit": "it draws N by its own rule, and shows nothing",
    "--verify": "it asks for a split, three people a picture, and shows nothing",
    "--dry-run": "it writes nothing",
    "--again": "it asks for what has answers, whatever the strategy",
}


def push(
    to: Annotated[Path | None, typer.Option("--to", metavar="FILE", help="Write the queue to this CSV file.")] = None,
    pictures: Annotated[
        Path | None,
        typer.Option("--pictures", metavar="DIR", help="Copy the pictures here, under names that tell nothing."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", metavar="500|30m|'20 USD'", help="Pictures, time or money. Default: [review] budget pictures."
        ),
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy",
            metavar="NAME",
            help="active (default), p_error, margin, entropy, disagreement or random.",
        ),
    ] = None,
    audit: Annotated[
        int | None,
        typer.Option(
            "--audit", metavar="N", min=1, help="Draw N labeled pictures to measure how many labels are wrong."
        ),
    ] = None,
    verify: Annotated[
        str | None,
        typer.Option(
            "--verify",
            metavar="SPLIT",
            help="Ask three people for each picture of this split; with --budget N, for N of it at random.",
        ),
    ] = None,
    classes: Annotated[
        str, typer.Option("--classes", metavar="A,B", help="Classes that may be answered beside those of the lake.")
    ] = "",
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="'A=X,B=Y'",
            help="Ask only about pictures of this group, as reports call it: 'race=Black,age=70+'. May be given again.",
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option(
            "--again", help="Ask only for what answers left open or disputed; with --audit, what has no agreement."
        ),
    ] = False,
    show_guess: Annotated[
        bool, typer.Option("--show-guess", help="Show the given label and the model's guess. They anchor people.")
    ] = False,
    batch: Annotated[
        str | None,
        typer.Option("--batch", help="Send this earlier batch, or go on with it; with --to, write its queue."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked, and what it would cost; record nothing.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what is drawn at random.")] = 0,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Choose what people should look at, as a batch, and send it to Label Studio (or write it to a file).

    What teaches most for a second of a person's time: doubted labels, pictures without a label, and another person's answer where people or the
    model dispute the first. Beside that a random share and, where there is some, gold. A batch is spread over the data,
    and no picture is in it twice. See docs/guide/review.md, "What is asked, and why".

    Where [label_studio] url is set, it becomes a project there; an interrupted sending goes on with --batch. With --to it is a CSV file:
    people fill in annotator, label and seconds, and `review pull --from` takes it back. The given label and the model's guess are
    in neither. Keys and paths may give labels away, so use --pictures beside --to.

    With --audit, the batch is a random sample of all labeled pictures, with known probabilities: three people answer it
    (or an expert), and `secondlook share` says how many labels are wrong, with an interval.

    With --group, it is of pictures of these groups alone: what a report finds doubted, or asked about too seldom, more often among some
    people than among others.

    Example:

        secondlook review push --budget 30m
        secondlook review push --budget '20 USD' --dry-run
        secondlook review push --budget 100 --to queue.csv --pictures queue/
        secondlook review push --audit 500
        secondlook review push --verify test --budget 300
        secondlook review push --group 'race=Black,age=70+' --group 'race=Indian,age=70+' --budget 200
    """
    given = {
        "--to": to, "--pictures": pictures, "--budget": budget, "--strategy": strategy, "--audit": audit, "--verify": verify,
        "--classes": classes, "--group": group or None, "--again": again, "--show-guess": show_guess, "--batch": batch, "--dry-run": dry_run,
    }  # fmt: skip
    refuse_nonsense({name for name, value in given.items() if value not in (None, "", False)})
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    files: dict[str, Any] = {"to": to, "pictures": pictures}
    sending = bool(chosen.label_studio.url) and to is None and pictures is None and not dry_run
    with _connected(chosen) if sending else contextlib.nullcontext() as studio:
        if batch is not None:
            summary = run_again(opened, batch, **files, show_guess=show_guess)
        elif audit is not None:
            summary = run_audit(opened, chosen, audit, again=again, **files, seed=seed, sending=sending)
        elif verify is not None:
            n = _whole(budget)
            summary = run_verify(opened, chosen, verify, budget=n, again=again, **files, seed=seed, sending=sending)
        else:
            if sending:
                _tell_unfinished(opened)
            named = [name.strip() for name in classes.split(",") if name.strip()]
            summary = run_push(
                opened, chosen, **files, budget=budget, strategy=strategy, seed=seed, classes=named, again=again, groups=group or (),
                show_guess=show_guess, dry_run=dry_run, sending=sending,
            )  # fmt: skip
        if studio is not None and summary["batch"] and summary["asked"]:
            from secondlook.jobs.studio.send import send

            summary = {**summary, "studio": send(opened, chosen, studio, summary["batch"], show_guess=show_guess)}

    def lines() -> None:
        for line in told(summary, files=to is not None or pictures is not None, dry_run=dry_run):
            out().print(printable(line), markup=False)
        if left := told_quarantined(summary.get("quarantined", {})):
            say(left, style="yellow")

    finish(summary, as_json=json, lines=lines)


def refuse_nonsense(given: set[str]) -> None:
    """Raise UserError for options that mean nothing together."""
    for name, others in ALONE.items():
        beside = [other for other in others if other in given]
        if name in given and beside:
            if name == "--again" and given & {"--audit", "--verify", "--batch"}:
                continue
            raise UserError(f"{name} takes no {', '.join(beside)}: {WHY_ALONE[name]}")


def _whole(budget: str | None) -> int | None:
    if budget is None:
        return None
    parsed = parse(budget)
    if parsed.kind != "pictures":
        raise UserError(f"--verify takes a --budget of pictures, got {parsed}")
    return int(parsed.amount)


@contextlib.contextmanager
def _connected(chosen: Settings) -> Iterator[Any]:
    """The labeling tool, asked before anything is recorded: who can't reach it gets no batch."""
    from secondlook.jobs.studio.client import connect

    with contextlib.closing(connect(chosen)) as studio:
        yield studio


def _tell_unfinished(lake: Lake) -> None:
    for name in unfinished(lake, lake.at()):
        say(f"{name} is not sent whole; `secondlook review push --batch {name}` goes on with it", style="yellow")
