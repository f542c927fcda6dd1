"""How long people take for an answer, as a version of the lake shows it."""

import math

import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.people.speed import DEFAULT_S, Speeds, seconds_per_answer


def speeds(lake: Lake, version: Version, *, default: float = DEFAULT_S) -> Speeds:
    """Seconds of an answer by the strategy of its task and the number of classes shown first (0: all)."""
    given = lake.latest("annotations", version, ["batch", "sample_id", "annotator", "seconds", "state"])
    given = given.filter(pc.and_(pc.not_equal(given["state"], "deleted"), pc.is_valid(given["seconds"])))
    asked = lake.latest("batches", version, ["batch", "sample_id", "strategy", "options"])
    task = {
        (batch, sample): (strategy, len(options or ()))
        for batch, sample, strategy, options in zip(
            *(asked[name].to_pylist() for name in asked.column_names), strict=True
        )
    }
    tasks = [
        task.get(pair, ("", 0)) for pair in zip(given["batch"].to_pylist(), given["sample_id"].to_pylist(), strict=True)
    ]
    seconds = [math.nan if value is None else value for value in given["seconds"].to_pylist()]
    kinds, options = [kind for kind, _ in tasks], [n for _, n in tasks]
    return seconds_per_answer(seconds, kinds, options, given["annotator"].to_pylist(), default=default)
