"""What a generalist said of the pictures that were held out of its folds, as a version of the lake knows it."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.train.training_set import HELD_OUT
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.clusters.answers import Answers
from secondlook.pipeline.learn.crossfit import majority


def answers(lake: Lake, version: Version, model: Model) -> Answers:
    """Out-of-fold probabilities of a model, most probable classes first as they are stored, with the labels of today.

    The split `test` is in no fold, so nothing here is learned from it. Classes that wait for a sign-off are left out. Raises UserError where no picture was in a fold.
    """
    rows = dataset.predictions(lake, version, model.name)
    rows = rows.filter(pc.and_(pc.greater_equal(rows["fold"], 0), pc.greater(pc.list_value_length(rows["classes"]), 0)))
    if not rows.num_rows:
        raise UserError(f"{model.name} was asked about no picture out of its folds; `secondlook train` does so")
    classes, probs = (_padded(rows[name], fill) for name, fill in (("classes", -1), ("probs", 0.0)))
    labels = _labels(lake, version, model, rows)
    waiting = set(dataset.quarantined(lake, version).values())
    hidden = [number for number, name in enumerate(model.classes) if name in waiting]
    classes[np.isin(classes, hidden)] = -1
    labels[np.isin(labels, hidden)] = -1
    return Answers(probs.astype(np.float32), labels, len(model.classes), classes.astype(np.int32))


def _padded(lists: pa.ChunkedArray, fill: float) -> npt.NDArray[np.float64]:
    """Lists (N,) of numbers as a matrix (N, k), `fill` where one is shorter than the longest."""
    whole = lists.combine_chunks()
    lengths = pc.list_value_length(whole).to_numpy()
    matrix = np.full((len(whole), int(lengths.max())), fill)
    matrix[np.arange(matrix.shape[1])[None] < lengths[:, None]] = whole.flatten().to_numpy()
    return matrix


def _labels(lake: Lake, version: Version, model: Model, rows: pa.Table) -> npt.NDArray[np.int64]:
    """(N,) number of the class that most samples of a content have, outside of the test split; -1 without one that the model knows."""
    samples = dataset.samples(lake, version).select(["content_id", "split", "label"])
    samples = samples.filter(pc.fill_null(pc.not_equal(samples["split"], HELD_OUT), True))
    owner = pc.index_in(samples["content_id"], value_set=rows["content_id"].combine_chunks())
    samples = samples.append_column("owner", owner).filter(pc.is_valid(owner))
    number = pc.index_in(samples["label"], value_set=pa.array(model.classes, pa.string()))
    number = pc.if_else(pc.is_valid(samples["label"]), number, None)
    given = number.fill_null(-1).to_numpy().astype(np.int64)
    return majority(samples["owner"].to_numpy().astype(np.int64), given, rows.num_rows)
