"""Pictures to cells: the code of what each picture's attributes say, as Grouping.join has it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.pipeline.bias.grouping import Codes, Grouping
from secondlook.pipeline.core.groups import NOT_SAID


def codes(attributes: pa.ChunkedArray | pa.MapArray, grouping: Grouping) -> Codes:
    """Codes (N,) of the cells of attributes (N,), map<str, str>.

    A picture that has no value of an attribute, or none that has a bin, is NOT_SAID there. Raises ValueError for a value
    that the grouping does not have, which is another version's grouping then.
    """
    chunks = attributes.chunks if isinstance(attributes, pa.ChunkedArray) else [attributes]
    found = [_codes(chunk, grouping) for chunk in chunks]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def said(column: pa.MapArray, names: list[str]) -> list[pa.Array]:
    """For each name the values (N,) of that attribute; null where a picture has none. Of a key said twice the first counts."""
    as_list = column.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])))
    flat, rows = pc.list_flatten(as_list), pc.list_parent_indices(as_list).to_numpy(zero_copy_only=False)
    which = pc.index_in(flat.field("key"), value_set=pa.array(names, pa.string())).fill_null(-1).to_numpy()
    values = []
    for at in range(len(names)):
        entry = np.full(len(column), -1, np.int64)
        here = np.flatnonzero(which == at)[::-1]  # of equal rows the last one written stays: the first entry
        entry[rows[here]] = here
        values.append(flat.field("value").take(pa.array(entry, mask=entry < 0)))
    return values


def _codes(column: pa.MapArray, grouping: Grouping) -> Codes:
    found = np.zeros(len(column), np.int64)
    for name, its, values in zip(
        grouping.attributes, grouping.values, said(column, list(grouping.attributes)), strict=True
    ):
        coded = values.dictionary_encode()
        bins = grouping.bins.get(name)
        names = [value if bins is None else bins.binned(value) for value in coded.dictionary.to_pylist()]
        place = {value: at for at, value in enumerate(its)}
        missing = place.get(NOT_SAID, -1)
        places = np.array([*(place.get(value or NOT_SAID, -1) for value in names), missing], np.int64)
        at = places[coded.indices.fill_null(len(names)).to_numpy()]
        if (at < 0).any():
            strange = next((value for value in names if value not in place), NOT_SAID)
            raise ValueError(f"{name} has the value {strange!r} here, which the grouping does not know")
        found = found * len(its) + at
    return found
