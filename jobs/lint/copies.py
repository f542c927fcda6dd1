"""SL103, SL201, SL202, SL203: what lint says of copies."""

from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lint.carrier import SEPARATOR, Carrier, Said, columns, counted, to_table
from secondlook.pipeline.audit.copies import (
    Looks,
    Samples,
    apart,
    exact_duplicates,
    label_conflicts,
    leaks,
    near_duplicates_of,
)
from secondlook.pipeline.audit.duplicates import NearDuplicates, near_duplicates
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.images import checks

IN_ORDER = [("key", "ascending"), ("sample_id", "ascending")]


def audit(carrier: Carrier, settings: LintSettings) -> Said:
    """SL103, SL201, SL202, SL203."""
    repeated, everything = carrier.repeated(), carrier.contents()
    informative = pa.array(~checks.empty(columns(everything), settings.entropy, settings.flat).flagged)
    contents = everything.filter(informative)
    contents = contents.sort_by([("key", "ascending"), ("content_id", "ascending")])
    near = _near(contents, settings)
    alike = contents["content_id"].take(pa.array(near.having_near()))
    missing = alike.filter(pc.invert(pc.is_in(alike, value_set=repeated["content_id"].combine_chunks())))
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
    flat = everything.num_rows - contents.num_rows
    note = f"{counted(flat)} with almost no information (see SL305) not compared: their hashes are noise"
    return Said(to_table(chain.from_iterable(said)), {"SL202": note} if flat else {})


def _near(contents: pa.Table, settings: LintSettings) -> NearDuplicates:
    sides = contents["splits"].combine_chunks().dictionary_encode()
    return near_duplicates(
        contents["phash"].to_numpy(),
        contents["dhash"].to_numpy(),
        bits=settings.near_bits,
        confirm_bits=settings.near_confirm_bits,
        sides=sides.indices.to_numpy().astype(np.int64),
        apart=apart([set(splits.split(SEPARATOR)) - {""} for splits in sides.dictionary.to_pylist()]),
    )
