"""`secondlook forget`: a person's pictures are erased with all that was made of them, for good, and proved to be."""

import json as json_format
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from secondlook.jobs.forget import erase, explored, studio, tombstones, work
from secondlook.jobs.forget.certificate import certificate
from secondlook.jobs.forget.chosen import COPIES, chosen
from secondlook.jobs.forget.plan import Plan, planned, work_of
from secondlook.jobs.forget.proof import insist, prove, recheck
from secondlook.jobs.forget.told import counted, print_done, say_plan
from secondlook.jobs.forget.work import Work
from secondlook.jobs.history.class_changes import author_here
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.versions import FORGET
from secondlook.jobs.terminal.console import finish, out, say
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.report.formats import printable

PROOFS = 2  # a job that ran beside the first may have left files: they are swept, and it is read again


def plan(
    lake: Lake,
    settings: Settings,
    names: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    copies: str = "exact",
) -> Plan:
    """What would be erased; raises UserError for what is not there."""
    version = lake.at()
    return planned(lake, version, chosen(lake, version, settings.lint, names, where or {}, copies))


def run(
    lake: Lake,
    settings: Settings,
    agreed: Plan,
    *,
    models: bool = False,
    actor: str = "",
    reason: str = "",
    offline: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Erase what was planned, and prove it; returns the certificate. `models`: those that were fitted on it go, too.

    Raises ConflictError where another call is at work, UnavailableError where Label Studio or FiftyOne is away: then the lake is without
    the pictures, and `resume` does the rest; SecondlookError where the proof finds something.
    """
    moment = now or datetime.now(UTC)
    with work.alone(lake):
        begun = work_of(lake, lake.at(), agreed, models=models, actor=actor, reason=reason, now=moment)
        work.begin(lake, begun)
        return _finished(lake, settings, begun, offline=offline, now=moment)


def resume(
    lake: Lake, settings: Settings, *, offline: bool = False, now: datetime | None = None
) -> dict[str, Any] | None:
    """Go on with what an earlier call began; None where there is nothing."""
    with work.alone(lake):
        begun = work.unfinished(lake)
        return (
            None if begun is None else _finished(lake, settings, begun, offline=offline, now=now or datetime.now(UTC))
        )


def _finished(lake: Lake, settings: Settings, begun: Work, *, offline: bool, now: datetime) -> dict[str, Any]:
    """Every step may be done twice, so a killed call is gone on with from the first."""
    erase.commit(lake, begun)
    swept = erase.sweep(lake)
    erase.vacuum(lake)
    elsewhere: dict[str, Any] = {"left": []}
    if offline:
        if begun.projects:
            elsewhere["left"].append("Label Studio was not asked (--offline): tasks, answers and pictures may be there")
        elsewhere["left"].append(
            "FiftyOne was not asked (--offline): its datasets and files of this lake may show them"
        )
    else:
        counts = studio.run(lake, settings, begun)
        elsewhere |= {"label_studio": counts, "fiftyone": explored.run(lake, begun)}
        elsewhere["left"] += studio.left(counts)
    for _ in range(PROOFS):
        proof = prove(lake, begun)
        if not proof.findings:
            break
        erase.commit(lake, begun)
        erase.sweep(lake)
    insist(proof)
    told = certificate(lake, begun, _version(lake, begun), proof, swept, elsewhere, now)
    work.end(lake)
    return told


def _version(lake: Lake, begun: Work) -> Version:
    """The version that the first commit of this list made."""
    mine = [one for one in lake.versions.all() if one.job == FORGET and one.run.get("work") == begun.id]
    return mine[0] if mine else lake.at()


def forget(
    images: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGE]…", help="Keys of pictures (or ends of keys), or sample ids.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where", metavar="NAME=VALUE", help="All pictures with this attribute; several: with all of them."
        ),
    ] = None,
    copies: Annotated[
        str, typer.Option("--copies", metavar="|".join(COPIES), help="Other pictures that go with them: see above.")
    ] = "exact",
    models: Annotated[bool, typer.Option("--models", help="Delete the models that were trained on them, too.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays, so don't name the person.")] = "",
    author: Annotated[str | None, typer.Option("--author", help="Who decides it. Default: git's user.name.")] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="Write the certificate here, as JSON.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Leave Label Studio and FiftyOne alone, and say what stays there.")
    ] = False,
    resuming: Annotated[bool, typer.Option("--resume", help="Go on with a call that was interrupted.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="What was forgotten: when, by whom, why, how many.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read the whole lake for anything that has a tombstone; exit status 1 if there is."
        ),
    ] = False,
    undo: Annotated[
        str | None,
        typer.Option(
            "--undo", metavar="MARK|v7", help="Let what this mark, or all of version 7, keeps out be ingested again."
        ),
    ] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Erase a person's pictures, with all that was made of them, for good.

    Gone afterwards: the pictures' bytes, their rows, labels, answers, embeddings, predictions and findings, in **all versions** of the
    lake, which stay readable without them; their tasks and files in Label Studio; their samples in FiftyOne. Then every file of the
    lake is read for what may be left, and a certificate says so. A tombstone, a keyed hash, keeps the same bytes and the same place
    from being ingested again.

    `--copies exact` (the default) takes the same bytes under other names, too; `near` also what looks the same; `none` only what was
    named. It says what would go, and asks. There is no way back.

    Not reached: the source itself, exports, reports, queues and backups; and a model that was trained on a picture stays so:
    `--models` deletes those models, and `secondlook train` makes new ones.

    Example:

        secondlook forget people/anna/1.jpg people/anna/2.jpg
        secondlook forget --where person=42 --reason "request of 3 May" --certificate 42.json
    """
    settings_now = read_settings(settings, lake)
    opened = Lake.open(settings_now.lake)
    if listing or undo is not None:
        _stones(opened, undo, reason, author, as_json=json)
        return
    if check:
        _check(opened, as_json=json)
        return
    if certificate is not None and not certificate.absolute().parent.is_dir():
        raise UserError(f"--certificate {certificate} can't be written: there is no folder {certificate.parent}")
    told = None if dry_run else resume(opened, settings_now, offline=offline)
    if told is not None:
        say("an earlier call was interrupted: it is finished now", style="yellow")
    if resuming and (images or where):
        raise UserError("--resume takes no pictures: it goes on with those that were named")
    if not resuming:
        agreed = plan(opened, settings_now, images or (), _pairs(where or ()), copies)
        if dry_run:
            finish(_counts(agreed), as_json=json, lines=lambda: say_plan(agreed, models=models))
            return
        _ask(agreed, models=models, yes=yes)
        who = author_here(author)
        told = run(opened, settings_now, agreed, models=models, actor=who, reason=reason, offline=offline)
    if told is not None and certificate is not None:
        certificate.write_text(json_format.dumps(told, indent=1) + "\n", encoding="utf-8")
    finish(told or {"pictures": 0}, as_json=json, lines=lambda: print_done(told))


def _pairs(where: Sequence[str]) -> dict[str, str]:
    """--where NAME=VALUE.

    >>> _pairs(["person=42", "site=a=b"])
    {'person': '42', 'site': 'a=b'}
    """
    for one in where:
        if "=" not in one:
            raise UserError(f"--where takes NAME=VALUE, such as person=42; got {one!r}")
    return {name: value for name, _, value in (one.partition("=") for one in where)}


def _counts(agreed: Plan) -> dict[str, Any]:
    return {
        "pictures": len(agreed.chosen.samples),
        "contents": len(agreed.chosen.contents),
        "copies": len(agreed.chosen.copies),
        "near": list(agreed.chosen.near),
        "shared": len(agreed.chosen.shared),
        "keys": list(agreed.keys),
        "rows": dict(agreed.rows),
        "models": dict(agreed.trained),
        "batches": agreed.batches,
        "classes": agreed.classes,
        "versions": agreed.versions,
        "sources": {source: list(keys) for source, keys in agreed.sources.items()},
    }


def _ask(agreed: Plan, *, models: bool, yes: bool) -> None:
    if yes:
        return
    say_plan(agreed, models=models)
    some = f"{counted(len(agreed.chosen.samples), 'picture')} of {agreed.whole:,}"
    if not sys.stdin.isatty():
        raise UserError(f"{some} would be erased for good, and nobody can be asked: --yes does it")
    typer.confirm(f"Erase {some} for good?", abort=True, err=True)


def _check(lake: Lake, *, as_json: bool) -> None:
    proof = recheck(lake)

    def lines() -> None:
        for one in proof.findings:
            out().print(f"{one['file']}: {one['what']}", markup=False)
        out().print(f"{len(proof.findings):,} findings in {proof.rows:,} rows of {proof.files:,} files", markup=False)
        if proof.findings:
            say(
                "a job that ran beside `forget`, or a backup, left them; `secondlook gc --grace-hours 0` removes what no version names"
            )

    finish({"files": proof.files, "rows": proof.rows, "findings": proof.findings}, as_json=as_json, lines=lines)
    if proof.findings:
        raise typer.Exit(1)


def _stones(lake: Lake, undo: str | None, reason: str, author: str | None, *, as_json: bool) -> None:
    if undo is not None:
        lifted = tombstones.lift(lake, [undo], actor=author_here(author), reason=reason, now=datetime.now(UTC))
        words = f"{counted(lifted['lifted'], 'tombstone')} lifted: `secondlook ingest` takes these again"
        finish(lifted, as_json=as_json, lines=lambda: out().print(words, markup=False))
        return
    burials = tombstones.listed(lake, lake.at())

    def lines() -> None:
        for one in burials:
            when, why = f"{one['time']:%Y-%m-%d}", printable(one["reason"] or "no reason given")
            console = out()
            console.print(
                f"version {one['version']}, {when}, {printable(one['actor'])}: {counted(one['samples'], 'picture')}, {why}",
                markup=False,
            )
            for mark in one["marks"]:
                console.print(f"  {mark}", markup=False)
        if not burials:
            out().print("nothing was forgotten")

    finish({"forgotten": burials}, as_json=as_json, lines=lines)
