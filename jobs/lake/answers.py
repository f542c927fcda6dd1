"""What people answered, as a version shows it: the answers that hold."""

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import NotEqualTo

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling import history


def answers(lake: Lake, version: Version, *, reveal: bool = False) -> pa.Table:
    """Answers that were neither deleted nor taken back with their batch: seq, annotation_id, batch, sample_id, annotator, answer, label.

    Of two answers of one person for one sample, in two batches, both are there. Labels read as the class list of the version
    says, masked where they wait for a sign-off unless `reveal`. People make answers, so they fit in memory.
    """
    columns = ["seq", "annotation_id", "batch", "sample_id", "annotator", "answer", "label", "state"]
    rows = lake.latest("annotations", version, columns)
    rows = rows.filter(pc.not_equal(rows["state"], "deleted"))
    decided = lake.read("labels", version, where=NotEqualTo("source", "ingest"))  # type: ignore[call-arg, arg-type]
    ids = pc.unique(rows["sample_id"]).to_pylist() if decided.num_rows else []
    _, withdrawn = history.uses(history.by_sample(decided, ids))
    if withdrawn:
        states = zip(rows["annotation_id"].to_pylist(), rows["seq"].to_pylist(), strict=True)
        rows = rows.filter(pa.array([state not in withdrawn for state in states], pa.bool_()))
    label = class_lists.read(lake, version).read(rows["label"], rows["seq"], reveal=reveal)
    return rows.set_column(rows.column_names.index("label"), "label", label).drop_columns(["state"])
