"""What pictures look like, and who is on them: what a batch is spread and balanced by."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake import attributes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import progress
from secondlook.labeling.acquire.balance import Groups
from secondlook.labeling.acquire.spread import sketch
from secondlook.pipeline.core.errors import UserError, unknown
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.seeds import generator

MOST_VALUES = 40  # an attribute with more is a number or a name of its own, not a group


def vectors(
    lake: Lake, version: Version, embedder: str, content_ids: pa.Array, *, seed: int
) -> npt.NDArray[np.float32] | None:
    """Sketches of the embeddings of these contents, (n, d), nan where there is none; None where there is not a single one.

    The table is read once, a part at a time; see labeling.acquire.spread.sketch.
    """
    found: npt.NDArray[np.float32] | None = None
    newest = np.full(len(content_ids), -1, np.int64)
    with progress("looking for what is alike", None) as advance:
        for batch in lake.batches("embeddings", version, ["content_id", "model", "seq", "vector"]):
            advance(batch.num_rows)
            rows = batch.filter(pc.equal(batch["model"], embedder))
            at = np.asarray(pc.fill_null(pc.index_in(rows["content_id"], value_set=content_ids), -1), np.int64)
            seq = np.asarray(rows["seq"], np.int64)
            here = np.flatnonzero((at >= 0) & (seq > newest[at]))
            if not len(here):
                continue
            lists = rows["vector"].take(pa.array(here))
            part = np.asarray(lists.flatten(), np.float32).reshape(len(here), -1)
            small = sketch(part, generator(seed, "sketch"))
            found = np.full((len(content_ids), small.shape[1]), np.nan, np.float32) if found is None else found
            found[at[here]], newest[at[here]] = small, seq[here]
    return found


def groups(lake: Lake, version: Version, sample_ids: pa.Array, names: list[str]) -> Groups:
    """What groups samples are of, by attributes; who has none is a group of their own.

    Raises UserError for an attribute that no sample has, or that has too many values to be groups.
    """
    rows = lake.latest("samples", version, ["sample_id", "attributes"])
    there = rows.filter(pc.is_in(rows["sample_id"], value_set=sample_ids))
    meant = attributes.read(lake, version).applied(there["attributes"])
    column = pa.concat_arrays([*meant.chunks, pa.array([], meant.type)])
    place = pc.index_in(sample_ids, value_set=there["sample_id"].combine_chunks())
    known = {*pc.unique(column.keys).to_pylist()}
    codes, values = [], []
    for name in names:
        if name not in known:
            raise unknown("attribute in [review] balance", name, known)
        said = pc.fill_null(pc.map_lookup(column, pa.scalar(name), "first"), "").take(place)
        coded = said.dictionary_encode()
        its = [value or NOT_SAID for value in coded.dictionary.to_pylist()]
        if len(its) > MOST_VALUES:
            raise UserError(
                f"[review] balance takes attributes whose values are groups; {name} has {len(its):,} values"
            )
        codes.append(np.asarray(coded.indices, np.int64))
        values.append(its)
    return Groups(names, values, np.stack(codes, axis=1) if codes else np.zeros((len(sample_ids), 0), np.int64))
