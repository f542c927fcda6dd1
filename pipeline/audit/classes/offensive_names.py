"""SL501: classes whose name a person should look at before they are used."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from secondlook.pipeline.audit.classes.terms.concern import Concern
from secondlook.pipeline.core.rules import Finding


class Doubtful(NamedTuple):
    """A class with a concern: its number (None where it has none), its name as it may be shown, and its pictures."""

    number: int | None
    shown: str
    concern: Concern
    pictures: int


def offensive_names(classes: Iterable[Doubtful]) -> Iterator[Finding]:
    """A finding for each; neither key nor message nor evidence holds the term."""
    for number, shown, concern, pictures in classes:
        yield Finding(
            rule="SL501",
            subject_kind="class",
            subject=f"#{number}" if number is not None else shown,
            key=shown,
            score=concern.score,
            message=f"{_HEAD[concern.kind]}: {concern.why}; quarantined with {pictures:,} pictures until a person signs it off",
            evidence={"kind": concern.kind, "source": concern.source, "pictures": pictures},
        )


_HEAD = {"offensive": "offensive name", "sensitive": "sensitive name", "person": "a class of people"}
