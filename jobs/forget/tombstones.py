"""Tombstones: what was forgotten and is not to come back, known by keyed hashes alone.

A mark is a hash of a content's or a sample's id under a key that follows from the lake's secret: who does not have the lake can't
even test a guess. There is none of a perceptual hash: it would be made of the picture, and near copies of it come in as new ones.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import pyarrow.compute as pc

from secondlook.jobs.lake.records import rows as rows_of
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.errors import UserError, unknown

LEAST = 6  # letters of a mark that name it
Kind = Literal["content", "sample"]


@dataclass(frozen=True)
class Buried:
    """What must not come in. `key`: of the hashes; it follows from the lake's secret and does not tell it."""

    key: bytes
    marks: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.marks)

    def content(self, content_id: str) -> bool:
        """Whether these bytes were forgotten, under whatever name."""
        return bool(self.marks) and self.mark("content", content_id) in self.marks

    def sample(self, sample_id: str) -> bool:
        """Whether what lies at this place of a source was forgotten."""
        return bool(self.marks) and self.mark("sample", sample_id) in self.marks

    def mark(self, kind: Kind, name: str) -> str:
        """The mark of an id: 32 hexadecimal digits."""
        return hashlib.blake2b(f"{kind}\0{name}".encode(), key=self.key, digest_size=16).hexdigest()


def buried(lake: Lake, version: Version | None) -> Buried:
    """What a version of the lake keeps out."""
    key = hashlib.blake2b(lake.versions.secret(), digest_size=32, person=b"tombstone").digest()
    if version is None or "tombstones" not in version.tables:
        return Buried(key, frozenset())
    rows = lake.latest("tombstones", version, ["mark", "kind"])
    return Buried(key, frozenset(rows.filter(pc.is_valid(rows["kind"]))["mark"].to_pylist()))


def rows_for(
    buried: Buried, ids: Mapping[Kind, Collection[str]], *, actor: str, reason: str, now: datetime
) -> list[dict[str, Any]]:
    """Rows of `tombstones` for ids of each kind that have none yet, in the order of their marks."""
    marks = {buried.mark(kind, name): kind for kind, names in ids.items() for name in names}
    told = {"actor": actor, "reason": reason, "time": now}
    return [{"mark": mark, "kind": marks[mark], **told} for mark in sorted(marks) if mark not in buried.marks]


def listed(lake: Lake, version: Version) -> list[dict[str, Any]]:
    """The burials of a version, oldest first: version, time, actor, reason, samples, contents (how many), and their marks."""
    if "tombstones" not in version.tables:
        return []
    rows = lake.latest("tombstones", version)
    burials: dict[int, dict[str, Any]] = {}
    for row in (
        rows.filter(pc.is_valid(rows["kind"])).sort_by([("seq", "ascending"), ("mark", "ascending")]).to_pylist()
    ):
        told = {"version": row["seq"], "time": row["time"], "actor": row["actor"], "reason": row["reason"]}
        one = burials.setdefault(row["seq"], told | {"samples": 0, "contents": 0, "marks": []})
        one[f"{row['kind']}s"] += 1
        one["marks"].append(row["mark"])
    return list(burials.values())


def lift(lake: Lake, marks: Iterable[str], *, actor: str, reason: str, now: datetime) -> dict[str, Any]:
    """Take tombstones back, in a new version: what they kept out may be ingested again. Erased stays erased.

    `marks`: of each the first letters, LEAST at least; or v7, all of the burial in version 7. Raises UserError for one that is not there.
    """
    version = lake.at()
    burials = {f"v{burial['version']}": list(burial["marks"]) for burial in listed(lake, version)}
    chosen = sorted({mark for one in marks for mark in burials.get(one.lower()) or [_named(one, burials)]})
    told = {"kind": None, "actor": actor, "reason": reason, "time": now}
    attempt = lake.attempt("forget undo", {"marks": chosen, "after": version.id}, base=version)
    attempt.append("tombstones", rows_of("tombstones", [{"mark": mark, **told} for mark in chosen]))
    return {"lifted": len(chosen), "version": attempt.commit({"lifted": len(chosen)}).id}


def _named(text: str, burials: Mapping[str, Sequence[str]]) -> str:
    known = [mark for marks in burials.values() for mark in marks]
    found = [mark for mark in known if mark.startswith(text.lower())]
    if len(text) < LEAST or not found:
        raise unknown("tombstone", text, [*burials, *known])
    if len(found) > 1:
        raise UserError(f"{len(found)} tombstones begin with {text!r}; give more of the mark")
    return found[0]
