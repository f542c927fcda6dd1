"""Pictures that people dropped: they stay in the lake with their history, and leave what is exported."""

import json

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version

DROP = "drop"  # what the evidence of such an event says of itself, as `explore`


def dropped(lake: Lake, version: Version) -> pa.Array:
    """The sample_ids whose newest label event is a drop; a revert of it, or a label since, brings a picture back."""
    held = lake.latest("labels", version, ["sample_id", "label", "source", "evidence"])
    none = held.filter(pc.and_(pc.is_null(held["label"]), pc.equal(held["source"], "review")))
    ids = [row["sample_id"] for row in none.to_pylist() if json.loads(row["evidence"] or "{}").get("explore") == DROP]
    return pa.array(ids, pa.string())
