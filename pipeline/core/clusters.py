"""A cluster of classes that a model confuses with one another, and what it is called."""

import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NAMED = 3  # classes that a cluster's name tells; the others are counted
LONGEST = 40  # characters of a class in it


@dataclass(frozen=True)
class Cluster:
    """`classes`: names, those first that are confused most. `level`: 0, or 1 where it is a part of the cluster `parent`.

    `evidence`: what speaks for it, as docs/guide/models.md names it; values that JSON can hold.
    """

    name: str
    classes: tuple[str, ...]
    level: int = 0
    parent: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def name_of(classes: Sequence[str], taken: Collection[str] = ()) -> str:
    """What a cluster of these classes is called: the first ones, and how many more there are.

    >>> name_of(["cat", "lynx", "tiger", "puma", "lion"])
    'cat / lynx / tiger +2'
    >>> name_of(["cat", "lynx"], taken={"cat / lynx"})
    'cat / lynx (2)'
    """
    more = len(classes) - NAMED
    name = " / ".join(_short(one) for one in classes[:NAMED]) + (f" +{more}" if more > 0 else "")
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name} ({number})"
    return free


def _short(text: str) -> str:
    """A class's name in one line, cut where it is too long."""
    seen = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in text[: 10 * LONGEST])
    line = " ".join(seen.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"
