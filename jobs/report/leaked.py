"""The model's agreement on held-out splits, again without the pictures that lint says are leaked."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.train.training_set import HELD_OUT
from secondlook.pipeline.core.statistics import share
from secondlook.pipeline.report import facts as f

LEAK = "SL203"


def rescored(lake: Lake, version: Version, samples: pa.Table, model: dataset.Model) -> tuple[f.Rescored, ...]:
    """For the split that no model is fitted on: agreement with all of its labels, without leaked ones, and on those.

    Nothing where lint has not run, or says of no picture of that split that it is leaked.
    """
    found = dataset.findings(lake, version)
    if found is None:
        return ()
    leaks = found["subject"].filter(pc.equal(found["rule"], LEAK)).combine_chunks()
    predictions = dataset.predictions(lake, version, model.name)
    judged = predictions.filter(
        pc.and_(pc.less(predictions["fold"], 0), pc.greater(pc.list_value_length(predictions["classes"]), 0))
    )
    place = pc.index_in(samples["content_id"], value_set=judged["content_id"].combine_chunks())
    labeled = pc.is_in(samples["label"], value_set=pa.array(model.classes, pa.string()))
    used = pc.and_(pc.is_valid(place), labeled)
    rows, place = samples.filter(used), place.filter(used)
    predicted = pc.list_element(judged["classes"], 0).combine_chunks().take(place.combine_chunks())
    given = pc.index_in(rows["label"], value_set=pa.array(model.classes, pa.string()))
    hit = pc.equal(pc.cast(given, pa.int64()), pc.cast(predicted, pa.int64())).to_numpy().astype(np.bool_)
    leaked = pc.is_in(rows["sample_id"], value_set=leaks).to_numpy().astype(np.bool_)
    here = pc.equal(rows["split"], HELD_OUT).fill_null(False).to_numpy().astype(np.bool_)
    if not (here & leaked).any():
        return ()
    parts = (here, here & ~leaked, here & leaked)
    return (f.Rescored(HELD_OUT, *(share(int(hit[part].sum()), int(part.sum())) for part in parts)),)
