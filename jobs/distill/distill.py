"""`secondlook distill`: small students, taught by a large model, as files that run on cheap devices."""

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as settings_of
from secondlook.pipeline.core.config import Settings

if TYPE_CHECKING:
    from secondlook.jobs.distill.fitting import Taught
    from secondlook.jobs.distill.lessons import Lessons
    from secondlook.jobs.distill.teaching import Teacher
    from secondlook.jobs.lake.dataset import Model
    from secondlook.jobs.lake.store import Attempt, Lake, Version
    from secondlook.jobs.train.checkpoints import Checkpoints
    from secondlook.pipeline.learn.students.named import Named

READS = ("samples", "labels", "classes", "images", "fingerprints")


def run(lake: "Lake", settings: Settings, *, as_of: str | None = None) -> dict[str, Any]:
    """Teach students on a version of the lake; returns the summary that --json prints.

    Writes `models` and `predictions`, and files below `models/` in the lake, as one new version; none where the same was done
    before. Goes on where an earlier run of the same was stopped. Raises UserError where there is no such teacher or student.
    """
    from secondlook.jobs.distill import teaching
    from secondlook.jobs.lake import dataset
    from secondlook.pipeline.learn import torch_setup
    from secondlook.pipeline.learn.students.named import named

    version = lake.at(as_of)
    wanted = settings.distill
    named(wanted.students, wanted.image_px or 32)  # what is misspelt is told before anything is read
    model = teaching.model(lake, version, wanted.teacher)
    inputs = inputs_of(settings, version, model)
    if waiting := dataset.quarantined(lake, version):
        inputs["quarantined"] = sorted(waiting)
    done = lake.find("distill", inputs)
    if done is not None:
        console.say(f"nothing to do: version {done.id} has the students of this with these settings")
        return _beside_those_before(lake, settings, dict(done.summary) | {"version": done.id})
    where = torch_setup.device(settings.train.device)
    with torch_setup.threads(settings.train.threads):
        made = _distill(lake, settings, version, model, inputs, where)
    return _beside_those_before(lake, settings, made)


def _beside_those_before(lake: "Lake", settings: Settings, summary: dict[str, Any]) -> dict[str, Any]:
    """With a comparison of each student with its earlier self, where there is one."""
    from secondlook.jobs.helped.helped import after

    found = after(lake, settings, summary["version"], [one["model"] for one in summary["students"]])
    return summary | ({"helped": found} if found else {})


def inputs_of(settings: Settings, version: "Version", model: "Model") -> dict[str, Any]:
    """All that determines what a distillation writes."""
    shared = settings.train
    chosen = dataclasses.asdict(settings.distill) | {"teacher": model.name}
    own = {name: getattr(shared, name) for name in ("flip", "precision", "compile", "device", "top_k")}
    if not settings.distill.soft:
        own["smoothing"] = shared.smoothing
    near = [settings.lint.near_bits, settings.lint.near_confirm_bits, settings.lint.entropy]
    tables = {name: version.tables.get(name) for name in READS}
    return {"distill": chosen, "train": own, "near": near, "tables": tables}


