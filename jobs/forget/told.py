"""What `forget` says to people: what would go, and what is gone."""

from collections.abc import Mapping, Sequence
from typing import Any

from secondlook.jobs.forget.certificate import CLASSES_STAY, OUT_OF_REACH
from secondlook.jobs.forget.plan import Plan
from secondlook.jobs.terminal.console import out, say
from secondlook.pipeline.report.formats import printable

SHOWN = 5


def say_plan(agreed: Plan, *, models: bool) -> None:
    """What would be erased, what stays, and what is not reached."""
    chosen, n = agreed.chosen, len(agreed.chosen.samples)
    say(f"{counted(n, 'picture')} of {agreed.whole:,}: {_some(agreed.keys)}", style="bold")
    if chosen.copies:
        say(f"of them {len(chosen.copies):,} were not named and are the same picture, or near to it")
    rows = ", ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in agreed.rows.items())
    say(f"rows that go: {rows}; in all {agreed.versions:,} versions, which stay readable without them")
    if agreed.batches:
        say(f"tasks of {_some(agreed.batches)} go, also in Label Studio")
    if chosen.shared:
        say(
            f"{len(chosen.shared):,} contents stay: other pictures have the same bytes (--copies exact takes those, too)",
            style="yellow",
        )
    if chosen.near:
        say(f"near copies stay: {_some(chosen.near)} (--copies near takes them, too)", style="yellow")
    if agreed.classes:
        borne = f"no other picture was ever labeled {_some(agreed.classes)}: such a name stays, whoever it may name, {CLASSES_STAY}"
        known = f" (in that of {_some(agreed.knowing)})" if agreed.knowing else ""
        say(
            f"{borne}{known}. Nothing erases it; `secondlook classes retire NAME` takes it out of use alone",
            style="yellow",
        )
    for model, folds in agreed.trained.items():
        seen = f"model {model} was trained on them" + (
            f" (held out in fold {', '.join(map(str, folds))} alone)" if folds else ", or made of one that was"
        )
        say(
            f"{seen}: " + ("it is deleted" if models else "--models deletes it, the same command makes one without"),
            style="yellow",
        )
    for source, keys in agreed.sources.items():
        say(f"not touched: {_some(keys)} in {printable(source)}", style="yellow")


def print_done(told: Mapping[str, Any] | None) -> None:
    """A certificate for people; None: there was nothing to go on with."""
    if told is None:
        out().print("nothing waits to be finished")
        return
    proof, console = told["proof"], out()
    console.print(
        f"erased {counted(told['pictures'], 'picture')} ({counted(told['contents'], 'content')}), version {told['version']}",
        markup=False,
    )
    console.print(
        f"proved: nothing of them in {proof['files']:,} files ({proof['bytes'] / 2**20:,.1f} MiB) of the lake and its catalog",
        markup=False,
    )
    if proof["alike"]:
        say(
            f"{proof['alike']:,} pictures that stay share hashes, vectors or bytes with them: near copies",
            style="yellow",
        )
    if n := told["classes"]:
        names = "names of classes that only they" if n > 1 else "name of a class that only they"
        say(f"{n:,} {names} bore stay{'s' * (n == 1)} {CLASSES_STAY}, and no proof looks for it", style="yellow")
    for one in told["elsewhere"]["left"]:
        say(one, style="yellow")
    for source, n in told["sources"].items():
        say(f"not touched: up to {counted(n, 'file')} in {printable(source)}; delete them there, too", style="yellow")
    say("out of reach: " + "; ".join(OUT_OF_REACH))


def counted(n: int, what: str) -> str:
    """A count with its noun.

    >>> counted(1, "picture"), counted(1200, "picture")
    ('1 picture', '1,200 pictures')
    """
    return f"{n:,} {what}{'s' * (n != 1)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + more
