"""Answers of people from a file, read and checked: columns annotator, key, label, seconds, one line an answer.

`label` is a class or one of "unsure", "none of these", "bad picture". A picture is named by its key, by a part of its path that
no other key ends in, by its sample_id, or by its ticket (as the queue file of `review push` does, since the others may give a label
away).
"""

import csv
import hashlib
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any, TextIO

from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.schemas import ANSWERS

COLUMNS = ("annotator", "key", "label", "seconds")
NO_LABEL = ANSWERS[1:]
LONGEST_S = 86_400.0  # a day: a longer time says when a window was closed, not how long somebody looked
COMPARED = 50_000  # keys that a mistyped one is compared with: about a second


@dataclass(frozen=True)
class Answer:
    """What one person said of one sample. `label` is None unless `answer` is "label"; `seconds` is NaN where unknown."""

    annotator: str
    sample_id: str
    answer: str
    label: str | None
    seconds: float
    line: int = 0

    @property
    def content(self) -> tuple[str, str | None, float]:
        """What is compared to tell a changed answer from a known one."""
        return self.answer, self.label, -1.0 if math.isnan(self.seconds) else self.seconds

    @property
    def known_seconds(self) -> float | None:
        """Seconds as a table holds them: None where unknown."""
        return None if math.isnan(self.seconds) else self.seconds


def annotation_id(batch: str, sample_id: str, annotator: str) -> str:
    """Identity of what one person was asked: however often the answer changes, it stays one annotation."""
    return hashlib.blake2b(f"{batch}\0{sample_id}\0{annotator}".encode(), digest_size=8).hexdigest()


class Keys:
    """Finds samples by key, by the end of a key, by sample_id, or by the ticket of a batch that asked for it."""

    def __init__(
        self, keys: Sequence[str], sample_ids: Sequence[str], tickets: Mapping[str, str] | None = None
    ) -> None:
        """keys, sample_ids: (N,), those of one sample at one position; two datasets may share a key. tickets: ticket → sample_id."""
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for n, key in enumerate(keys):
            self._exact[key].append(n)
            self._by_name[key.rsplit("/", 1)[-1]].append(n)
        self._ids = {sample_id: n for n, sample_id in enumerate(sample_ids)}
        self._keys, self._sample_ids, self._tickets = keys, sample_ids, tickets or {}

    def find(self, name: str) -> str:
        """The sample_id that a name means; raises UserError for no match and for several."""
        if name in self._ids:
            return name
        if name in self._tickets:
            return self._tickets[name]
        plain = name.removeprefix("./")
        matches = self._exact.get(name) or self._exact.get(plain, [])
        if not matches:
            last = self._by_name.get(plain.rsplit("/", 1)[-1], [])
            matches = [n for n in last if self._keys[n].endswith("/" + plain)]
        if len(matches) == 1:
            return self._sample_ids[matches[0]]
        if matches:
            some = ", ".join(sorted({self._keys[n] for n in matches})[:4])
            raise UserError(f"{len(matches)} pictures match {name!r} ({some}); give more of the path, or the sample_id")
        near = self._near(plain)
        hint = f"; near names: {', '.join(near)}" if near else f"; this version has {len(self._exact):,} keys"
        raise UserError(f"no picture has the key {name!r}{hint}")

    def _near(self, name: str) -> list[str]:
        """Up to three keys that look like a name; a key that is mistyped has about its length."""
        alike = (key for key in self._exact if abs(len(key) - len(name)) <= 2)
        near = get_close_matches(name, list(islice(alike, COMPARED)), n=3)
        if near:
            return near
        last = name.rsplit("/", 1)[-1]
        names = (other for other in self._by_name if abs(len(other) - len(last)) <= 2)
        near = get_close_matches(last, list(islice(names, COMPARED)), n=3)
        return [self._keys[self._by_name[other][0]] for other in near]


def read(
    stream: TextIO, source: str, keys: Keys, classes: Collection[str], *, new_classes: bool = False
) -> list[Answer]:
    """All answers of a CSV file, in its order, each (annotator, sample) once.

    `classes`: those that may be answered; with `new_classes`, any name may. Raises UserError, naming the line, for an unknown key or
    class, a negative time, an empty annotator, or two different answers of one person for one picture.
    """
    first = stream.readline()
    stream.seek(0)
    rows = csv.reader(stream, delimiter=max(",;\t", key=first.count))  # spreadsheets of many countries write ;
    try:
        header = [name.strip().lstrip("\ufeff").lower() for name in next(rows, [])]
        where = _positions(header, source)
        return _checked(rows, source, where, keys, set(classes) if not new_classes else None)
    except (csv.Error, UnicodeDecodeError) as problem:
        raise UserError(f"{source} line {rows.line_num + 1} can't be read as CSV: {problem}") from None


def _positions(header: list[str], source: str) -> dict[str, int]:
    missing = [name for name in COLUMNS if name not in header and name != "seconds"]
    if missing:
        got = ", ".join(header) or "nothing"
        raise UserError(f"{source} needs the columns {', '.join(COLUMNS)}; {', '.join(missing)} is missing, got {got}")
    return {name: header.index(name) for name in COLUMNS if name in header}


def _checked(rows: Any, source: str, where: dict[str, int], keys: Keys, allowed: set[str] | None) -> list[Answer]:
    found: dict[tuple[str, str], Answer] = {}
    for row in rows:
        line = int(rows.line_num)
        if not any(row[where[name]].strip() for name in ("annotator", "label") if where[name] < len(row)):
            continue  # a line of the queue that nobody has filled in
        try:
            answer = _answer(row, where, keys, allowed, line)
            first = found.setdefault((answer.annotator, answer.sample_id), answer)
            if first.content != answer.content:
                raise UserError(f"{answer.annotator!r} answered this picture differently in line {first.line}")
        except UserError as problem:
            raise UserError(f"{source} line {line}: {problem}") from None
    return list(found.values())


def _answer(row: list[str], where: dict[str, int], keys: Keys, allowed: set[str] | None, line: int) -> Answer:
    if len(row) <= max(where.values()):
        raise UserError(f"{len(row)} values where the header has {max(where.values()) + 1} or more")
    annotator, key, label = row[where["annotator"]].strip(), row[where["key"]], row[where["label"]]
    label = label if allowed is not None and label in allowed else label.strip()
    if not annotator:
        raise UserError("annotator is empty")
    sample_id = keys.find(key)
    seconds = _seconds(row[where["seconds"]].strip() if "seconds" in where else "")
    if label in NO_LABEL and (allowed is None or label not in allowed):
        return Answer(annotator, sample_id, label, None, seconds, line)
    if not label:
        raise UserError(f"label is empty; give a class, or one of {', '.join(NO_LABEL)}")
    if allowed is not None and label not in allowed:
        raise unknown("class", label, [*allowed, *NO_LABEL])
    return Answer(annotator, sample_id, "label", label, seconds, line)


def _seconds(text: str) -> float:
    if not text:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= LONGEST_S:
        raise UserError(f"seconds takes a number from 0 to {LONGEST_S:g}, or nothing, got {text!r}")
    return value
