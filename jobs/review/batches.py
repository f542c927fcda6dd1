"""A batch goes out: what people are asked, recorded in `batches`, and the files that they work from."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from secondlook.jobs.files.landing import landing, refuse_taken
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import STRATEGY as VERIFY
from secondlook.jobs.review import queue
from secondlook.jobs.review.plan import Plan, plan
from secondlook.jobs.share.adjudicated import STRATEGY as AUDIT
from secondlook.jobs.share.adjudicated import number
from secondlook.jobs.terminal.console import say
from secondlook.labeling.acquire import balance
from secondlook.labeling.acquire import budget as budgets
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown

GROUPS = 20  # of a batch that its summary names, the largest
READ = (
    "samples", "labels", "classes", "findings", "batches", "annotations", "annotators", "gold", "predictions", "models",
    "evidence", "audit_samples", "projects", "attribute_repairs",
)  # fmt: skip


def run_push(
    lake: Lake,
    settings: Settings,
    *,
    to: Path | None = None,
    pictures: Path | None = None,
    budget: int | str | None = None,
    strategy: str | None = None,
    seed: int = 0,
    classes: Sequence[str] = (),
    again: bool = False,
    groups: Sequence[str] = (),
    show_guess: bool = False,
    dry_run: bool = False,
    sending: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Choose a batch, record it in `batches`, and write its queue.

    `budget` is as `--budget` takes it; `classes` may be answered beside those that the lake knows; `groups` are as `--group` takes
    them: the batch is of these alone; `sending` notes that the batch is to go to a labeling tool, `dry_run` records and writes
    nothing. Returns batch, asked, strategies, strategy, groups, seconds, price, gain,
    candidates, balance, of_groups and the version. Raises UserError where a target is taken.
    """
    for target in (to, pictures):
        if target is not None:
            refuse_taken(target)
    version = lake.at()
    choices = _choices(lake, version, classes)
    review = settings.review
    asked = budgets.parse(str(review.budget if budget is None else budget))
    limit = budgets.limit(asked, price_per_hour=review.price_per_hour, currency=review.currency)
    made = plan(
        lake, version, settings, limit, classes=choices, strategy=strategy, again=again, groups=groups, seed=seed
    )
    questions = made.questions
    summary: dict[str, Any] = {
        "batch": None,
        "asked": len(questions),
        "strategies": dict(sorted(Counter(one.strategy for one in questions).items())),
        "quarantined": dataset.count_quarantined(lake, version),
        "version": None,
    }
    if not questions:
        return summary
    summary |= _told(made, settings, asked, strategy or review.strategy)
    if dry_run:
        return summary
    inputs = {"budget": str(asked), "strategy": strategy or review.strategy, "seed": seed, "classes": list(classes)}
    inputs |= {"again": again, "review": dataclasses.asdict(review)} | ({"of": list(groups)} if groups else {})
    attempt = lake.attempt("review push", inputs | {"tables": {t: version.tables.get(t) for t in READ}}, base=version)
    summary["batch"] = name = f"batch-{attempt.seq}"
    tasks = [
        {"batch": name, "sample_id": one.sample_id, "position": n, "strategy": one.strategy, "choices": choices}
        | {"options": one.options, "group": one.group, "time": now or datetime.now(UTC)}
        for n, one in enumerate(questions)
    ]
    attempt.append("batches", rows_of("batches", tasks))
    with queue_files(lake, version, tasks, to, pictures, show_guess=show_guess):
        committed = attempt.commit(summary | {"sending": sending})
    return summary | {"version": committed.id}


def _choices(lake: Lake, version: Version, classes: Sequence[str]) -> list[str]:
    """All classes that may be answered."""
    listed = read_classes(lake, version)
    for name in classes:
        if listed.concern(name) is not None:
            raise UserError(f"the class {listed.shown(name)} waits for a sign-off (SL501), so it can't be offered")
    choices = in_order([*dataset.class_names(lake, version), *classes])
    if not choices:
        raise UserError("the lake knows no classes yet; name them with --classes cat,dog")
    return choices


def _told(made: Plan, settings: Settings, asked: budgets.Budget, strategy: str) -> dict[str, Any]:
    """What a batch is, for its summary: kept with the version, so that a report can say it later."""
    review = settings.review
    seconds = sum(one.seconds for one in made.questions)
    groups = Counter(one.group for one in made.questions)
    return {
        "strategy": strategy,
        "budget": str(asked),
        "candidates": dict(made.candidates),
        "gold": made.gold,
        "seconds": round(seconds, 1),
        "price": round(seconds / 3600 * review.price_per_hour, 2) if review.price_per_hour else None,
        "currency": review.currency if review.price_per_hour else None,
        "gain": made.gain,
        "groups": dict(sorted(groups.items(), key=lambda one: (-one[1], one[0]))[:GROUPS]),
        "balance": dict(made.balance),
        "of_groups": {name: dict(its) for name, its in made.of_groups.items()},
        "left_out": balance.left_out(made.balance, review.balance_floor, settings.estimated),
    }


def unfinished(lake: Lake, version: Version) -> list[str]:
    """Batches that were to go to a labeling tool and are not there whole, oldest first."""
    projects = lake.latest("projects", version, ["batch", "state"])
    state = dict(zip(projects["batch"].to_pylist(), projects["state"].to_pylist(), strict=True))
    meant = [
        one.summary["batch"]
        for one in lake.versions.all()
        if one.id <= version.id and one.summary.get("sending") and one.summary.get("batch")
    ]
    named = dict.fromkeys([*(batch for batch, its in state.items() if its == "made"), *meant])
    return sorted((one for one in named if state.get(one, "made") == "made"), key=number)


def run_again(
    lake: Lake, batch: str, *, to: Path | None = None, pictures: Path | None = None, show_guess: bool = False
) -> dict[str, Any]:
    """Write the queue of a batch that was pushed before."""
    version = lake.at()
    asked = lake.latest("batches", version)
    tasks = sorted(asked.filter(pc.equal(asked["batch"], batch)).to_pylist(), key=lambda row: int(row["position"]))
    if not tasks:
        raise unknown("batch", batch, pc.unique(asked["batch"]).to_pylist())
    if show_guess and any(task["strategy"] in {AUDIT, VERIFY} for task in tasks):
        raise UserError(f"{batch} is of an audit or a verification, worth something only without --show-guess")
    with queue_files(lake, version, tasks, to, pictures, show_guess=show_guess):
        pass
    strategies = dict(sorted(Counter(task["strategy"] for task in tasks).items()))
    return {"batch": batch, "asked": len(tasks), "strategies": strategies, "version": None}


@contextlib.contextmanager
def queue_files(
    lake: Lake,
    version: Version,
    tasks: Sequence[Mapping[str, Any]],
    to: Path | None,
    pictures: Path | None,
    *,
    show_guess: bool,
) -> Iterator[None]:
    """The queue's file and folder, written before the body and named after it: no commit without them."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(landing(pictures)) if pictures else None
        file = stack.enter_context(landing(to)) if to else None
        if file or folder:
            queue.write(lake, version, tasks, file, folder, pictures, show_guess=show_guess)
        n = queue.telling(lake, version, tasks) if to and not pictures else 0
        if n:
            say(f"the paths of {n} pictures in {to} have a folder that is called like a class; --pictures hides them")
        yield
