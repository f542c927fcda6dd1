"""`secondlook review annotators`: who answers, how fast, how well, and who is paused."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import numpy as np
import typer

from secondlook.jobs.history.class_changes import author_here
from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.people.annotators import paused
from secondlook.jobs.people.given import Given, given, gold_answers
from secondlook.jobs.people.pausing import JOB, READ, judged, rates, resumed
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import AsOfOption, JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling.people.speed import worked
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.statistics import share
from secondlook.pipeline.report.formats import printable


def run_roster(
    lake: Lake, settings: Settings, *, as_of: str | int | None = None, answered: list[Given] | None = None
) -> list[dict[str, Any]]:
    """The people who answered, by name: annotator, answers, seconds (mean, None where unknown), gold, agreement, paused, why.

    `gold`: asked, right and `share` with `interval` of what said something of the class, and the test's `state`. `agreement`: with
    other people's answers for the same pictures: share and interval, and n pictures. `answered`: all answers, where they were read before.
    """
    version = lake.at(as_of)
    answered = given(lake, version) if answered is None else answered
    golden, silent = gold_answers(lake, version, answered), paused(lake, version)
    found = judged(golden, resumed(lake, version), silent, rates(settings))
    newest = {row["annotator"]: row for row in lake.latest("annotators", version).to_pylist()}
    mine: dict[str, list[Given]] = defaultdict(list)
    for one in answered:
        mine[one.annotator].append(one)
    agree = _agreement(answered, silent)
    rows = []
    for name in sorted({*mine, *newest}):
        seconds = [one.seconds for one in mine[name] if one.seconds is not None]
        told = [one for one in golden if one.annotator == name and one.wrong is not None]
        right = sum(not one.wrong for one in told)
        event = newest.get(name)
        rows.append(
            {"annotator": name, "answers": len(mine[name])}
            | {"seconds": round(float(np.mean(worked(seconds))), 2) if seconds else None}
            | {"gold": _share(right, len(told)) | {"state": found[name].state if name in found else "open"}}
            | {"agreement": _share(*agree.get(name, (0, 0)))}
            | {"paused": name in silent, "why": event["reason"] if event and name in silent else None}
        )
    return rows


def _share(k: float, n: int) -> dict[str, Any]:
    interval = share(0, 0).interval if not n else share(min(round(k), n), n).interval
    value = round(k / n, 4) if n else None
    return {"k": round(k, 2), "n": n, "share": value, "interval": [round(interval.low, 4), round(interval.high, 4)]}


def _agreement(answered: Sequence[Given], silent: frozenset[str]) -> dict[str, tuple[float, int]]:
    """For each person the sum, over pictures that others answered too, of the part of these who said the same; and how many.

    Paused people are no others.
    """
    said: dict[str, dict[str, str]] = defaultdict(dict)
    for one in answered:
        said[one.content_id][one.annotator] = one.said
    sums: dict[str, tuple[float, int]] = {}
    for people in said.values():
        for name, mine in people.items():
            others = [other for who, other in people.items() if who not in {name, *silent}]
            if others:
                k, n = sums.get(name, (0.0, 0))
                sums[name] = (k + others.count(mine) / len(others), n + 1)
    return sums


def run_change(
    lake: Lake, name: str, event: str, reason: str, *, author: str | None = None, now: datetime | None = None
) -> dict[str, Any]:
    """Pause or resume a person by hand ("paused", "resumed"). Raises UserError without a reason, or for an unknown name."""
    if not reason.strip():
        raise UserError(f"--{'pause' if event == 'paused' else 'resume'} needs --reason: it stays in the history")
    version = lake.at()
    known = set(lake.latest("annotations", version, ["annotator"])["annotator"].to_pylist())
    known |= set(lake.latest("annotators", version, ["annotator"])["annotator"].to_pylist())
    if name not in known:
        raise unknown("annotator", name, known)
    if (name in paused(lake, version)) == (event == "paused"):
        raise UserError(f"{name!r} is {'paused already' if event == 'paused' else 'not paused'}")
    inputs = {"event": event, "annotator": name, "tables": {table: version.tables.get(table) for table in READ}}
    attempt = lake.attempt(JOB, inputs, base=version)
    row = {"annotator": name, "event": event, "actor": author_here(author), "reason": reason.strip()}
    attempt.append("annotators", rows_of("annotators", [row | {"time": now or datetime.now(UTC)}]))
    summary = {"paused": [name] if event == "paused" else [], "resumed": [name] if event == "resumed" else []}
    return summary | {"version": attempt.commit(summary).id}


def annotators(
    pause: Annotated[
        str | None, typer.Option("--pause", metavar="NAME", help="This person's answers count for nothing from now on.")
    ] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="NAME", help="… and count again; gold questions begin afresh.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; it stays in the history.")] = "",
    author: Annotated[str | None, typer.Option("--author", help="Who decides it. Default: git's user.name.")] = None,
    as_of: AsOfOption = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Who answers, how fast, how well, and who is paused.

    Gold questions pause a person after `review pull` when they show that the person errs more than acceptable: by a test that wrongly pauses a good
    one with a chance of [review] gold_alpha at most, however long they work. A paused person's answers stay, and count for nothing at
    the next `commit`; `--resume` lets them count again.

    Example:

        secondlook review annotators
        secondlook review annotators --resume ann --reason "the gold was wrong"
    """
    if pause is not None and resume is not None:
        raise UserError("--pause and --resume are two things; give one of them")
    chosen = read_settings(settings, lake)
    opened = Lake.open(chosen.lake)
    name = pause if pause is not None else resume
    if name is None:
        rows = run_roster(opened, chosen, as_of=as_of)
        finish({"annotators": rows}, as_json=json, lines=lambda: _print(rows))
        return
    event = "paused" if pause is not None else "resumed"
    summary = run_change(opened, name, event, reason, author=author)
    finish(summary, as_json=json, lines=lambda: out().print(f"{name} is {event}", markup=False))


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        out().print("; ".join(told(row)), markup=False)
    if not rows:
        out().print("nobody has answered yet", markup=False)


def told(row: Mapping[str, Any]) -> list[str]:
    """What is known of a person, in parts of a line."""
    first = f"{printable(row['annotator'])}: {row['answers']:,} answers"
    if row["seconds"] is not None:
        first += f", {row['seconds']:.1f} s each"
    parts = [first]
    gold, agreement = row["gold"], row["agreement"]
    if gold["n"]:
        state = {"failed": ", failed", "passed": ", passed"}.get(gold["state"], "")
        parts.append(f"gold {gold['k']:.0f} of {gold['n']} right{_between(gold)}{state}")
    if agreement["n"]:
        parts.append(f"agrees with others on {agreement['share']:.0%} of {agreement['n']:,}{_between(agreement)}")
    if row["paused"]:
        parts.append(f"PAUSED: {printable(row['why'])}")
    return parts


def _between(part: Mapping[str, Any]) -> str:
    low, high = part["interval"]
    return f" ({low:.0%} to {high:.0%})"
