"""SL103, SL201, SL202, SL203: what copies say, told of each sample. Which contents look alike: duplicates.py."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from secondlook.pipeline.audit.copies.groups import HASH_BITS, SAME_HASHES, Flags, Ints, Near, NearDuplicates
from secondlook.pipeline.core.rules import Finding

NAMED = 10  # others that a finding names
SCANNED = 1000  # near pictures that are looked through for one in another split


@dataclass(frozen=True)
class Samples:
    """n samples in the order of their keys. `content` (n,) numbers their contents; a split "" is none, a label None too."""

    sample_id: Sequence[str]
    key: Sequence[str]
    split: Sequence[str]
    label: Sequence[str | None]
    content: Ints
    _rows: dict[int, list[int]] = field(default_factory=dict, init=False, repr=False)
    _elsewhere: dict[int, dict[str, list[int]]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for row, content in enumerate(self.content.tolist()):
            self._rows.setdefault(content, []).append(row)
        for rows in self.repeated():
            splits = {self.split[row] for row in rows} - {""}
            self._elsewhere[int(self.content[rows[0]])] = {
                split: list(islice((row for row in rows if self.split[row] not in {"", split}), NAMED))
                for split in splits
            }

    def of(self, content: int) -> list[int]:
        """Rows with this content, in order."""
        return self._rows.get(content, [])

    def elsewhere(self, content: int, split: str) -> list[int]:
        """The first rows with this content that lie in other splits than this one."""
        return self._elsewhere.get(content, {}).get(split, [])

    def repeated(self) -> Iterator[list[int]]:
        """Rows of each content that is there more than once."""
        return (rows for rows in self._rows.values() if len(rows) > 1)


def exact_duplicates(samples: Samples) -> Iterator[Finding]:
    """SL201: every sample whose bytes lie there more than once, with the others."""
    for rows in samples.repeated():
        for row in rows:
            others = list(islice((other for other in rows if other != row), NAMED))
            named = [samples.key[other] for other in others]
            message = f"same bytes as {named[0]}{_and_more(len(rows) - 2)}"
            evidence = {"others": named, "labels": [samples.label[other] for other in others], "copies": len(rows)}
            evidence["kept"] = samples.key[rows[0]]
            yield _finding("SL201", samples, row, 1 - 1 / len(rows), message, evidence)


def label_conflicts(samples: Samples) -> Iterator[Finding]:
    """SL103: every labeled sample whose bytes bear another label elsewhere."""
    for rows in samples.repeated():
        labeled = [row for row in rows if samples.label[row] is not None]
        counts = Counter(samples.label[row] for row in labeled)
        if len(counts) < 2:
            continue
        some = {label: list(islice((r for r in labeled if samples.label[r] != label), NAMED)) for label in counts}
        for row in labeled:
            label, others = samples.label[row], some[samples.label[row]]
            message = (
                f"labeled {label}, but the same picture {samples.key[others[0]]} is labeled {samples.label[others[0]]}"
            )
            evidence = {"others": [samples.key[r] for r in others], "labels": [samples.label[r] for r in others]}
            yield _finding("SL103", samples, row, 1 - counts[label] / len(labeled), message, evidence)


@dataclass(frozen=True)
class Looks:
    """Near-duplicates of contents: `content` (P,) numbers each picture's content as in Samples, -1 where it isn't there."""

    near: NearDuplicates
    content: Ints
    _picture: dict[int, int] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self._picture.update(
            (content, picture) for picture, content in enumerate(self.content.tolist()) if content >= 0
        )

    def of(self, content: int) -> int:
        """The picture that is this content, or -1 where none looked at it."""
        return self._picture.get(content, -1)


def near_duplicates_of(samples: Samples, looks: Looks) -> Iterator[Finding]:
    """SL202: every sample with the pictures that look the same but have other bytes; `kept` is the one to keep."""
    for picture in looks.near.having_near().tolist():
        content = int(looks.content[picture])
        pairs = list(islice(_samples_of(samples, looks, looks.near.near(picture)), NAMED))
        other, how = pairs[0]
        keep = samples.of(int(looks.content[looks.near.kept[picture]]))[0]
        named = [samples.key[row] for row, _ in pairs]
        message = f"looks like {named[0]}{_told(how)}{_and_more(len(pairs) - 1, at_least=NAMED)}"
        evidence = _found_by(how) | {
            "other": named[0],
            "others": named,
            "labels": [samples.label[row] for row, _ in pairs],
            "kept": samples.key[keep],
        }
        for row in samples.of(content):
            places = {"split": samples.split[row], "other_split": samples.split[other]}
            yield _finding("SL202", samples, row, how.closeness, message, evidence | places)


def leaks(samples: Samples, looks: Looks | None) -> Iterator[Finding]:
    """SL203: every sample whose exact or near copy is in another split, the nearest first."""
    for row in range(len(samples.key)):
        split = samples.split[row]
        if not split:
            continue
        content = int(samples.content[row])
        exact = samples.elsewhere(content, split)
        near: list[tuple[int, Near]] = []
        if looks is not None and (picture := looks.of(content)) >= 0:
            seen = islice(_samples_of(samples, looks, looks.near.near(picture, across=True)), SCANNED)
            near = list(islice(((r, how) for r, how in seen if samples.split[r] not in {"", split}), NAMED))
        pairs = [*((other, SAME_HASHES) for other in exact), *near][:NAMED]
        if pairs:
            yield _leak(samples, row, pairs, len(exact))


def _leak(samples: Samples, row: int, pairs: list[tuple[int, Near]], exact: int) -> Finding:
    other, how = pairs[0]
    said = "same bytes as" if exact else "looks like"
    split, other_split = samples.split[row], samples.split[other]
    message = f"in split {split}, but {said} {samples.key[other]} in split {other_split}{'' if exact else _told(how)}"
    evidence = _found_by(how) | {
        "other": samples.key[other],
        "exact": bool(exact),
        "others": [samples.key[r] for r, _ in pairs],
        "split": split,
        "other_split": other_split,
    }
    return _finding("SL203", samples, row, how.closeness, message, evidence)


def _found_by(how: Near) -> dict[str, object]:
    """What the pair was found by; what nobody looked at is left out."""
    found: dict[str, object] = {"bits": how.bits}
    if how.mirrored:
        found["mirrored"] = True
    if how.cosine is not None:
        found["cosine"] = round(how.cosine, 4)
    if how.match is not None:
        found["match"] = round(how.match, 4)
    return found


def _told(how: Near) -> str:
    """How near, in brackets.

    >>> _told(Near(3)), _told(Near(20, mirrored=True, cosine=0.8, match=0.951))
    (' (3 of 64 bits differ)', ' (mirrored; pixels match by 0.95)')
    """
    bits = f"{how.bits} of {HASH_BITS} bits differ"
    near = bits if how.match is None else f"pixels match by {how.match:.2f}"
    return f" (mirrored; {near})" if how.mirrored else f" ({near})"


def _samples_of(samples: Samples, looks: Looks, pictures: Iterable[tuple[int, Near]]) -> Iterator[tuple[int, Near]]:
    for picture, how in pictures:
        for row in samples.of(int(looks.content[picture])):
            yield row, how


def _and_more(n: int, at_least: int = 0) -> str:
    if at_least and n + 1 >= at_least:
        return f" and at least {n} more"
    return f" and {n} more" if n else ""


def _finding(rule: str, samples: Samples, row: int, score: float, message: str, evidence: dict[str, object]) -> Finding:
    return Finding(
        rule, "sample", samples.sample_id[row], samples.key[row], float(score), message, samples.split[row], evidence
    )


def apart(sides: Sequence[Collection[str]]) -> Flags:
    """For each two sets of splits, (S, S), whether they hold two different ones: for near_duplicates.

    >>> apart([{"test"}, {"train"}, set(), {"test", "train"}]).astype(int).tolist()
    [[0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]]
    """
    different = [[any(a != b for a in one for b in other) for other in sides] for one in sides]
    return np.array(different, np.bool_).reshape(len(sides), len(sides))
