"""Which model is compared with which: the one of now, and the one that was there before."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.errors import UserError, unknown

# Settings that leave a model what it is; `students`: it is one of them, whoever was taught beside it.
BESIDE = ("threads", "device", "top_k", "files", "students")


@dataclass(frozen=True)
class Known:
    """A row of the table `models`. `line`: what its later selves are called, too; `settings`: what it was made by; `seq`: of its commit."""

    name: str
    kind: str
    backbone: str
    settings: Mapping[str, Any]
    seq: int

    @property
    def line(self) -> str:
        """Its name without what is a run's own.

        >>> Known("student-mobilenet-v1-0.5-0123456789ab-int8", "student", "mobilenet-v1:0.5", {}, 4).line
        'student-mobilenet-v1-0.5-int8'
        """
        return _line(self.name)


@dataclass(frozen=True)
class Pair:
    """Two models of one kind. `differ`: settings that are not the same, so that a difference is not of the labels alone."""

    before: Known
    after: Known
    differ: Sequence[str]


def _line(name: str) -> str:
    return re.sub(r"-(?:[0-9a-f]{12}|[0-9a-f]{8})(?=-|$)", "", name)


def known(lake: Lake, version: Version) -> list[Known]:
    """All models of a version, oldest first."""
    rows = lake.latest("models", version, ["model", "kind", "backbone", "settings", "seq"]).to_pylist()
    found = [
        Known(row["model"], row["kind"], row["backbone"] or "", json.loads(row["settings"] or "{}"), row["seq"])
        for row in rows
    ]
    return sorted(found, key=lambda one: (one.seq, one.name))


def pair(lake: Lake, version: Version, model: str | None = None, since: str | None = None) -> Pair:
    """The models to compare at a version. Raises UserError where there are no two of one kind, or none of a name.

    model: the later one by name; None: the newest generalist. since: the earlier one by name, or a version whose newest model of the
    kind it is; None: the newest earlier one that was made by the same settings, or else the newest earlier one.
    """
    there = known(lake, version)
    after = _named(there, model) if model is not None else _named(there, dataset.newest_model(lake, version).name)
    if since is not None:
        return _paired(_since(lake, version, there, after, since), after)
    before = earlier(there, after)
    if before is None:
        again = "`secondlook train`" if after.kind == "generalist" else f"`secondlook {_verb(after.kind)}`"
        raise UserError(
            f"{after.name} is the first {after.kind} of its kind: there is none to compare it with until {again} makes the next"
        )
    return _paired(before, after)


def earlier(there: Sequence[Known], after: Known) -> Known | None:
    """The model that was there before this one, of the same kind, and for all but generalists of the same name but for the run."""
    older = [one for one in there if one.kind == after.kind and one.seq < after.seq]
    if after.kind != "generalist":
        older = [one for one in older if one.line == after.line]
    alike = [one for one in older if not _differ(one, after)]
    return (alike or older)[-1] if older else None


def _verb(kind: str) -> str:
    return "distill" if kind == "student" else "specialists"


def _named(there: Sequence[Known], name: str) -> Known:
    for one in there:
        if one.name == name:
            return one
    raise unknown("model", name, [one.name for one in there])


def _since(lake: Lake, version: Version, there: Sequence[Known], after: Known, since: str) -> Known:
    if since in {one.name for one in there}:
        before = _named(there, since)
    else:
        try:
            then = lake.at(since)
        except UserError:
            names = [one.name for one in there if one.name != after.name]
            raise unknown("model or version", since, names) from None
        older = [one for one in known(lake, then) if one.kind == after.kind and one in there]
        if after.kind != "generalist":
            older = [one for one in older if one.line == after.line]
        if not older:
            raise UserError(f"version {then.id} has no {after.kind} like {after.name} to compare it with")
        before = older[-1]
    if before.kind != after.kind:
        raise UserError(
            f"two models of one kind are compared; {before.name} is a {before.kind}, {after.name} a {after.kind}"
        )
    if before.seq >= after.seq:
        raise UserError(
            f"{before.name} is not earlier than {after.name}; --since takes an earlier model, or a version that had one"
        )
    return before


def _paired(before: Known, after: Known) -> Pair:
    return Pair(before, after, _differ(before, after))


def _differ(one: Known, other: Known) -> list[str]:
    """Settings that differ, as `backbone small → resnet:8`."""
    names = [name for name in {**one.settings, **other.settings} if name not in BESIDE]
    both = {name: (one.settings.get(name), other.settings.get(name)) for name in names}
    # A setting that was not there when the earlier model was made had the value that it has by default.
    there = [name for name in names if name in one.settings and name in other.settings]
    return [
        f"{name} {both[name][0]} → {both[name][1]}" for name in there if _alike(both[name][0]) != _alike(both[name][1])
    ]


def _alike(value: Any) -> Any:
    """A setting's value; of a model's name what it is called in all runs."""
    return _line(value) if isinstance(value, str) else value


def read_version(lake: Lake, one: Known) -> int | None:
    """The version that a model was made of; None where `gc` removed what says so."""
    before: Mapping[str, int] = {}
    for version in lake.versions.all():
        if version.seq == one.seq and version.tables.get("models") != before.get("models"):
            read = version.run.get("read")
            return int(read) if read else None
        before = version.tables
    return None


def described(lake: Lake, version: Version, one: Known) -> Model:
    """The model, its classes as they are called at `version`."""
    found = dataset.model_named(lake, version, one.name)
    assert found is not None, "its row was just read"
    return found
