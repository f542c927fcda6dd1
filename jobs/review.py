"""`secondlook review`: a batch goes out as a queue file, answers come back as annotations.

Label Studio plugs in at the same two functions: `take` has answers as records in, `queue.choose` tasks as records out.
"""

import contextlib
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs import dataset, queue
from secondlook.jobs.console import finish, out, say
from secondlook.jobs.landing import landing, refuse_taken
from secondlook.jobs.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.options import settings as read_settings
from secondlook.jobs.records import rows as rows_of
from secondlook.jobs.store import Lake, Version
from secondlook.labeling import acquire, history
from secondlook.labeling import answers as answers_file
from secondlook.labeling.answers import Answer, Keys, annotation_id
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown

OUTSIDE = "answers file"  # strategy of a batch that nobody pushed: its answers came unasked


def run_pull(
    lake: Lake,
    settings: Settings,
    file: Path,
    *,
    batch: str | None = None,
    new_classes: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Answers of a file become annotations; the same file twice adds nothing.

    Without `batch`, an answer belongs to the newest batch that asked for its picture, or, where none did, to a batch
    named after the file. Returns answers, added, changed, known, batches and the version (None where nothing is new).
    """
    del settings
    try:
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(f"{file} can't be read as text: {problem}") from None
    version = lake.at()
    inputs = {"file": hashlib.blake2b(data, digest_size=16).hexdigest(), "batch": batch or ""}
    done = lake.find("review pull", inputs)
    if done:
        say(f"{file} was pulled before, as version {done.id}; nothing to do")
        return {"answers": done.summary["answers"], "added": 0, "changed": 0, "known": done.summary["answers"]} | {
            "batches": [],
            "version": None,
        }
    samples = lake.latest("samples", version, ["sample_id", "key"])
    keys = Keys(samples["key"].to_pylist(), samples["sample_id"].to_pylist())
    asked = lake.latest("batches", version)
    allowed = set(dataset.class_names(lake, version))
    allowed.update(pc.unique(pc.list_flatten(asked["choices"])).to_pylist())
    found = answers_file.read(io.StringIO(text, newline=""), str(file), keys, allowed, new_classes=new_classes)
    return take(
        lake, version, found, batch=batch, outside=file.stem, inputs=inputs, now=now or datetime.now(UTC), asked=asked
    )


def take(
    lake: Lake,
    version: Version,
    found: Sequence[Answer],
    *,
    batch: str | None,
    outside: str,
    inputs: Mapping[str, Any],
    now: datetime,
    asked: pa.Table | None = None,
) -> dict[str, Any]:
    """Answers, however they came, become rows of `annotations`: added, changed, or known already.

    `outside` names the batch of answers that no batch asked for. `inputs` tells this delivery from any other.
    """
    asked = lake.latest("batches", version) if asked is None else asked
    placed = _place(found, asked, batch, outside, _newest_state(lake, version))
    rows = [row for row in placed if row["state"] != "known"]
    states = Counter(row["state"] for row in placed)
    summary: dict[str, Any] = {
        "answers": len(found),
        "added": states["submitted"],
        "changed": states["changed"],
        "known": states["known"],
        "batches": sorted({row["batch"] for row in rows}),
        "version": None,
    }
    if not rows:
        return summary
    attempt = lake.attempt("review pull", inputs, base=version)
    attempt.append("annotations", rows_of("annotations", [row | {"time": now} for row in rows]))
    known = set(zip(asked["batch"].to_pylist(), asked["sample_id"].to_pylist(), strict=True))
    unasked = list(
        dict.fromkeys((r["batch"], r["sample_id"]) for r in rows if (r["batch"], r["sample_id"]) not in known)
    )
    choices = dataset.class_names(lake, version)
    attempt.append(
        "batches",
        rows_of(
            "batches",
            [
                {
                    "batch": name,
                    "sample_id": sample_id,
                    "position": n,
                    "strategy": OUTSIDE,
                    "choices": choices,
                    "time": now,
                }
                for n, (name, sample_id) in enumerate(unasked)
            ],
        ),
    )
    made = attempt.commit(summary)
    return summary | {"version": made.id}


def _newest_state(lake: Lake, version: Version) -> dict[str, dict[str, Any]]:
    return {row["annotation_id"]: row for row in lake.latest("annotations", version).to_pylist()}


def _place(
    found: Sequence[Answer], asked: pa.Table, batch: str | None, outside: str, current: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Each answer with its batch and with its state: submitted, changed, or known."""
    rows = sorted(asked.select(["seq", "batch", "sample_id"]).to_pylist(), key=lambda row: (row["seq"], row["batch"]))
    newest = {row["sample_id"]: row["batch"] for row in rows}
    names = {row["batch"] for row in rows}
    if batch is not None and batch not in names:
        raise unknown("batch", batch, names)
    in_batch = {row["sample_id"] for row in rows if row["batch"] == batch}
    said = {(row["annotator"], row["sample_id"], _content(row)) for row in current.values()}
    placed = []
    for answer in found:
        if batch is not None and answer.sample_id not in in_batch:
            raise UserError(f"line {answer.line}: batch {batch} did not ask for this picture; leave --batch out")
        name = batch or newest.get(answer.sample_id, outside)
        identity = annotation_id(name, answer.sample_id, answer.annotator)
        before = current.get(identity)
        if (_content(before) if before else None) == answer.content:
            state = "known"
        elif batch is None and (answer.annotator, answer.sample_id, answer.content) in said:
            state = "known"  # the same answer, given to an earlier batch
        else:
            state = "changed" if before else "submitted"
        placed.append(
            {"annotation_id": identity, "batch": name, "sample_id": answer.sample_id, "annotator": answer.annotator}
            | {"answer": answer.answer, "label": answer.label, "seconds": answer.known_seconds, "state": state}
        )
    return placed


def _content(row: Mapping[str, Any]) -> tuple[str, str | None, float]:
    return row["answer"], row["label"], -1.0 if row["seconds"] is None else row["seconds"]


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
    choices = in_order([*dataset.class_names(lake, version), *classes])
    if not choices:
        raise UserError("the lake knows no classes yet; name them with --classes cat,dog")
    size = budget or settings.review.budget
    share = settings.review.random_share
    doubted, unlabeled, rest = queue.candidates(lake, version, again=again)
    chosen = acquire.choose(doubted, unlabeled, rest, budget=size, random_share=share, seed=seed)
    summary: dict[str, Any] = {
        "batch": None,
        "asked": len(chosen),
        "strategies": dict(sorted(Counter(one.strategy for one in chosen).items())),
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
    with _queue_files(lake, version, tasks, to, pictures, show_guess=show_guess):
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
    with _queue_files(lake, version, tasks, to, pictures, show_guess=show_guess):
        pass
    strategies = dict(sorted(Counter(task["strategy"] for task in tasks).items()))
    return {"batch": batch, "asked": len(tasks), "strategies": strategies, "version": None}


@contextlib.contextmanager
def _queue_files(
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
        yield


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
    classes: Annotated[
        str, typer.Option("--classes", metavar="A,B", help="Classes that may be answered beside those of the lake.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Ask again where answers came to no decision.")] = False,
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

    Example: secondlook review push --budget 100 --to queue.csv --pictures queue/
    """
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    if batch is not None:
        summary = run_again(opened, batch, to=to, pictures=pictures, show_guess=show_guess)
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
        if not summary["asked"]:
            out().print("nothing to ask for: every picture was asked for before, or there is none", markup=False)
            return
        why = ", ".join(f"{n} {name}" for name, n in summary["strategies"].items())
        out().print(f"{summary['batch']}: {summary['asked']} pictures ({why})", markup=False)

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

    Example: secondlook review pull --from answers.csv
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
    """Batches, and how far they are answered and decided.

    Example: secondlook review status
    """
    rows = run_status(Lake.open(read_settings(settings, lake).lake), as_of=as_of)

    def lines() -> None:
        width = max((len(row["batch"]) for row in rows), default=0)
        for row in rows:
            counts = ", ".join(f"{row[name]} {name}" for name in ("asked", "answered", "decided"))
            back = f", {row['reverted']} of them reverted" if row["reverted"] else ""
            out().print(f"{row['batch']:<{width}}  {counts}{back}", markup=False)
        if not rows:
            out().print("no batches yet; `secondlook review push` makes one", markup=False)

    finish({"batches": rows}, as_json=json, lines=lines)
