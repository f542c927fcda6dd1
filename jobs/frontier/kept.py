"""A frontier as rows of the lake and a summary of its version, and back: what was measured once is read ever after."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.comparison import Estimate
from secondlook.pipeline.core.frontier import Better, Fall, Frontier, Point
from secondlook.pipeline.core.statistics import Interval

if TYPE_CHECKING:
    import pyarrow as pa

JOB = "frontier"
OF_THE_RUN = ("points", "machine", "commit", "created")  # which rows and the version itself know
ESTIMATES = ("accuracy", "latency", "latency_64", "conditional", "gap", "robust", "fgsm", "calm", "taught")


def point_rows(frontier: Frontier) -> "pa.Table":
    """Rows of the table `frontier`."""
    return rows(
        "frontier",
        [{"model": one.model, "role": one.role, "figures": json.dumps(figures(one))} for one in frontier.points],
    )


def figures(point: Point) -> dict[str, Any]:
    """A point for JSON: what was not measured is null."""
    return dict(_finite(dataclasses.asdict(point)))


def facts(frontier: Frontier) -> dict[str, Any]:
    """What a frontier says beside its points, for JSON."""
    told = {field.name: getattr(frontier, field.name) for field in dataclasses.fields(frontier)}
    return {name: value for name, value in told.items() if name not in OF_THE_RUN} | {"notes": list(frontier.notes)}


def read(lake: Lake, version: Version) -> Frontier:
    """The frontier that a run of this job made a version of."""
    found = lake.read("frontier", version, ["figures"], EqualTo("seq", version.seq))  # type: ignore[call-arg, arg-type]
    texts = class_lists.read(lake, version).without_hidden(
        found["figures"]
    )  # they may be older than what is masked today
    points = [_point(json.loads(text)) for text in texts.to_pylist()]
    told = dict(version.summary["frontier"])
    run: Mapping[str, Any] = version.run
    return Frontier(
        sorted(points, key=lambda one: (one.role != "teacher", -one.accuracy.value, one.name)),
        **told | {"notes": tuple(told["notes"])},
        machine=run.get("machine", {}),
        commit=run.get("commit", ""),
        created=version.created,
    )


def _finite(value: Any) -> Any:
    """JSON has no nan: null stands for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(its) for key, its in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(its) for its in value]
    return value


def _point(told: Mapping[str, Any]) -> Point:
    estimates = {name: _estimate(told[name]) for name in ESTIMATES}
    costs = {name: _number(told[name]) for name in ("madds", "params", "bytes")}
    return Point(
        **{
            **told,
            **estimates,
            **costs,
            "groups": tuple(_fall(one) for one in told["groups"]),
            "forgotten": tuple(_fall(one) for one in told["forgotten"]),
            "against": {name: _estimate(one) for name, one in told["against"].items()},
            "better": tuple(Better(one["name"], tuple(one["surely"])) for one in told["better"]),
        }
    )


def _fall(told: Mapping[str, Any]) -> Fall:
    shares = {name: _estimate(told[name]) for name in ("teacher", "student", "fall")}
    return Fall(**{**told, **shares})


def _estimate(told: Mapping[str, Any] | None) -> Any:
    if told is None:
        return None
    return Estimate(
        _number(told["value"]), Interval(_number(told["interval"]["low"]), _number(told["interval"]["high"]))
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
