"""The command `secondlook`: a lazy table of verbs, and the one handler that turns what goes wrong into an exit status.

A verb's module is imported when the verb runs, so that `--help` costs neither torch nor Spark.
"""

import contextlib
import errno
import importlib
import itertools
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import typer

from secondlook.jobs.terminal.console import err, out
from secondlook.pipeline.core.errors import SecondlookError, UserError, unknown

# Typer carries a click of its own and names only some of its exceptions: BadParameter's parent is what all share.
UsageError: type[Any] = typer.BadParameter.__mro__[1]


# What the machine refuses, and the exit status of it: a full disk may have room later, a forbidden folder stays so.
REFUSALS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), 3) | dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), 2)


INTERRUPTED = 130


class Verb(NamedTuple):
    """Where a verb's function is, and its one line in the list."""

    module: str
    function: str
    line: str


VERBS: dict[str, dict[str, Verb]] = {
    "The loop": {
        "demo": Verb("demo.demo", "demo", "The whole loop on small real pictures, in about a minute."),
        "ingest": Verb("ingest.ingest", "ingest", "Images, with or without labels, into the lake."),
        "train": Verb("train.train", "train", "The generalist: out-of-sample probabilities and embeddings."),
        "lint": Verb("lint.lint", "lint", "Every finding, by rule code, like a code linter."),
        "review push": Verb("review.push", "push", "Choose what people should look at, as a batch."),
        "review pull": Verb("review.pull", "pull", "Take people's answers back."),
        "review serve": Verb("review.serve", "serve", "Take answers as soon as Label Studio has them."),
        "review archive": Verb("review.archive", "archive", "Close a batch in Label Studio."),
        "review amplify": Verb("review.amplify", "amplify", "Label what people's answers make sure."),
        "review status": Verb("review.status", "status", "How far people are, what is left, and when to stop."),
        "review gold": Verb("people.gold", "gold", "Pictures whose class is known beyond doubt."),
        "review annotators": Verb("people.roster", "annotators", "Who answers, how well, and who is paused."),
        "explore": Verb("explore.explore", "explore", "Look around in FiftyOne; tags come back."),
        "share": Verb("share.share", "share", "How many labels are wrong, with an interval."),
        "commit": Verb("review.commit", "commit", "Answers become label decisions and a new version."),
        "report": Verb("report.report", "report", "The audit as one self-contained HTML page."),
        "export": Verb("export.export", "export", "The corrected dataset back out."),
        "card": Verb("card.card", "card", "What the dataset is, for people and for dataset hubs."),
    },
    "Models": {
        "clusters": Verb("clusters.clusters", "clusters", "Which classes the generalist confuses with one another."),
        "specialists": Verb(
            "specialists.specialists", "specialists", "Nets for the classes that are confused, kept where they help."
        ),
        "distill": Verb("distill.distill", "distill", "Small students, taught by a large model, for cheap devices."),
        "frontier": Verb("frontier.frontier", "frontier", "Which student to take, what it costs, and who pays."),
        "helped": Verb("helped.helped", "helped", "Did cleaning help: this model beside the one before."),
    },
    "The history of labels": {
        "log": Verb("history.history", "log", "Versions, newest first."),
        "diff": Verb("history.history", "diff", "Labels that differ between two versions."),
        "blame": Verb("history.history", "blame", "Everything that happened to one image's label."),
        "revert": Verb("history.revert", "revert", "Take decisions back: a batch's, a person's, or those of a time."),
    },
    "Groups of people": {
        "attributes": Verb("bias.attributes", "listed", "Who is in the pictures; repairs of mangled values."),
    },
    "The class list": {
        "classes list": Verb("history.classes", "list_classes", "The classes, and how many images bear each."),
        "classes merge": Verb("history.class_changes", "merge", "Make two classes one."),
        "classes rename": Verb("history.class_changes", "rename", "Give a class another name."),
        "classes split": Verb("history.class_changes", "split", "Make a class several; its images go to review."),
        "classes retire": Verb("history.class_changes", "retire", "Give a class up; its images stay, without a label."),
        "classes sign-off": Verb("history.class_changes", "sign_off", "Let a class be used that SL501 stopped."),
        "classes synonyms": Verb("history.class_changes", "synonyms", "Say what else a class is called."),
    },
    "Without a lake": {
        "label-issues": Verb(
            "label_issues.label_issues", "label_issues", "The label audit for probabilities of a model of your own."
        ),
        "rule": Verb("lint.rule", "rule", "What a rule means, how it decides, what to do."),
        "settings": Verb("terminal.settings", "settings", "A documented secondlook.toml with all defaults."),
        "doctor": Verb("machine.doctor", "doctor", "What is missing on this machine."),
    },
    "Upkeep": {
        "gc": Verb("lake.gc", "gc", "Remove what no version needs any more."),
        "forget": Verb("forget.forget", "forget", "Erase a person's pictures with all that was made of them."),
    },
}


def verbs() -> dict[str, Verb]:
    """All verbs by their full name."""
    return {name: verb for section in VERBS.values() for name, verb in section.items()}


def _command(name: str) -> Any:
    verb = verbs()[name]
    app = typer.Typer(
        add_completion=False, rich_markup_mode="markdown", context_settings={"help_option_names": ["-h", "--help"]}
    )
    function = getattr(importlib.import_module(f"secondlook.jobs.{verb.module}"), verb.function)
    app.command(name)(function)
    return typer.main.get_command(app)


