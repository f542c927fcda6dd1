"""The score that SL101 decides by, of every label: what audit samples are drawn by, and calibrated on."""

import numpy as np
import pyarrow as pa

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.labels import as_judged
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.pipeline.audit.labels.doubts import score


def scores(lake: Lake, version: Version, model: Model) -> pa.Table:
    """sample_id and p_error of the labeled samples that the model has predictions for; null for a class it does not know.

    The same number as a finding's `score`, flagged or not.
    """

    def table(rows: pa.Table) -> pa.Table:
        p_error = score(as_judged(rows, model.classes)).astype(np.float64)
        return pa.table({"sample_id": rows["sample_id"], "p_error": pa.array(p_error, from_pandas=True)})

    return LocalTables(lake, version).judged(model.name, table)
