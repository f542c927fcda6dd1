"""What may be done to a class, and why not: each refusal is one sentence."""

import unicodedata
from collections.abc import Callable, Collection, Sequence

from secondlook.labeling.class_list import (
    ADDED,
    MERGED,
    RENAMED,
    RETIRED,
    SPLIT,
    SYNONYMS,
    UNDONE,
    ClassEvent,
    ClassList,
    fold,
    in_effect,
    introduced,
)
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.schemas import ANSWERS

LONGEST_NAME = 200  # characters of a new name
Shown = Callable[[str], str]


def cleaned(name: str) -> str:
    """A new name as ingest would clean it; raises UserError where it can't be the name of a class."""
    text = unicodedata.normalize("NFC", name).strip()
    if not text or not text.isprintable() or len(text) > LONGEST_NAME:
        raise UserError(
            f"a new class name takes 1 to {LONGEST_NAME} printable characters on one line, got {len(text):,}: {text[:40]!r}"
        )
    if text in ANSWERS[1:]:
        raise UserError(f"{text!r} is an answer that people give, so no class can have that name")
    return text


def _classes(listed: ClassList, borne: Collection[str]) -> set[str]:
    """The classes of the list, and names that labels bear (raw or as they read today) of which it knows nothing else."""
    return {*listed.names, *(name for name in borne if name not in listed.fates and listed.now(name) == name)}


def find(reference: str, listed: ClassList, borne: Collection[str], shown: Shown) -> str:
    """The class that a user names, by its name, as it is shown, or as `#7`; raises UserError where it is none (any more).

    borne: names that labels bear; those that nothing happened to are classes as well.
    """
    classes = _classes(listed, borne)
    if reference in classes:
        return reference
    numbers = {shown(name): name for name in classes} | {f"#{number}": name for name, number in listed.numbers.items()}
    name = numbers.get(reference, unicodedata.normalize("NFC", reference).strip())
    if name in classes:
        return name
    if name in listed.fates:
        raise UserError(f"{shown(name)} is no class any more: {told(listed.fates[name], shown)}")
    raise unknown("class", reference, map(shown, classes))


def told(event: ClassEvent, shown: Shown) -> str:
    """An event in words, with the name by which it can be taken back."""
    others = ", ".join(shown(name) for name in event.names)
    what = {
        MERGED: f"merged into {shown(event.into or '')}",
        RENAMED: f"renamed to {shown(event.into or '')}",
        SPLIT: f"split into {others}",
        RETIRED: "retired",
        SYNONYMS: "given synonyms",
        UNDONE: f"{event.into} taken back",
    }.get(event.event, event.event)
    return what + (f" ({event.batch})" if event.batch else "")


def check(event: ClassEvent, listed: ClassList, borne: Collection[str], shown: Shown) -> None:
    """Raises UserError where an event makes no sense on this list; `borne`: names that labels bear."""
    classes = _classes(listed, borne)
    if event.event == MERGED and event.into == event.name:
        raise UserError(f"{shown(event.name)} can't be merged into itself")
    if event.event == RETIRED and len(classes) == 1:
        raise UserError(f"{shown(event.name)} is the only class; rename it, or split it into the classes that you mean")
    if event.event == RENAMED and event.into is not None:
        _new_name(event.into, event.name, listed, classes - {event.name}, shown, existing="merge the two instead")
    if event.event == SPLIT:
        _check_split(event, listed, classes, shown)


def _check_split(event: ClassEvent, listed: ClassList, classes: set[str], shown: Shown) -> None:
    if len({name.casefold() for name in event.names}) < max(len(event.names), 2):
        raise UserError(
            f"a class is split into two or more different classes, got {', '.join(map(shown, event.names)) or 'none'}"
        )
    for name in event.names:
        if name not in classes:
            _new_name(name, None, listed, classes, shown, existing="use that name")


def _new_name(
    name: str, of: str | None, listed: ClassList, classes: Collection[str], shown: Shown, *, existing: str
) -> None:
    alike = next((one for one in sorted(classes) if one.casefold() == name.casefold()), None)
    if of == name:
        raise UserError(f"the class is called {shown(name)} already")
    if alike is not None:
        raise UserError(f"there is a class {shown(alike)} already; {existing}")
    means = listed.now(name)
    if name in listed.fates and (of is None or means != of):
        raise UserError(
            f"{shown(name)} was the name of a class that is no more: {told(listed.fates[name], shown)}; "
            "labels that bear it would change their meaning, so take another name"
        )


def check_undo(batch: str, events: Sequence[ClassEvent], borne: Collection[str], shown: Shown) -> ClassEvent:
    """The event that a batch names; raises UserError where it stands no more, or where a later event rests on it.

    borne: names that labels bear, as they were given.
    """
    its = next(event for event in events if event.batch == batch)
    if its not in in_effect(events):
        by = next(event for event in events if event.event == UNDONE and event.into == batch)
        raise UserError(f"{batch} was taken back before, by {by.batch}; revert that to have it again")
    undoing = ClassEvent(max(event.seq for event in events) + 1, UNDONE, its.name, into=batch)
    declared = {event.name for event in events if event.event == ADDED}
    declared |= {name for event in events if event.event in {RENAMED, SPLIT} for name in introduced(event)[1:]}
    done: list[ClassEvent] = []
    for event in in_effect([*events, undoing]):
        if event.event not in {ADDED, UNDONE}:
            _check_again(event, fold(done), {*borne} - declared, batch, shown)
        done.append(event)
    return its


def _check_again(event: ClassEvent, listed: ClassList, borne: Collection[str], batch: str, shown: Shown) -> None:
    try:
        for name in [event.name, *([event.into] if event.event == MERGED and event.into else [])]:
            find(name, listed, borne, shown)
        check(event, listed, borne, shown)
    except UserError as problem:
        raise UserError(
            f"{batch} can't be taken back before {event.batch}, which rests on it ({problem}); "
            f"`secondlook revert {event.batch}` first"
        ) from None
