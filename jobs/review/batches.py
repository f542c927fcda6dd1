"""A batch goes out: what people are asked, recorded in `batches`, and the files that they work from."""

import contextlib
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
from secondlook.jobs.review import queue
from secondlook.jobs.share.adjudicated import STRATEGY as AUDIT
from secondlook.jobs.terminal.console import say
from secondlook.labeling.acquire import batch as acquire
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown


def run_push(
    lake: Lake,
    settings: Settings,
    *,
    to: Path | None = None,
    pictures: Path | None = None,
    budget: int | None = None,
    seed: int = 0,
    classes: Sequence[str] = (),
    again: bool = False,
    show_guess: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Choose a batch, record it in `batches`, and write its queue. Returns batch, asked, strategies and the version.

    `classes` may be answered beside those that the lake knows. Raises UserError where a target is taken.
    """
    targets = [target for target in (to, pictures) if target is not None]
    for target in targets:
        refuse_taken(target)
    version = lake.at()
    listed = read_classes(lake, version)
    for name in classes:
        if listed.concern(name) is not None:
            raise UserError(f"the class {listed.shown(name)} waits for a sign-off (SL501), so it can't be offered")
    choices = in_order([*dataset.class_names(lake, version), *classes])
    if not choices:
        raise UserError("the lake knows no classes yet; name them with --classes cat,dog")
    size = budget or settings.review.budget
    share = settings.review.random_share
    doubted, unlabeled, rest = queue.candidates(lake, version, again=again)
    chosen = acquire.choose(doubted, unlabeled, rest, budget=size, random_share=share, seed=seed)
    chosen = acquire.arrange(queue.paired(lake, version, chosen), seed=seed)
    summary: dict[str, Any] = {
        "batch": None,
        "asked": len(chosen),
        "strategies": dict(sorted(Counter(one.strategy for one in chosen).items())),
        "quarantined": dataset.count_quarantined(lake, version),
        "version": None,
    }
    if not chosen:
        return summary
    inputs = {"budget": size, "random_share": share, "seed": seed, "classes": list(classes), "again": again}
    read = ("samples", "labels", "findings", "batches", "annotations", "predictions", "models", "classes")
    attempt = lake.attempt("review push", inputs | {"tables": {t: version.tables.get(t) for t in read}}, base=version)
    summary["batch"] = name = f"batch-{attempt.seq}"
    tasks = [
        {"batch": name, "sample_id": one.sample_id, "position": n, "strategy": one.strategy, "choices": choices}
        | {"time": now or datetime.now(UTC)}
        for n, one in enumerate(chosen)
    ]
    attempt.append("batches", rows_of("batches", tasks))
    with queue_files(lake, version, tasks, to, pictures, show_guess=show_guess):
        made = attempt.commit(summary)
    return summary | {"version": made.id}


def run_again(
    lake: Lake, batch: str, *, to: Path | None = None, pictures: Path | None = None, show_guess: bool = False
) -> dict[str, Any]:
    """Write the queue of a batch that was pushed before."""
    version = lake.at()
    asked = lake.latest("batches", version)
    tasks = sorted(asked.filter(pc.equal(asked["batch"], batch)).to_pylist(), key=lambda row: int(row["position"]))
    if not tasks:
        raise unknown("batch", batch, pc.unique(asked["batch"]).to_pylist())
    if show_guess and any(task["strategy"] == AUDIT for task in tasks):
        raise UserError(f"{batch} is of an audit, whose answers are worth something only without --show-guess")
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