def _verb_of(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The verb that the arguments begin with, one word or two, and the rest; "" for a group of verbs or nothing."""
    words = list(itertools.takewhile(lambda word: not word.startswith("-"), arguments[:2]))
    for n in (2, 1):
        name = " ".join(words[:n])
        if len(words) >= n and name in verbs():
            return name, list(arguments[n:])
    if not words:
        return "", list(arguments)
    if any(name.startswith(words[0] + " ") for name in verbs()) and len(words) == 1:
        return "", list(arguments)
    raise unknown(
        "command", " ".join(words) if any(n.startswith(words[0] + " ") for n in verbs()) else words[0], verbs()
    )


def _overview(prefix: str) -> None:
    """The table of verbs (of one group, with a prefix), without importing one."""
    console = out()
    if not prefix:
        console.print("[bold]Usage:[/] secondlook COMMAND [OPTIONS]")
        console.print("\nLint, review, commit and rebuild the labels of an image dataset, as engineers do with code.")
    width = max(map(len, verbs())) + 2
    for title, section in VERBS.items():
        rows = {name: verb for name, verb in section.items() if name.startswith(prefix)}
        if rows:
            console.print(f"\n[bold]{title}[/]")
        for name, verb in rows.items():
            console.print(f"  [cyan]{name:<{width}}[/]{verb.line}")
    console.print("\n`secondlook COMMAND --help` explains a command and its options.")
    if not prefix:
        console.print(
            "Exit status: 0 clean, 1 findings, 2 your mistake, 3 a service is away (try again), 70 a bug of ours."
        )


def _dispatch(arguments: Sequence[str]) -> int:
    name, rest = _verb_of(arguments)
    if name:
        status = _command(name).main(rest, prog_name=f"secondlook {name}", standalone_mode=False)
        return status if isinstance(status, int) else 0
    options = [word for word in rest if word.startswith("-")]
    if options == ["--version"]:
        from importlib import metadata

        out().print(f"secondlook {metadata.version('secondlook')}")
    elif all(option in {"-h", "--help"} for option in options):
        _overview(rest[0] + " " if rest and not rest[0].startswith("-") else "")
    else:
        raise UserError(f"unknown option {options[0]!r} before a command; choose from --help, --version")
    return 0


def run(arguments: Sequence[str]) -> int:
    """The exit status of one call: 0, 1, 2, 3 or 70; every complaint is one sentence on standard error."""
    for library in ("pyiceberg", "huggingface_hub"):
        logging.getLogger(library).setLevel(logging.ERROR)  # they warn of each retry; our sentence comes at the end
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()  # here, where a failure still gets its exit status
        if status == INTERRUPTED:  # typer has caught Ctrl-C
            raise KeyboardInterrupt
        return status
    except UsageError as problem:
        context = getattr(problem, "ctx", None)
        hint = str(context.info_name) if context else ""
        return _complain(problem.format_message().replace("\n", " "), 2, hint=hint)
    except SecondlookError as problem:
        return _complain(str(problem), problem.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        return _complain("interrupted; nothing half-done is visible in the lake", INTERRUPTED)
    except (BrokenPipeError, SystemExit):  # `secondlook lint | head`; rich and typer exit on it, as if with findings
        _drop_output()
        return 0
    except Exception as problem:  # noqa: BLE001 - the one place that catches all, to keep the exit status
        return _surprise(problem)


def _surprise(problem: Exception) -> int:
    """What no verb foresaw: the machine's refusal, or else a bug."""
    if isinstance(problem, OSError) and problem.errno in REFUSALS:
        _drop_output()
        where = f": {problem.filename}" if problem.filename else ""
        why = f"this machine refuses to read or write ({os.strerror(problem.errno)}){where}"
        return _complain(why, REFUSALS[problem.errno])
    database = sys.modules.get("sqlalchemy")  # not imported for this: then the problem is none of its
    if database is not None and isinstance(problem, database.exc.OperationalError):
        return _complain(f"the catalog of the lake does not answer: {str(problem).splitlines()[0]}", 3)
    traceback.print_exception(problem)
    return _complain(
        f"this is a bug of secondlook ({type(problem).__name__}: {problem}); please report the lines above", 70
    )


def _drop_output() -> None:
    """What waits to be written goes nowhere: Python would try again, and fail again, at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, status: int, *, hint: str = "") -> int:
    from secondlook.pipeline.report.formats import printable  # names from data may hold line breaks and worse

    console = err()
    with contextlib.suppress(OSError, SystemExit):  # where nobody reads standard error, the status still says it
        console.print("error:", style="bold red", end=" ")
        console.print(printable(message), markup=False, soft_wrap=True)
        if hint:
            console.print(f"see `{hint} --help`", style="dim", markup=False)
    return status


def _standard_streams() -> None:
    """Standard output and error that take any text: names from data are in every script, terminals are not.

    Pipes and files get UTF-8, whatever the locale. A closed stream goes nowhere, and before any file is opened: the
    first one would take the stream's number, and what is printed would be written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            free = os.open(os.devnull, os.O_RDWR)
            if free != number:
                os.dup2(free, number)
                os.close(free)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
        elif mode == "w" and stream.isatty():
            stream.reconfigure(errors="backslashreplace")
        elif mode == "w":
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def main() -> NoReturn:
    """Entry point of the installed command."""
    _standard_streams()
    sys.exit(run(sys.argv[1:]))
