"""`secondlook revert`: decisions are taken back, by batch, by the person whose answers they rest on, or by time."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from secondlook.jobs.history import class_changes
from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.terminal.console import finish, out
from secondlook.jobs.terminal.options import JsonOption, LakeOption, SettingsOption
from secondlook.jobs.terminal.options import settings as read_settings
from secondlook.labeling import history
from secondlook.labeling.history import Reverted
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.report.formats import printable


def run_revert(lake: Lake, batch: str, *, actor: str = "revert", now: datetime | None = None) -> dict[str, Any]:
    """Take a batch's decisions back where they are still the current ones.

    Returns batch (of this revert, which can itself be reverted), reverts, reverted, unchanged (the batch had only
    confirmed the label), kept, kept_keys (the first ten), kept_by (batch whose decision
    holds there → how many), already, and the version (None where nothing was reverted).
    """
    version = lake.at()
    decided = pc.unique(lake.read("labels", version, ["batch"])["batch"]).drop_null().to_pylist()
    if batch not in decided:
        asked = pc.unique(lake.read("batches", version, ["batch"])["batch"]).to_pylist()
        if batch in asked:
            raise UserError(f"batch {batch!r} has no decisions yet, so there is nothing to revert")
        raise unknown("batch", batch, decided)
    stamp = now or datetime.now(UTC)
    return _run(lake, batch, lambda events: history.revert(events, batch, actor=actor, now=stamp))


def run_revert_annotator(
    lake: Lake, annotator: str, *, actor: str = "revert", now: datetime | None = None
) -> dict[str, Any]:
    """Take back the decisions in which a person's answer counted, where they are current; see `run_revert` for what it returns.

    That person's answers are no evidence any more. Those of others stay, and `commit` decides of them anew: `open_again` is how
    many of the samples have such an answer.
    """
    version = lake.at()
    people = pc.unique(lake.latest("annotations", version, ["annotator"])["annotator"]).to_pylist()
    if annotator not in people:
        raise unknown("annotator", annotator, people)
    stamp = now or datetime.now(UTC)
    summary = _run(
        lake,
        f"annotator {annotator}",
        lambda events: history.revert_annotator(events, annotator, actor=actor, now=stamp),
    )
    return summary | {"open_again": _open_again(lake, summary["batch"], annotator)}


def run_revert_between(
    lake: Lake, since: datetime, until: datetime | None = None, *, actor: str = "revert", now: datetime | None = None
) -> dict[str, Any]:
    """Take back what was decided from `since` on, and before `until`; see `run_revert` for what it returns."""
    stamp = now or datetime.now(UTC)
    span = f"since {since.isoformat()}" + (f" until {until.isoformat()}" if until else "")
    return _run(lake, span, lambda events: history.revert_between(events, since, until, actor=actor, now=stamp))


def _run(lake: Lake, what: str, take_back: Callable[[pa.Table], Reverted]) -> dict[str, Any]:
    version = lake.at()
    events = lake.read("labels", version)
    back = take_back(events)
    attempt = lake.attempt("revert", {"batch": what, "labels": version.tables.get("labels")}, base=version)
    name = f"revert-{attempt.seq}"
    samples = lake.latest("samples", version, ["sample_id", "key"])
    of_kept = samples.filter(pc.is_in(samples["sample_id"], value_set=pa.array(back.kept[:10], pa.string())))
    summary: dict[str, Any] = {
        "reverts": what,
        "reverted": back.events.num_rows,
        "unchanged": back.unchanged,
        "kept": len(back.kept),
        "kept_keys": sorted(of_kept["key"].to_pylist()),
        "kept_by": _holders(events, back.kept),
        "already": len(back.already),
        "batch": name,
        "version": None,
    }
    if not back.events.num_rows:
        return summary | {"batch": None}
    named = pa.array([name] * back.events.num_rows, pa.string())
    attempt.append("labels", back.events.append_column("batch", named))
    return summary | {"version": attempt.commit(summary).id}


def _holders(events: pa.Table, samples: Sequence[str]) -> dict[str, int]:
    """The batches whose decisions hold for samples, with how many each, the largest first."""
    theirs = events.filter(pc.is_in(events["sample_id"], value_set=pa.array(samples, pa.string())))
    batches = history.holding(theirs)["batch"].to_pylist()
    return dict(Counter(batch or "no batch" for batch in batches).most_common())


def _open_again(lake: Lake, batch: str | None, annotator: str) -> int:
    """How many of the samples that a revert changed have answers of others."""
    if batch is None:
        return 0
    version = lake.at()
    labels = lake.read("labels", version, ["sample_id", "batch"])
    touched = pc.unique(labels.filter(pc.equal(labels["batch"], batch))["sample_id"])
    rows = lake.latest("annotations", version, ["sample_id", "annotator", "state"])
    others = pc.and_(pc.not_equal(rows["annotator"], annotator), pc.not_equal(rows["state"], "deleted"))
    rows = rows.filter(pc.and_(others, pc.is_in(rows["sample_id"], value_set=touched)))
    return len(pc.unique(rows["sample_id"]))


def told(summary: Mapping[str, Any]) -> str:
    """What a revert did, in a sentence."""
    parts = [f"{summary['reverted']} reverted"]
    if summary["kept"]:
        by = list(summary["kept_by"])
        named = ", ".join(by[:3]) + (f" and {len(by) - 3} more" if len(by) > 3 else "")
        parts.append(f"{summary['kept']} kept because a later decision holds there ({named}: revert that first)")
    if summary["already"]:
        parts.append(f"{summary['already']} were taken back before")
    made = f" (version {summary['version']}, batch {summary['batch']})" if summary["version"] else "; no version made"
    again = summary.get("open_again", 0)
    return (
        ", ".join(parts)
        + made
        + (f". {again} have answers of others: `secondlook commit` decides anew" if again else "")
    )


def revert(
    batch: Annotated[
        str | None,
        typer.Argument(help="The batch, as `secondlook review status` or `blame` names it, or a change of classes."),
    ] = None,
    annotator: Annotated[
        str | None,
        typer.Option("--annotator", metavar="NAME", help="Instead: decisions in which this person's answer counted."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Instead: decisions from this time on, such as 2026-11-01T00:00 (UTC)."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="… and before this time.")] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", metavar="TEXT", help="Why; a change of classes asks for it.")
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", metavar="NAME", help="Who takes a change of classes back.")
    ] = None,
    lake: LakeOption = None,
    settings: SettingsOption = None,
    json: JsonOption = False,
) -> None:
    """Take decisions back: a batch's, those that rest on a person's answers, or those of a time.

    Where such a decision is still the current one, the label before it comes back, as an event of its own; what a later decision changed stays, and
    is said. A revert can be reverted too, and so can what `secondlook classes` did: `classes-12`. With --annotator the others' answers stay,
    and `secondlook commit` decides of them anew.

    Example:

        secondlook revert batch-12
    """
    if sum(one is not None for one in (batch, annotator, since)) != 1 or (until is not None and since is None):
        raise UserError("revert takes one of: a batch, --annotator NAME, --since TIME (with or without --until TIME)")
    opened = Lake.open(read_settings(settings, lake).lake)
    changes = class_lists.read(opened, opened.at()).events
    if batch is not None and any(event.batch == batch for event in changes):
        _revert_classes(opened, batch, reason, author, as_json=json)
        return
    if reason is not None or author is not None:
        what = batch or "here"
        raise UserError(
            f"there is no change of classes {what}, and --reason and --author are kept with such changes only, such as classes-12"
        )
    if annotator is not None:
        summary = run_revert_annotator(opened, annotator)
    elif since is not None:
        summary = run_revert_between(opened, _time("--since", since), _time("--until", until) if until else None)
    else:
        summary = run_revert(opened, batch or "")

    def lines() -> None:
        out().print(told(summary), markup=False)
        for key in summary["kept_keys"]:
            out().print(f"  kept: {printable(key)}", markup=False)

    finish(summary, as_json=json, lines=lines)


def _time(option: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} takes a time such as 2026-11-01 or 2026-11-01T14:30 (UTC), got {text!r}") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _revert_classes(lake: Lake, batch: str, reason: str | None, author: str | None, *, as_json: bool) -> None:
    why = reason if reason is not None else f"{batch} was a mistake"
    summary = class_changes.run_undo(lake, batch, reason=why, author=class_changes.author_here(author))
    finish(summary, as_json=as_json, lines=lambda: class_changes.show(summary))
