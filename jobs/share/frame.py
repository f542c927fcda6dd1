"""What an audit draws from: the labeled samples of a version, with the score that SL101 gives each label."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.scores import scores

DEFINES = ("samples", "labels", "classes")  # tables that say which labels there are to audit


@dataclass(frozen=True)
class Frame:
    """N labeled samples, sorted by sample_id. `score`: (N,) p_error, nan where no model has looked at the label."""

    sample_id: pa.Array
    content_id: pa.Array
    label: pa.Array
    score: npt.NDArray[np.float64]

    def rows(self, sample_ids: pa.Array) -> npt.NDArray[np.int64]:
        """Where these samples are, -1 for those that are not there."""
        return np.asarray(pc.index_in(sample_ids, value_set=self.sample_id).fill_null(-1).to_numpy(), np.int64)


def frame(lake: Lake, version: Version) -> Frame:
    """The labeled samples of a version. Classes that wait for a sign-off are left out: nobody may be asked for them."""
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "label"])
    names = pa.array(dataset.class_names(lake, version), pa.string())
    samples = samples.filter(pc.is_in(samples["label"], value_set=names, skip_nulls=True)).sort_by("sample_id")
    sample_id, content_id, label = (
        pa.concat_arrays([*samples[name].chunks, pa.array([], pa.string())]) for name in samples.column_names
    )
    score: npt.NDArray[np.float64] = np.full(len(sample_id), np.nan)
    if len(sample_id) and lake.latest("models", version, ["model"]).num_rows:
        said = scores(lake, version, dataset.newest_model(lake, version))
        place = pc.index_in(sample_id, value_set=said["sample_id"].combine_chunks())
        score = np.asarray(said["p_error"].take(place).to_numpy(), np.float64)
    return Frame(sample_id, content_id, label, score)


def same_labels(one: Version, other: Version) -> bool:
    """Whether two versions have the same labels to audit."""
    return all(one.tables.get(table) == other.tables.get(table) for table in DEFINES)
