"""`secondlook frontier`: which student to take, what it costs, and who pays for it."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secondlook.jobs.terminal import console
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as settings_of
from secondlook.pipeline.core.config import Settings

if TYPE_CHECKING:
    from secondlook.jobs.lake.store import Lake, Version
    from secondlook.pipeline.core.frontier import Frontier
    from secondlook.pipeline.learn.students.budget import Limit, Picked

# What the figures follow from, beside the students and the machine.
READS = (
    "models",
    "samples",
    "labels",
    "classes",
    "fingerprints",
    "predictions",
    "clusters",
    "attribute_repairs",
    "annotators",
)


def run(
    lake: "Lake",
    settings: Settings,
    *,
    under: str = "",
    verified: bool = False,
    output: Path | None = None,
    as_of: str | None = None,
) -> dict[str, Any]:
    """Measure the students of a version and pick one; returns the summary that --json prints.

    Writes the table `frontier` as one new version; none where the same was measured on the same machine before. `output`: a page.
    Raises UserError where there is no student, no picture, or a limit that is none.
    """
    return _run(lake, settings, under, verified=verified, output=output, as_of=as_of)[0]


def _run(
    lake: "Lake", settings: Settings, under: str, *, verified: bool, output: Path | None, as_of: str | None
) -> tuple[dict[str, Any], "Frontier", list[str]]:
    """(summary, the frontier, sentences about who was picked)."""
    from secondlook.jobs.frontier import kept
    from secondlook.pipeline.learn.students import budget

    asked = budget.limits(under) if under else ()  # what is misspelt is told before anything is measured
    version = _measured(lake, settings, lake.at(as_of), verified=verified)
    frontier = kept.read(lake, version)
    picked = budget.pick(frontier.students, asked) if asked else None
    sentences = _sentences(asked, picked) if picked else []
    summary = _summary(frontier, version, asked, picked)
    if output is not None:
        summary |= _page(frontier, sentences, picked, output)
    return summary, frontier, sentences


def _sentences(asked: "tuple[Limit, ...]", picked: "Picked") -> list[str]:
    from secondlook.pipeline.report.frontier import words

    told = [words.picked(picked.best, [limit.text for limit in asked], picked.nearest, picked.exceeds)]
    if picked.best is not None and picked.runner_up is not None:
        told.append(words.runner_up(picked.best, picked.runner_up))
    return told


def _measured(lake: "Lake", settings: Settings, version: "Version", *, verified: bool) -> "Version":
    """The version that holds the figures: the one that did before, or a new one."""
    from secondlook.jobs.frontier import kept, measure
    from secondlook.jobs.machine.provenance import commit, machine
    from secondlook.pipeline.learn import torch_setup

    inputs = inputs_of(settings, version, verified=verified)
    done = lake.find(kept.JOB, inputs)
    if done is not None:
        console.say(f"nothing to measure: version {done.id} has the figures of this machine")
        return done
    where = torch_setup.device(settings.train.device)
    with torch_setup.threads(settings.train.threads):
        frontier = measure.measured(lake, version, settings, where, verified=verified)
    attempt = lake.attempt(kept.JOB, inputs)
    attempt.append("frontier", kept.point_rows(frontier))
    students = frontier.students
    summary = {
        "frontier": kept.facts(frontier),
        "students": len(students),
        "on_frontier": [one.name for one in students if one.on_frontier],
        "refused": {one.name: one.refused for one in students if one.refused},
        "version": (attempt.base.id if attempt.base else 0) + 1,
    }
    return attempt.commit(summary, {"read": version.id, "machine": machine(), "commit": commit()})


def inputs_of(settings: Settings, version: "Version", *, verified: bool) -> dict[str, Any]:
    """All that the figures follow from; latency is of a machine."""
    from secondlook.jobs.machine.provenance import machine

    bins = {one.name: one.bins for one in settings.attributes if one.bins}
    groups = [settings.bias.attributes, settings.bias.most_values, settings.bias.min_cell, bins]
    near = [settings.lint.near_bits, settings.lint.near_confirm_bits, settings.lint.entropy]
    return {
        "frontier": dataclasses.asdict(settings.frontier),
        "verified": verified,
        "groups": groups,
        "near": near,
        "tables": {name: version.tables.get(name) for name in READS},
        "machine": machine(),
    }


def _summary(
    frontier: "Frontier", version: "Version", asked: "tuple[Limit, ...]", picked: "Picked | None"
) -> dict[str, Any]:
    from secondlook.jobs.frontier import kept

    summary = kept.facts(frontier) | {
        "version": version.id,
        "points": [kept.figures(one) for one in frontier.points],
        "on_frontier": [one.name for one in frontier.students if one.on_frontier],
        "refused": {one.name: one.refused for one in frontier.students if one.refused},
        "passes": passes(frontier, picked),
    }
    if picked is not None:
        summary |= {
            "under": [limit.text for limit in asked],
            "picked": picked.best.name if picked.best else None,
            "runner_up": picked.runner_up.name if picked.runner_up else None,
        }
    return summary


def passes(frontier: "Frontier", picked: "Picked | None") -> bool:
    """The gate: the picked student is not refused; without limits, some student is not."""
    if picked is not None:
        return picked.best is not None and not picked.best.refused
    return not all(one.refused for one in frontier.students)


def _page(frontier: "Frontier", sentences: list[str], picked: "Picked | None", output: Path) -> dict[str, Any]:
    from secondlook.jobs.report.report import write_atomically
    from secondlook.pipeline.report.frontier.page import render

    path = output.expanduser().absolute()
    best = picked.best.name if picked and picked.best else ""
    size = write_atomically(path, render(frontier, sentences, best))
    return {"output": str(output), "url": path.as_uri(), "bytes": size}


# The verb


def frontier(
    under: Annotated[
        str,
        typer.Option(
            metavar="LIMIT,…",
            help="Pick the most accurate student under these: 5ms, 50ms@64 (a batch of 64), 2MB, 20Mmadds, 1Mparams.",
        ),
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write one page to look at, too.")
    ] = None,
    verified: Annotated[
        bool, typer.Option("--verified", help="Measure on labels that people agreed on, of the split `test`.")
    ] = False,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    as_of: AsOfOption = None,
    json: JsonOption = False,
) -> int:
    """Compare all students with one another and with who taught them: accuracy, cost, robustness, and who pays.

    Everybody is asked about the same pictures of the split `test`, and timed in turns on one thread of this machine. A student
    is on the frontier where no other beats it on all axes; chance alone throws nobody off. For each you see the group that
    lost most beside the teacher, and the classes that it forgot: a mean hides them.

    The exit status is 1 where the gate refuses: a group of the picked student fell, surely, by more than [frontier]
    worst_group; without --under, where that holds for all students.

        secondlook frontier --under 5ms,2MB --output frontier.html
    """
    from secondlook.jobs.frontier import told
    from secondlook.jobs.lake.store import Lake

    chosen = settings_of(settings, lake)
    summary, measured, sentences = _run(
        Lake.open(chosen.lake), chosen, under, verified=verified, output=output, as_of=as_of
    )
    console.finish(summary, as_json=json, lines=lambda: told.lines(measured, [*sentences, *_where(summary)]))
    return 0 if summary["passes"] else 1


def _where(summary: dict[str, Any]) -> list[str]:
    return [summary["url"]] if "url" in summary else []
