"""What a call of `forget` would erase, counted before anybody agrees to it; and the work list that it becomes."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.distill.stored import LEARNED
from secondlook.jobs.forget import needles, studio
from secondlook.jobs.forget.chosen import Chosen
from secondlook.jobs.forget.erase import extinct
from secondlook.jobs.forget.rows import Gone
from secondlook.jobs.forget.work import Work
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version

UNSEEN = -1  # the fold of a picture that a model has not learned from
COUNTED = ("labels", "annotations", "predictions", "embeddings", "batches", "gold", "audit_samples", "findings")


@dataclass(frozen=True)
class Plan:
    """What would go. `rows`: table → rows. `trained`: model → the folds that held the pictures out, [] of one that has none, or that is
    made of such a model; `batches`: that ask for them.

    `telling`: see Work. `classes`: that no other picture ever bore, and whose names stay; `knowing`: models that know one. `sources`: URL of a source → keys that it may
    still have. `whole`: all pictures of the lake.
    """

    chosen: Chosen
    keys: tuple[str, ...]
    telling: tuple[str, ...]
    rows: Mapping[str, int]
    trained: Mapping[str, list[int]]
    batches: list[str]
    classes: list[str]
    knowing: list[str]
    sources: Mapping[str, list[str]]
    versions: int
    whole: int


def planned(lake: Lake, version: Version, chosen: Chosen) -> Plan:
    """Count what goes with the chosen pictures."""
    keys, sources = _places(lake, version, chosen)
    telling = needles.telling(lake, version, keys, chosen.samples)
    classes = _classes(lake, version, chosen)
    ids = tuple(sorted(chosen.samples)), tuple(sorted(chosen.contents))
    gone = Gone(Work("", "", "", "", *ids, keys, telling, classes=tuple(classes)))
    rows = Counter({"samples": len(chosen.samples)})
    for table in COUNTED:
        if table in version.tables:
            columns = gone.columns(table, lake.iceberg(table).schema().column_names)
            found = lake.read(table, version, [column for column in columns if "." not in column])
            rows[table] = pc.sum(gone.dropped(table, found)).as_py() or 0
    return Plan(
        chosen,
        keys,
        telling,
        {table: n for table, n in rows.items() if n},
        trained(lake, version, chosen),
        studio.asked(lake, version, chosen.samples),
        classes,
        _knowing(lake, version, classes),
        sources,
        len(lake.versions.all()),
        pc.count_distinct(lake.read("samples", version, ["sample_id"])["sample_id"]).as_py(),
    )


def _places(lake: Lake, version: Version, chosen: Chosen) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """The keys of the chosen samples, also of those that could not be read, and where they came from."""
    keys: dict[str, str] = {}
    sources: dict[str, set[str]] = defaultdict(set)
    ids = pa.array(sorted(chosen.samples), pa.string())
    for table in ("samples", "rejects"):
        rows = lake.read(table, version, ["sample_id", "source", "key"])
        for row in rows.filter(pc.is_in(rows["sample_id"], value_set=ids)).to_pylist():
            keys[row["sample_id"]] = row["key"]
            sources[row["source"] or "(no source)"].add(row["key"])
    return tuple(sorted(set(keys.values()))), {source: sorted(its) for source, its in sorted(sources.items())}


def _classes(lake: Lake, version: Version, chosen: Chosen) -> list[str]:
    """Labels that only these samples ever had: a class may be called like the person."""
    rows = lake.read("labels", version, ["sample_id", "label"])
    mine = pc.is_in(rows["sample_id"], value_set=pa.array(sorted(chosen.samples), pa.string()))
    theirs, others = (set(rows.filter(part)["label"].drop_null().to_pylist()) for part in (mine, pc.invert(mine)))
    return sorted(theirs - others)


def _knowing(lake: Lake, version: Version, classes: list[str]) -> list[str]:
    """The models whose list has one of these classes."""
    rows = lake.latest("models", version, ["model", "classes"]).to_pylist()
    return sorted(row["model"] for row in rows if set(classes) & set(row["classes"] or ()))


def trained(lake: Lake, version: Version, chosen: Chosen) -> dict[str, list[int]]:
    """The models that know the contents, with the folds that held them out: the other folds' nets have seen them.

    Those that were fitted on them or taught with them, and whatever was made of such a model: specialists start from a generalist's
    weights, and a student says what its teacher says.
    """
    if "predictions" not in version.tables:
        return {}
    rows = lake.read("predictions", version, ["content_id", "model", "fold"])
    mine = pc.is_in(rows["content_id"], value_set=pa.array(sorted(chosen.contents), pa.string()))
    learned = pc.fill_null(pc.not_equal(rows["fold"], UNSEEN), False)
    folds: dict[str, set[int]] = defaultdict(set)
    for row in rows.filter(pc.and_(mine, learned)).to_pylist():
        folds[row["model"]] |= {row["fold"]} - {LEARNED}
    made = lake.latest("models", version, ["model", "made_of"]).to_pylist()
    while more := {one["model"] for one in made if not folds.keys().isdisjoint(one["made_of"] or ())} - set(folds):
        folds |= {name: set() for name in more}
    return {model: sorted(its) for model, its in sorted(folds.items())}


def work_of(lake: Lake, version: Version, plan: Plan, *, models: bool, actor: str, reason: str, now: datetime) -> Work:
    """The work list of a plan."""
    # As they came, and as repairs have them by now.
    told: list[dict[str, Any]] = lake.read("samples", version, ["sample_id", "attributes"]).to_pylist()
    told += dataset.samples(lake, version, reveal=True).select(["sample_id", "attributes"]).to_pylist()
    attributes = ((row["sample_id"], dict(row["attributes"] or ())) for row in told)
    repairs = lake.read("attribute_repairs", version, ["attribute", "value", "into"]).to_pylist()
    theirs = extinct(attributes, repairs, plan.chosen.samples)
    return Work(
        uuid.uuid4().hex,
        now.isoformat(),
        actor,
        reason,
        tuple(sorted(plan.chosen.samples)),
        tuple(sorted(plan.chosen.contents)),
        plan.keys,
        plan.telling,
        sources={source: len(keys) for source, keys in plan.sources.items()},
        extinct=tuple(theirs),
        values=needles.values(lake, version, [value for _, value in theirs], plan.chosen.samples),
        models=tuple(plan.trained) if models else (),
        classes=tuple(plan.classes),
        projects=tuple(studio.projects(lake, version, plan.chosen.samples)),
        **needles.of(lake, version, plan.chosen.contents),
    )
