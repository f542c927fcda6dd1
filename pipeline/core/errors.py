"""What can go wrong, by what the caller can do about it; the exit status follows from the class."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 60  # characters of a name: those of data may have 10,000


class SecondlookError(Exception):
    """A bug of ours where nothing below fits; its message is one sentence."""

    exit_status = 70


class UserError(SecondlookError):
    """The user's mistake: the message says what, what it got, and what is allowed."""

    exit_status = 2


class UnavailableError(SecondlookError):
    """A service does not answer, or another job was faster: the same command may succeed later."""

    exit_status = 3


class ConflictError(UnavailableError):
    """Another job committed to the same table first; nothing of this job is visible, run it again."""


def unknown(what: str, got: str, allowed: Iterable[str]) -> UserError:
    """The one sentence for a name that is not in a list.

    >>> print(unknown("strategy", "margn", ["entropy", "margin"]))
    unknown strategy 'margn', did you mean 'margin'? Choose from: entropy, margin
    """
    names = sorted(allowed)
    near = get_close_matches(got, names, n=1)
    hint = f", did you mean {_short(near[0])!r}?" if near else "."
    shown = ", ".join(map(_short, names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    asked = f"unknown {what} {_short(got)!r}"
    return UserError(f"{asked}{hint} Choose from: {shown}" if names else f"{asked}: there is none yet")


def _short(name: str) -> str:
    return name if len(name) <= SHOWN else name[: SHOWN - 1] + "…"
