"""`secondlook review gold`: pictures whose class is known beyond doubt, to ask people for among others."""

import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.history.class_changes import author_here
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.gold import gold_rows
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.given import Given, given, gold_answers
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling.answers import Keys
from secondlook.labeling.people import gold_file
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.report.formats import printable

JOB = "review gold"
READ = ("samples", "gold", "annotations", "annotators", "classes", "predictions", "models")
PEOPLE = 3  # who must say the same
DISPUTED = 0.8  # probability of another class from which the model speaks against unanimous people
LEAST_ASKED = 3  # answers from which gold that most people contradict is pointed at


def run_list(lake: Lake, *, as_of: str | int | None = None) -> dict[str, Any]:
    """All gold: key, class, source, answers that said something of the class, and how many of them were right."""
    version = lake.at(as_of)
    rows = gold_rows(lake, version).to_pylist()
    samples = dataset.samples(lake, version).select(["sample_id", "key", "content_id"]).to_pylist()
    known = {row["sample_id"]: row for row in samples}
    answered = gold_answers(lake, version, given(lake, version)) if rows else []
    asked: Counter[str] = Counter(one.content_id for one in answered if one.wrong is not None)
    wrong: Counter[str] = Counter(one.content_id for one in answered if one.wrong)
    listed = []
    for row in rows:
        if row["sample_id"] in known:
            content = known[row["sample_id"]]["content_id"]
            n, k = asked[content], wrong[content]
            listed.append(
                {"sample_id": row["sample_id"], "key": known[row["sample_id"]]["key"], "label": row["label"]}
                | {"source": row["source"], "asked": n, "right": n - k, "doubtful": n >= LEAST_ASKED and 2 * k > n}
            )
    return {"version": version.id, "gold": sorted(listed, key=lambda one: (one["key"], one["sample_id"]))}


def run_supplied(lake: Lake, file: Path, *, now: datetime | None = None) -> dict[str, Any]:
    """Make gold of a file's pictures. Returns added, changed, known and the version (None where nothing is new)."""
    version = lake.at()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise UserError(f"{file} can't be read: {problem.strerror}") from None
    except UnicodeDecodeError as problem:
        raise UserError(f"{file} can't be read as UTF-8 text: {problem}") from None
    with read_classes(lake, version).complaining():
        found = gold_file.read(
            io.StringIO(text, newline=""), str(file), _keys(lake, version), dataset.class_names(lake, version)
        )
    rows = [{"sample_id": sample_id, "label": label, "source": "supplied"} for sample_id, label in found.items()]
    return _append(lake, version, rows, now)


def run_built(lake: Lake, *, now: datetime | None = None) -> dict[str, Any]:
    """Make gold of pictures on which at least PEOPLE people said the same, and none anything else.

    Left out is what the newest model is sure is another class, and what is or once was gold. Returns beside what run_supplied does `disputed`.
    """
    version = lake.at()
    silent = paused(lake, version)
    said: dict[str, dict[str, Given]] = defaultdict(dict)
    for one in given(lake, version):
        if one.annotator not in silent:
            said[one.content_id][one.annotator] = one
    agreed = {
        content: next(iter(people.values()))
        for content, people in said.items()
        if len(people) >= PEOPLE and len({one.said for one in people.values()}) == 1
    }
    usable = set(dataset.class_names(lake, version))
    agreed = {content: one for content, one in agreed.items() if one.label in usable}
    before = set(lake.latest("gold", version, ["sample_id"])["sample_id"].to_pylist())
    samples = lake.latest("samples", version, ["sample_id", "content_id"])
    rows = zip(samples["sample_id"].to_pylist(), samples["content_id"].to_pylist(), strict=True)
    was_gold = {content for sample_id, content in rows if sample_id in before}
    agreed = {content: one for content, one in agreed.items() if content not in was_gold}
    against = _disputed(lake, version, {content: one.label or "" for content, one in agreed.items()})
    made = [
        {"sample_id": one.sample_id, "label": one.label, "source": "unanimous"}
        | {"reason": f"{len(said[content])} people said the same, nobody else anything"}
        for content, one in sorted(agreed.items())
        if content not in against
    ]
    return _append(lake, version, made, now) | {"disputed": len(against)}


def run_withdrawn(lake: Lake, names: Sequence[str], reason: str = "", *, now: datetime | None = None) -> dict[str, Any]:
    """Pictures that are gold no more, by key or sample_id. Raises UserError where one is not gold."""
    version = lake.at()
    keys, current = _keys(lake, version), set(gold_rows(lake, version)["sample_id"].to_pylist())
    rows = []
    for name in names:
        sample_id = keys.find(name)
        if sample_id not in current:
            raise UserError(f"{name!r} is not gold; `secondlook review gold` lists what is")
        rows.append({"sample_id": sample_id, "label": None, "source": "withdrawn", "reason": reason or None})
    return _append(lake, version, rows, now) | {"withdrawn": len(rows)}