def _distill(
    lake: "Lake", settings: Settings, version: "Version", model: "Model", inputs: dict[str, Any], where: Any
) -> dict[str, Any]:
    from secondlook.jobs.distill import lessons, measured, storing, teaching
    from secondlook.jobs.lake.store import digest
    from secondlook.jobs.train.checkpoints import Checkpoints
    from secondlook.pipeline.learn.students.named import named

    wanted, start = settings.distill, time.monotonic()
    teacher = teaching.load(lake, version, model, where)
    students = named(wanted.students, wanted.image_px or teacher.image_px)
    side = max(teacher.image_px, *(one.image_px for one in students))
    learnt = lessons.load(lake, version, settings, model.classes, side)
    seconds = {"reading": time.monotonic() - start}
    attempt = lake.attempt("distill", inputs)
    name = digest(inputs)[:8]
    _say_what(settings, model, students, learnt, where)
    start = time.monotonic()
    checkpoints = Checkpoints(lake, f"students-{name}")
    taught = _taught(lake, settings, version, model, teacher, students, learnt, where, checkpoints)
    seconds["teaching"] = time.monotonic() - start
    start = time.monotonic()
    ask = measured.by_torch(teacher.logits, where)
    said = measured.chances(ask, learnt, learnt.unseen, teacher.image_px, len(model.classes)).argmax(axis=1)
    shared = storing.Run(name, model.name, model.classes, said, settings, where)
    with console.progress("writing and checking students", len(taught), "students") as advance:
        made = []
        for one in taught:
            made += storing.made(attempt, one, shared, learnt)
            advance(1)
    storing.write(attempt, made, shared, inputs["distill"] | inputs["train"])
    seconds["exporting, measuring and writing"] = time.monotonic() - start
    summary = {
        "teacher": {"model": model.name, "kind": model.kind} | measured.figures(learnt, said, said),
        "students": [{"model": one.name, "net": one.net, "made_of": one.made_of} | one.metrics for one in made],
        "learned_from": len(learnt.learned),
        "unlabeled": learnt.unlabeled,
        "left_out": learnt.strange,
        "classes": len(model.classes),
        "epochs": wanted.epochs,
        "seed": wanted.seed,
        "device": where.type,
        "read_version": version.id,
        "seconds": {stage: round(value, 2) for stage, value in seconds.items()},
    }
    return _committed(attempt, version, summary, checkpoints)


def _taught(
    lake: "Lake",
    settings: Settings,
    version: "Version",
    model: "Model",
    teacher: "Teacher",
    students: "list[Named]",
    learnt: "Lessons",
    where: Any,
    checkpoints: "Checkpoints",
) -> "list[Taught]":
    """The students after all epochs: taught live, by what the teacher said before, or by labels alone."""
    import torch

    from secondlook.jobs.distill import fitting, teaching
    from secondlook.pipeline.learn.students import teachers

    wanted, live, before = settings.distill, None, None
    if wanted.soft and wanted.answers == "live":
        live = teachers.at_px(teacher.teach, teacher.image_px)
    elif wanted.soft:
        probs = teaching.said_before(lake, version, model, learnt.content_ids, learnt.learned)
        before = teachers.as_logits(torch.from_numpy(probs))
    loss = fitting.loss_of(settings, learnt, before)
    return fitting.taught(students, len(model.classes), settings, learnt, loss, live, where, checkpoints)


def _committed(
    attempt: "Attempt", version: "Version", summary: dict[str, Any], checkpoints: "Checkpoints"
) -> dict[str, Any]:
    from secondlook.jobs.machine.provenance import commit, machine

    summary["version"] = (attempt.base.id if attempt.base else 0) + 1
    made = attempt.commit(summary, {"read": version.id, "machine": machine(), "commit": commit()})
    checkpoints.remove()
    return dict(made.summary) | {"version": made.id}


def _say_what(settings: Settings, model: "Model", students: "list[Named]", learnt: "Lessons", where: Any) -> None:
    several = f"{len(students)} students" if len(students) > 1 else "one student"
    does = (
        f"{model.name} teaches {several} with"
        if settings.distill.soft
        else f"nobody teaches {several}: labels alone, of"
    )
    without = f", {learnt.unlabeled:,} of them without a label" if learnt.unlabeled else ""
    console.say(f"{does} {len(learnt.learned):,} pictures{without}, {len(model.classes)} classes, on {where.type}")
    if learnt.strange:
        console.say(
            f"{learnt.strange:,} pictures are left out: their class came after the teacher was trained; `secondlook train` teaches it",
            style="yellow",
        )


# The verb


