"""The classes of a dataset as events made them, and how a label that was given under an older list reads today.

Nothing is rewritten: a label stays the event that it was, and reading follows what happened to its class since. So taking
an event of a class back is one more event, and every label reads as before it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from secondlook.pipeline.core.classes import in_order

ADDED, MERGED, RENAMED, SPLIT, RETIRED, SIGNED_OFF, SYNONYMS, UNDONE = EVENTS = (
    "added", "merged", "renamed", "split", "retired", "signed off", "synonyms", "undone",
)  # fmt: skip

Reading = Mapping[str, str | None]  # a name as it was given → the class that it means now, None where it means none


@dataclass(frozen=True)
class ClassEvent:
    """One thing that happened to a class: a row of the table `classes`.

    `into`: the class that it was merged into or is called now, or the batch that an "undone" takes back. `names`: the classes
    that it was split into, or its synonyms. `batch` is the event's own name, by which it can be taken back.
    """

    seq: int
    event: str
    name: str
    into: str | None = None
    names: tuple[str, ...] = ()
    actor: str | None = None
    time: datetime | None = None
    reason: str | None = None
    batch: str | None = None


@dataclass(frozen=True)
class ClassList:
    """What all events come to.

    `names`: the classes, in order. `numbers`: every name that there ever was → its number, which never changes. `splits`: the
    `seq` of each split that stands, ascending; `readings`: how names read that were given before the first of them, between the first
    and second …, and since the last (len(splits) + 1). A name that no reading has means itself.
    `fates`: the last event of each name that is no class any more.
    """

    names: Sequence[str]
    numbers: Mapping[str, int]
    splits: Sequence[int]
    readings: Sequence[Reading]
    signed_off: frozenset[str]
    synonyms: Mapping[str, tuple[str, ...]]
    fates: Mapping[str, ClassEvent] = field(default_factory=dict)

    @property
    def plain(self) -> bool:
        """Whether every label reads as it was given."""
        return all(new == old for reading in self.readings for old, new in reading.items())

    def now(self, name: str, seq: int | None = None) -> str | None:
        """The class that a name means today: one that is given now, or one that was given by the commit `seq`."""
        reading = self.readings[-1 if seq is None else int(np.searchsorted(self.splits, seq))]
        return reading.get(name, name)

    def read(self, labels: pa.ChunkedArray, seq: pa.ChunkedArray) -> pa.Array:
        """Labels (N,) as they read today, given the commit (N,) that each is of; null where its class is gone."""
        coded = labels.combine_chunks().dictionary_encode()
        if isinstance(coded, pa.ChunkedArray):
            coded = coded.combine_chunks()
        given: list[str] = coded.dictionary.to_pylist()
        read = [[reading.get(name, name) for name in given] for reading in self.readings]
        targets = list(dict.fromkeys(name for name in chain.from_iterable(read) if name is not None))
        place: dict[str | None, int] = {name: n for n, name in enumerate(targets)} | {None: -1}
        table = np.array([[place[name] for name in row] + [-1] for row in read], np.int64)
        codes = coded.indices.fill_null(len(given)).to_numpy(zero_copy_only=False)
        found = table[np.searchsorted(self.splits, seq.to_numpy()), codes] if len(codes) else codes
        indices = pa.array(found, pa.int32(), mask=np.asarray(found) < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(targets, pa.string())).cast(pa.string())


def in_effect(events: Iterable[ClassEvent]) -> list[ClassEvent]:
    """The events that no later one took back, in order. An "undone" is an event too, and can be taken back itself."""
    kept: list[ClassEvent] = []
    undone: set[str | None] = set()
    for event in sorted(events, key=lambda one: one.seq, reverse=True):
        if event.batch is None or event.batch not in undone:
            kept.append(event)
            undone |= {event.into} if event.event == UNDONE else set()
    return kept[::-1]


def fold(events: Iterable[ClassEvent]) -> ClassList:
    """The list of classes that events lead to, whatever order they are given in: `seq` says it."""
    events = sorted(events, key=lambda one: one.seq)
    numbers: dict[str, int] = {}
    for event in events:
        for name in introduced(event):
            numbers.setdefault(name, len(numbers) + 1)
    made = _Folding()
    for event in in_effect(events):
        made.take(event)
    names = in_order(name for name in made.readings[-1].values() if name is not None)
    fates = {name: event for name, event in made.fates.items() if name not in names}
    return ClassList(names, numbers, made.splits, made.readings, frozenset(made.signed_off), made.synonyms, fates)


def introduced(event: ClassEvent) -> list[str]:
    """The names that an event speaks of, in its order."""
    match event.event:
        case "merged" | "renamed":
            return [event.name, event.into or ""]
        case "split":
            return [event.name, *event.names]
        case "undone":
            return []
        case _:
            return [event.name]


class _Folding:
    """The state between two events."""

    def __init__(self) -> None:
        self.readings: list[dict[str, str | None]] = [{}]
        self.splits: list[int] = []
        self.signed_off: set[str] = set()
        self.synonyms: dict[str, tuple[str, ...]] = {}
        self.fates: dict[str, ClassEvent] = {}

    def take(self, event: ClassEvent) -> None:
        """What happens by one event."""
        if event.event != UNDONE:
            self._know([event.name])
        if event.event == MERGED and event.into is not None:
            self._know([event.into])
            self._become(event.name, event.into)
        elif event.event == RENAMED and event.into is not None:
            for reading in self.readings:
                reading.setdefault(event.into, event.name)
            self._become(event.name, event.into)
            self.synonyms[event.into] = self.synonyms.pop(event.name, ())
        elif event.event == RETIRED:
            self._become(event.name, None)
        elif event.event == SPLIT:
            self._split(event)
        elif event.event == SIGNED_OFF:
            self.signed_off.add(event.name)
        elif event.event == SYNONYMS:
            self.signed_off.discard(event.name)  # it was given for the synonyms of its time
            self.synonyms[event.name] = event.names
        if event.event in {MERGED, RENAMED, RETIRED, SPLIT}:
            self.fates[event.name] = event

    def _know(self, names: Iterable[str]) -> None:
        for reading in self.readings:
            for name in names:
                reading.setdefault(name, name)

    def _become(self, name: str, new: str | None) -> None:
        for reading in self.readings:
            reading.update({old: new for old, means in reading.items() if means == name})

    def _split(self, event: ClassEvent) -> None:
        after: dict[str, str | None] = dict(self.readings[-1])
        stays = event.name if event.name in event.names else None
        after.update({old: stays for old, means in after.items() if means == event.name})
        self._become(event.name, None)
        self.readings.append(after)
        self.splits.append(event.seq)
        self._know(event.names)


def steps(events: Sequence[ClassEvent]) -> list[tuple[ClassEvent, ClassList]]:
    """Each event that may change how labels read, with the list as it was then."""
    return [(event, fold(events[:n])) for n, event in enumerate(events, start=1) if event.event != ADDED]


def causes(through: Sequence[tuple[ClassEvent, ClassList]], name: str, seq: int) -> list[tuple[ClassEvent, str | None]]:
    """What changed how a name reads that was given by the commit `seq`: each event, and the class that it read as from then on.

    through: the `steps` of all events.
    """
    found: list[tuple[ClassEvent, str | None]] = []
    means: str | None = name
    for event, listed in through:
        new = listed.now(name, seq)
        if new != means:
            means = new
            found.append((event, means))
    return found


def follow(rows: pa.Table, new: npt.NDArray[np.int64]) -> pa.Table:
    """Predictions that were made under an older list of classes, as ones over today's.

    rows: columns `classes` (indices into the model's classes, most probable first) and `probs`. new: (K,), the new index of each of
    the model's classes, -1 where it is gone. Probabilities of classes that became one are added up; what went to a class that is gone
    is shared by the others in proportion. Rows that only named such classes are left out.
    """
    lists = {name: rows[name].combine_chunks() for name in ("classes", "probs")}
    sizes = lists["classes"].value_lengths().fill_null(0).to_numpy().astype(np.int64)
    row = np.repeat(np.arange(len(sizes)), sizes)
    index = new[lists["classes"].flatten().to_numpy()]
    prob = lists["probs"].flatten().to_numpy().astype(np.float64)
    left = 1.0 - np.bincount(row, np.where(index < 0, prob, 0.0), len(sizes))
    kept = index >= 0
    width = max(int(new.max(initial=-1)) + 1, 1)
    code, place = np.unique(row[kept] * width + index[kept], return_inverse=True)
    mass = np.bincount(place, prob[kept], len(code))
    row, index = code // width, code % width
    mass = np.minimum(mass / np.maximum(left[row], 1e-9), 1.0)
    order = np.lexsort((index, -mass, row))
    counts = np.bincount(row, minlength=len(sizes))
    offsets = pa.array(np.append(0, np.cumsum(counts)).astype(np.int32))
    columns = {"classes": pa.array(index[order], pa.int32()), "probs": pa.array(mass[order], pa.float32())}
    for name, values in columns.items():
        made = pa.ListArray.from_arrays(offsets, values).cast(rows.schema.field(name).type)
        rows = rows.set_column(rows.column_names.index(name), name, made)
    return rows.filter(pa.array(counts > 0))
