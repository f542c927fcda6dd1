"""Clusters as the lake keeps them."""

import json
from collections.abc import Sequence

import pyarrow as pa
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.clusters import Cluster, name_of


def clusters(lake: Lake, version: Version, model: str) -> list[Cluster]:
    """The clusters of a model as they were found last, in their order; none where nobody looked for them, or who did found none.

    Their classes are called as they are today: a cluster that is left with fewer than two of them is none any more.
    """
    last = lake.newest("clusters", version)
    if last is not None and last.summary.get("model") == model and not last.summary["clusters"]:
        return []
    kept = lake.read("clusters", version, where=EqualTo("model", model))  # type: ignore[call-arg, arg-type]
    newest = max(kept["seq"].to_pylist(), default=None)
    known = class_lists.read(lake, version)
    found: dict[str, Cluster] = {}
    for row in sorted(kept.to_pylist(), key=lambda row: (row["level"], json.loads(row["evidence"])["place"])):
        if row["seq"] != newest:
            continue
        today = [known.listed.now(name, row["seq"]) for name in row["classes"]]
        names = tuple(dict.fromkeys(known.shown(name) for name in today if name is not None))
        if len(names) < 2 or (row["parent"] is not None and row["parent"] not in found):
            continue
        called = name_of(names, {one.name for one in found.values()})
        parent = found[row["parent"]].name if row["parent"] is not None else None
        found[row["cluster"]] = Cluster(called, names, row["level"], parent, json.loads(row["evidence"]))
    return list(found.values())


def rows_of(model: str, found: Sequence[Cluster]) -> pa.Table:
    """Clusters as rows of the table; their evidence is given their place."""
    records = [
        {
            "model": model,
            "cluster": one.name,
            "classes": list(one.classes),
            "level": one.level,
            "parent": one.parent,
            "evidence": json.dumps({**one.evidence, "place": place}, sort_keys=True),
        }
        for place, one in enumerate(found)
    ]
    return rows("clusters", records)