def distill(
    students: Annotated[
        str | None,
        typer.Option(
            metavar="NET,NET@PX,…",
            help="Nets by name, such as resnet:16@24 (docs/guide/nets.md). Default: mobilenet-v1:0.5.",
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="generalist|specialists|MODEL", help="Who teaches. Default: the newest generalist."),
    ] = None,
    image_px: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Side of the students' pictures. Default: the teacher's.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="soft|logits|decoupled", help="What of the teacher is learned. Default: soft.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="T", help="How far probabilities are evened out. Default: 4.")
    ] = None,
    soft: Annotated[
        float | None,
        typer.Option(
            metavar="0..1",
            help="Weight of the teacher beside the labels; 0: nobody teaches, for comparison. Default: 0.9.",
        ),
    ] = None,
    standardize: Annotated[
        bool | None, typer.Option("--standardize/--no-standardize", help="Standardize logits first. Default: no.")
    ] = None,
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="live|stored", help="Ask the teacher, or take its out-of-fold predictions. Default: live."
        ),
    ] = None,
    unlabeled: Annotated[
        bool | None,
        typer.Option("--unlabeled/--labeled-only", help="Learn from pictures without a label, too. Default: yes."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Passes over the pictures. Default: 24.")] = None,
    prune: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Cut this share of channels out, and teach again. Default: 0.")
    ] = None,
    quantize: Annotated[
        bool | None, typer.Option("--int8/--no-int8", help="Make an int8 student beside each. Default: yes.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of order and weights. Default: 7.")] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Teach nothing: copy students of the lake to a new folder, for a device."),
    ] = None,
    student: Annotated[
        str | None, typer.Option(metavar="MODEL", help="… this one. Default: all of the newest run.")
    ] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = False,
) -> None:
    """Distill: small nets learn from what a large model says of pictures, more than their labels alone would teach them.

    The teacher tells of every picture how much it looks like each class, of those without a label, too. All students go
    through the same pictures side by side: reading, changing and the teacher cost what they cost for one. Pictures in the
    split `test` are never learned from, but measured on. Each student becomes an ONNX file that has been checked against
    its net; beside it an int8 one. What was stopped goes on where it was when the same command is run again.

    Nets are mobilenet-v1:SIZE, mobilenet-v2:SIZE, resnet:SIZE, quick:SIZE, squeezenet:SIZE, efficientnet:SIZE and others, each with a
    size of its own: docs/guide/nets.md lists them all. @24: it sees pictures of 24 pixels.

        secondlook distill --students mobilenet-v1:0.25,mobilenet-v1:0.5,resnet:16@24

        secondlook distill --export phone --student student-resnet-16-24px-1f0c7e2a-int8
    """
    from secondlook.jobs.distill import told
    from secondlook.jobs.lake.store import Lake
    from secondlook.pipeline.core.errors import UserError

    given = {
        "students": students, "teacher": teacher, "image_px": image_px, "method": method, "temperature": temperature,
        "soft": soft, "standardize": standardize, "answers": answers, "unlabeled": unlabeled, "epochs": epochs,
        "prune": prune, "quantize": quantize, "seed": seed,
    }  # fmt: skip
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    chosen = settings_of(settings, lake)
    if export is not None and options:
        raise UserError(f"--export teaches nothing; leave out --{next(iter(options)).replace('_', '-')}")
    if export is None and student is not None:
        raise UserError("--student names what --export DIR copies; --students names nets to teach")
    opened = Lake.open(chosen.lake)
    if export is not None:
        summary = _export(opened, export, student, as_of)
        console.finish(summary, as_json=json, lines=lambda: told.exported(summary))
        return
    chosen = dataclasses.replace(chosen, distill=dataclasses.replace(chosen.distill, **options))
    summary = run(opened, chosen, as_of=as_of)
    console.finish(summary, as_json=json, lines=lambda: told.students(summary))


def _export(lake: "Lake", target: Path, name: str | None, as_of: str | None) -> dict[str, Any]:
    from secondlook.jobs.distill import export, stored
    from secondlook.pipeline.core.errors import UserError

    version = lake.at(as_of)
    found = [stored.student(lake, version, name)] if name else stored.students(lake, version)
    if not found:
        raise UserError(f"version {version.id} has no student; `secondlook distill` makes some")
    return export.run(lake, version, [one for one in found if one.seq == found[-1].seq], target)
