"""The people who answer: who is paused, and why."""

import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version


def paused(lake: Lake, version: Version) -> frozenset[str]:
    """The annotators whose answers count for nothing until they are resumed."""
    rows = lake.latest("annotators", version, ["annotator", "event"])
    return frozenset(rows.filter(pc.equal(rows["event"], "paused"))["annotator"].to_pylist())
