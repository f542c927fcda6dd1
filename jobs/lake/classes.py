"""The class list as a version of the lake has it: how labels read, and which classes wait for a person's sign-off.

A class whose name (or synonym) is a concern (SL501) is quarantined until it is signed off: whatever reads the lake through
this file gets its name masked, and training, review and export leave it out. Nothing is stored for it, so no job can be
too early for it.
"""

import contextlib
import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.class_list import ClassEvent, ClassList, fold
from secondlook.pipeline.audit.classes.terms.concern import Concern, concern
from secondlook.pipeline.core.classes import in_order, masked
from secondlook.pipeline.core.errors import UserError

COLUMNS = ("seq", "name", "event", "into", "names", "actor", "time", "reason", "batch")


@dataclass(frozen=True)
class Classes:
    """The class list of a version. `events`: all there are, in commit order."""

    listed: ClassList
    events: Sequence[ClassEvent]

    def concern(self, name: str) -> Concern | None:
        """Why a class of this name waits for a sign-off; None where it does not."""
        if name in self.listed.signed_off:
            return None
        return concern(name, self.listed.synonyms.get(name, ()))

    def shown(self, name: str) -> str:
        """A name as people may see it: masked where it is a concern that nobody signed off."""
        return name if self.concern(name) is None else masked(name, self.listed.numbers.get(name))

    def read(self, labels: pa.ChunkedArray, seq: pa.ChunkedArray, *, reveal: bool = False) -> pa.Array:
        """Labels (N,) of commits (N,) as they read today, masked where they wait for a sign-off (unless `reveal`)."""
        if not self.listed.plain or self.listed.splits:
            labels = self.listed.read(labels, seq)
        return _each(labels, lambda name: name if reveal else self.shown(name))

    def masks(self, labels: pa.ChunkedArray | pa.Array) -> pa.Array:
        """Names (N,) as people may see them, whatever they mean today."""
        return _each(labels, self.shown)

    def offered(self, choices: Iterable[str]) -> list[str]:
        """What may be answered of what a batch once offered: its classes as they are called today, if they still are."""
        today = in_order(name for choice in choices if (name := self.listed.now(choice)) is not None)
        return [name for name in today if self.concern(name) is None]

    @functools.cached_property
    def hidden(self) -> list[str]:
        """All names, past ones too, that are masked."""
        return [name for name in self.listed.numbers if self.concern(name) is not None]

    def keys(self, keys: pa.ChunkedArray) -> pa.ChunkedArray:
        """Keys of pictures whose folders are called like a class that waits for a sign-off, with that part masked."""
        for name in self.hidden:
            pattern = f"(^|/){re.escape(name)}(/|$)"
            mask = self.shown(name).replace("\\", "\\\\")
            for _ in range(2):  # a match takes the / that the next one begins with
                keys = pc.replace_substring_regex(keys, pattern, f"\\1{mask}\\2")
        return keys

    def without_hidden(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Texts that may speak of classes, with the names masked that wait for a sign-off."""
        for name in self.hidden:
            ends = (r"\b" if char.isalnum() else "" for char in (name[0], name[-1]))
            pattern = "(?i)" + re.escape(name).join(ends)
            texts = pc.replace_substring_regex(texts, pattern, self.shown(name).replace("\\", "\\\\"))
        return texts

    def told(self, value: Any) -> Any:
        """A summary, or a part of one, with the names masked that wait for a sign-off: they may be in a reason too."""
        if not self.hidden:
            return value
        if isinstance(value, str):
            return self.without_hidden(pa.chunked_array([[value]]))[0].as_py()
        if isinstance(value, Mapping):
            return {self.told(name): self.told(one) for name, one in value.items()}
        return [self.told(one) for one in value] if isinstance(value, list) else value

    @contextlib.contextmanager
    def complaining(self) -> Iterator[None]:
        """What is refused in the body is refused without the names that wait for a sign-off."""
        try:
            yield
        except UserError as problem:
            raise UserError(self.told(str(problem))) from None


def read(lake: Lake, version: Version | None) -> Classes:
    """The class list of a version."""
    rows = lake.read("classes", version, COLUMNS).sort_by([("seq", "ascending"), ("name", "ascending")])
    events = _events(rows.to_pylist())  # in an order that no compaction changes: numbers of classes follow from it
    return Classes(fold(events), events)


def after(classes: Classes, event: ClassEvent) -> Classes:
    """The class list with one event more."""
    events = [*classes.events, event]
    return Classes(fold(events), events)


def _events(rows: Iterable[dict[str, Any]]) -> list[ClassEvent]:
    return [ClassEvent(**row | {"names": tuple(row["names"] or ())}) for row in rows]


def _each(values: pa.ChunkedArray | pa.Array, function: Any) -> pa.Array:
    """A function of a text applied to each different one."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = whole.dictionary_encode()
    given = coded.dictionary.to_pylist()
    made = [function(name) for name in given]
    if made == given:
        return whole
    return pa.array(made, pa.string()).take(coded.indices)


def names(classes: Classes, borne: Iterable[str]) -> list[str]:
    """The classes, in order: those of the list, and those that labels bear (read as today) without being on it."""
    return in_order([*classes.listed.names, *borne])
