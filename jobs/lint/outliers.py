"""SL308: what lint says of pictures that are like no class."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lint.carrier import Carrier, Said, to_table
from secondlook.pipeline.audit.embedding.outliers import (
    MOST_CLASSES,
    Placed,
    Reference,
    fit,
    sample_size,
    unlike_the_rest,
)
from secondlook.pipeline.core.config import LintSettings


def audit(carrier: Carrier, model: Model | None, settings: LintSettings) -> Said:
    """SL308, by the vectors of a model's embedder."""
    if model is None:
        note = "no model has looked at the pictures yet; `secondlook train` brings one"
        return Said(to_table([]), {"SL308": note})
    classes = len(carrier.counts()) + 1
    one = classes > MOST_CLASSES
    sample = carrier.sampled(model.embedder, sample_size(classes))
    labels = [None] * sample.num_rows if one else sample["label"].to_pylist()
    reference = fit(sample["content_id"].to_pylist(), _vectors(sample), labels, settings.outlier_tail)
    if reference is None:
        return Said(to_table([]), {"SL308": f"only {sample.num_rows} pictures have an embedding: too few to compare"})
    return Said(carrier.embedded(model.embedder, lambda rows: look(rows, reference)))


def look(rows: pa.Table, reference: Reference) -> pa.Table:
    """Findings of pictures on rows of sample_id, key, split, content_id, vector."""
    names = (rows["sample_id"].to_pylist(), rows["key"].to_pylist(), rows["split"].fill_null("").to_pylist())
    placed = Placed(*names, rows["content_id"].to_pylist(), _vectors(rows))
    return to_table(unlike_the_rest(placed, reference))


def _vectors(rows: pa.Table) -> npt.NDArray[np.float32]:
    """Lists of one length as an array (n, D)."""
    lists = rows["vector"].combine_chunks()
    flat = np.asarray(pc.list_flatten(lists).to_numpy(), np.float32)
    return flat.reshape(len(lists), -1) if len(lists) else np.zeros((0, 1), np.float32)
