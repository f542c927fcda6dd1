"""SL103, SL201, SL202, SL203: what lint says of copies."""

from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lint.carrier import Carrier, Said, counted, to_table
from secondlook.jobs.lint.looks import alike
from secondlook.pipeline.audit.copies.findings import (
    Looks,
    Samples,
    exact_duplicates,
    label_conflicts,
    leaks,
    near_duplicates_of,
)
from secondlook.pipeline.core.config import LintSettings

IN_ORDER = [("key", "ascending"), ("sample_id", "ascending")]


def audit(carrier: Carrier, model: Model | None, settings: LintSettings) -> Said:
    """SL103, SL201, SL202, SL203; with a model, copies are looked for among neighbors in its embedding, too."""
    repeated, found = carrier.repeated(), carrier.comparable(model.embedder if model else None, settings)
    contents = _survivors_first(found.contents)
    near, unread, lookalikes = alike(carrier.thumbnails, contents, found.proposed, found.n, settings)
    near_ones = contents["content_id"].take(pa.array(near.having_near()))
    missing = near_ones.filter(pc.invert(pc.is_in(near_ones, value_set=repeated["content_id"].combine_chunks())))
    rows = pa.concat_tables([repeated, carrier.of_contents(missing.combine_chunks())]).sort_by(IN_ORDER)
    ids = pc.unique(rows["content_id"])
    number, place = (
        pc.index_in(column, value_set=ids).fill_null(-1) for column in (rows["content_id"], contents["content_id"])
    )
    samples = Samples(
        rows["sample_id"].to_pylist(),
        rows["key"].to_pylist(),
        rows["split"].fill_null("").to_pylist(),
        rows["label"].to_pylist(),
        number.to_numpy().astype(np.int64),
    )
    looks = Looks(near, place.to_numpy().astype(np.int64))
    said = (
        exact_duplicates(samples),
        label_conflicts(samples),
        near_duplicates_of(samples, looks),
        leaks(samples, looks),
    )
    notes = []
    if found.flat:
        notes.append(
            f"{counted(found.flat)} with almost no information (see SL305) not compared: their hashes are noise"
        )
    if model is None:
        notes.append("copies that hashes miss are found by an embedding: `secondlook train` makes one")
    if lookalikes:
        notes.append("most pictures match their neighbors in the embedding as copies do, so only hashes were asked")
    if unread:
        notes.append(f"{counted(unread)} can't be read now: what is said of them rests on their hashes")
    return Said(to_table(chain.from_iterable(said)), {"SL202": "; ".join(notes)} if notes else {})


def _survivors_first(contents: pa.Table) -> pa.Table:
    """Contents in the order in which one of a group is kept: the largest, then the first by key."""
    pixels = pc.multiply(contents["width"].fill_null(0), contents["height"].fill_null(0))
    order = [("pixels", "descending"), ("key", "ascending"), ("content_id", "ascending")]
    return contents.append_column("pixels", pixels).sort_by(order)