def _keys(lake: Lake, version: Version) -> Keys:
    samples = lake.latest("samples", version, ["sample_id", "key", "content_id"])
    samples = samples.filter(pc.is_valid(samples["content_id"]))
    return Keys(samples["key"].to_pylist(), samples["sample_id"].to_pylist())


def _disputed(lake: Lake, version: Version, labels: Mapping[str, str]) -> set[str]:
    """The contents of which the newest model is sure that they are another class; none where there is no model."""
    if not labels or not lake.latest("models", version, ["model"]).num_rows:
        return set()
    model = dataset.newest_model(lake, version)
    rows = dataset.predictions(lake, version, model.name)
    rows = rows.filter(pc.is_in(rows["content_id"], value_set=pa.array(list(labels), pa.string())))
    return {
        row["content_id"]
        for row in rows.to_pylist()
        if row["probs"]
        and row["probs"][0] >= DISPUTED
        and model.classes[row["classes"][0]] != labels[row["content_id"]]
    }


def _append(lake: Lake, version: Version, rows: Sequence[Mapping[str, Any]], now: datetime | None) -> dict[str, Any]:
    """New events of gold in one commit; what says what holds already is left out."""
    held = lake.latest("gold", version, ["sample_id", "label"])
    labels = dict(zip(held["sample_id"].to_pylist(), held["label"].to_pylist(), strict=True))
    fresh = [row for row in rows if labels.get(row["sample_id"]) != row["label"]]
    added = sum(labels.get(row["sample_id"]) is None for row in fresh)
    summary = {"added": added, "changed": len(fresh) - added, "known": len(rows) - len(fresh), "version": None}
    if not fresh:
        return summary
    inputs = {"rows": [dict(row) for row in fresh], "tables": {name: version.tables.get(name) for name in READ}}
    attempt = lake.attempt(JOB, inputs, base=version)
    when = now or datetime.now(UTC)
    attempt.append("gold", rows_of("gold", [{**row, "actor": author_here(None), "time": when} for row in fresh]))
    return summary | {"version": attempt.commit(summary).id}


def gold(
    file: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="CSV with key, label: these pictures are gold.")
    ] = None,
    build: Annotated[
        bool, typer.Option("--build", help="Make gold of pictures that three people, all asked, call the same.")
    ] = False,
    withdraw: Annotated[
        list[str] | None,
        typer.Option("--withdraw", metavar="KEY", help="This picture is gold no more. May be repeated."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why it is withdrawn.")] = "",
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Pictures whose class is known beyond doubt, to ask people for among others.

    Every batch has some of them, and nobody sees which. Who gets too many wrong is paused: `secondlook review annotators`.

    Best is gold that you supply, from pictures like all others. `--build` makes it of pictures on which at least three people agree and the
    model is not sure of another class. That is the easy part of the data: people err less on it than elsewhere, so what they err on
    it is a lower bound, and somebody who fails it fails badly.

    Example:

        secondlook review gold --from gold.csv
        secondlook review gold --build
        secondlook review gold --withdraw train/00042.jpg --reason "two things in it"
    """
    chosen = [file is not None, build, bool(withdraw)]
    if sum(chosen) > 1:
        raise UserError("--from, --build and --withdraw are three things; give one of them")
    if any(chosen) and as_of is not None:
        raise UserError("--as-of only lists; gold changes on top of the newest version")
    opened = Lake.open(read_settings(settings, lake).lake)
    if not any(chosen):
        listed = run_list(opened, as_of=as_of)
        finish(listed, as_json=json, lines=lambda: _print_list(listed["gold"]))
        return
    if withdraw:
        summary = run_withdrawn(opened, withdraw, reason)
    else:
        summary = run_supplied(opened, file) if file else run_built(opened)
    finish(summary, as_json=json, lines=lambda: out().print(_told(summary), markup=False))


def _told(summary: Mapping[str, Any]) -> str:
    if "withdrawn" in summary:
        return f"{summary['withdrawn']} withdrawn"
    parts = [f"{summary['added']} new", f"{summary['changed']} changed", f"{summary['known']} known already"]
    if "disputed" in summary:
        parts.append(f"{summary['disputed']} left out, since the model is sure of another class")
    return ", ".join(parts)


def _print_list(listed: Sequence[Mapping[str, Any]]) -> None:
    for one in listed:
        told = f"{one['right']} of {one['asked']} right" if one["asked"] else "not asked yet"
        doubt = "; most people say otherwise: look at it" if one["doubtful"] else ""
        out().print(f"{printable(one['key'])}  {printable(one['label'])}  {one['source']}, {told}{doubt}", markup=False)
    if not listed:
        out().print(
            "no gold yet; `secondlook review gold --from gold.csv` supplies it, `--build` makes it", markup=False
        )
