"""How right the newest model is where the label can be trusted: on verified pictures, by the labels of the version."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import verified
from secondlook.pipeline.core.statistics import Share, share

LEAK = "SL203"


def on_verified(lake: Lake, version: Version) -> dict[str, Share]:
    """The newest model's accuracy on the verified samples of each split, out of sample; empty where there is no model or none.

    Pictures that lint says are leaked are left out. A class that the model does not know is wrong.
    """
    sure = verified(lake, version)
    if not sure or not lake.latest("models", version, ["model"]).num_rows:
        return {}
    model = dataset.newest_model(lake, version)
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "split", "label"])
    samples = samples.filter(pc.is_in(samples["sample_id"], value_set=pa.array(sorted(sure), pa.string())))
    found = dataset.findings(lake, version)
    if found is not None:
        leaks = found["subject"].filter(pc.equal(found["rule"], LEAK)).combine_chunks()
        samples = samples.filter(pc.invert(pc.is_in(samples["sample_id"], value_set=leaks)))
    judged = dataset.predictions(lake, version, model.name)
    judged = judged.filter(pc.greater(pc.list_value_length(judged["classes"]), 0))
    place = pc.index_in(samples["content_id"], value_set=judged["content_id"].combine_chunks())
    samples, place = samples.filter(pc.is_valid(place)), place.drop_null().combine_chunks()
    best = pc.list_element(judged["classes"], 0).combine_chunks().take(place)
    given = pc.index_in(samples["label"], value_set=pa.array(model.classes, pa.string())).fill_null(-1)
    hit = pc.equal(pc.cast(given, pa.int64()), pc.cast(best, pa.int64())).to_numpy().astype(np.bool_)
    splits = np.array(samples["split"].fill_null("").to_pylist(), dtype=object)
    return {
        str(split): share(int(hit[splits == split].sum()), int((splits == split).sum()))
        for split in sorted(set(splits))
    }
