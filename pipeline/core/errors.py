"""What can go wrong, by what the caller can do about it; the exit status follows from the class."""

from collections.abc import Iterable
from difflib import get_close_matches


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
    hint = f", did you mean {near[0]!r}?" if near else "."
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return UserError(
        f"unknown {what} {got!r}{hint} Choose from: {shown}" if names else f"unknown {what} {got!r}: there is none yet"
    )
