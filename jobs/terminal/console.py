"""What a person or a script sees: messages and progress on standard error, results on standard output."""

import contextlib
import json as json_format
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Advance = Callable[[int], None]
LOG_EVERY_S = 10.0  # where there is no terminal, progress is a line now and then


def err() -> Console:
    """Standard error as it is now (tests replace it)."""
    return Console(stderr=True, highlight=False)


def out() -> Console:
    """Standard output as it is now; never wraps, so that lines stay lines in a pipe."""
    return Console(highlight=False, soft_wrap=True)


def say(message: str, *, style: str | None = None) -> None:
    """One line about what happens, for people; text from data is never taken for markup."""
    err().print(message, style=style, markup=False, soft_wrap=True)


def finish(summary: Mapping[str, Any], *, as_json: bool, lines: Callable[[], None] | None = None) -> None:
    """The end of a verb: with --json exactly one line, else what `lines` prints, else nothing."""
    if as_json:
        sys.stdout.write(json_format.dumps(summary, ensure_ascii=False, default=str) + "\n")
        sys.stdout.flush()
    elif lines is not None:
        lines()


@contextlib.contextmanager
def progress(title: str, total: int | None, unit: str = "pictures", epochs: int = 0) -> Iterator[Advance]:
    """A bar on a terminal, a line every ten seconds elsewhere; yields a function to advance it by n.

    `epochs`: how many of them the total is, of all fits together; where told, it is said how many are done.
    """
    console = err()
    if not console.is_terminal:
        yield from _log_lines(title, total, unit, epochs)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    start = time.monotonic()
    with Progress(*columns, console=console, transient=False) as bar:
        task = bar.add_task(title, total=total, rate="")
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            rate = f"{done / max(time.monotonic() - start, 1e-3):,.0f}/s"
            bar.update(task, advance=n, rate=_of_epochs(done, total, epochs) + rate)

        yield advance


def _log_lines(title: str, total: int | None, unit: str, epochs: int) -> Iterator[Advance]:
    start = last = time.monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last >= LOG_EVERY_S:
            last = now
            of = f" of {total:,}" if total else ""
            rate = done / (now - start)
            left = f", {_duration(max(0.0, total - done) / rate)} left" if total and rate else ""
            say(f"{title}: {done:,}{of} {unit}, {_of_epochs(done, total, epochs)}{rate:,.0f}/s{left}")

    yield advance
    say(f"{title}: {done:,} {unit} in {time.monotonic() - start:.1f} s")


def _of_epochs(done: int, total: int | None, epochs: int) -> str:
    return f"epoch {min(epochs, done * epochs // total + 1)} of {epochs}, " if epochs and total else ""


def _duration(seconds: float) -> str:
    """Words for how long: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
