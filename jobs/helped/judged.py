"""What models said of pictures that they had not learned from, and what these pictures really show."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lake.verified import agreed

Flags = npt.NDArray[np.bool_]

LEAK = "SL203"


def named(lake: Lake, version: Version, model: Model, content_id: pa.Array) -> pa.Array:
    """(N,) the class that a model names for each content, out of sample and as it is called at `version`; null where there is none."""
    rows = dataset.predictions(lake, version, model.name)
    unseen = pc.greater_equal(rows["fold"], -1)  # below: what a student learned from
    rows = rows.filter(pc.and_(unseen, pc.greater(pc.list_value_length(rows["classes"]), 0)))
    best = pa.array(model.classes, pa.string()).take(whole(pc.list_element(rows["classes"], 0)))
    return best.take(pc.index_in(content_id, value_set=whole(rows["content_id"])))


def verified_labels(lake: Lake, version: Version, content_id: pa.Array) -> pa.Array:
    """(N,) the class that people agreed on for each content, by `version`; null where they did not."""
    classes = class_lists.read(lake, version)
    told = agreed(lake, version)
    names = pa.array([classes.shown(name) for name in told.values()], pa.string())
    return names.take(pc.index_in(content_id, value_set=pa.array(told, pa.string())))


def leaked(lake: Lake, version: Version, sample_id: pa.Array) -> Flags:
    """(N,) which samples leaked, as lint last found: then a score on them would be too good."""
    found = dataset.findings(lake, version)
    if found is None:
        return np.zeros(len(sample_id), bool)
    return is_in(sample_id, found["subject"].filter(pc.equal(found["rule"], LEAK)))


def is_in(values: pa.Array, known: pa.ChunkedArray | pa.Array) -> Flags:
    """(N,) which values are among the known ones; a null is not."""
    return flags(pc.is_in(values, value_set=whole(known), skip_nulls=True))


def there(values: pa.Array) -> Flags:
    """(N,) which values are no null."""
    return np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False), bool)


def flags(values: pa.Array) -> Flags:
    """Booleans (N,) as numpy has them, null as false."""
    return np.asarray(values.fill_null(False).to_numpy(zero_copy_only=False), bool)


def whole(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column as one array."""
    if not isinstance(values, pa.ChunkedArray):
        return values
    return pa.concat_arrays([*values.chunks, pa.array([], values.type)])
