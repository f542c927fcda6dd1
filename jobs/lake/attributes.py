"""The attributes of pictures as a version of the lake has them: what people repaired reads as it was meant.

A repair is an event, one row of the table `attribute_repairs`; no sample is rewritten. Whoever reads attributes reads them
through this file, mostly by `dataset.samples`. Why: docs/decisions/0018.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.groups import NOT_SAID
from secondlook.pipeline.core.schemas import ATTRIBUTES

COLUMNS = ("seq", "attribute", "value", "into", "rule", "actor", "reason", "pictures", "time")


@dataclass(frozen=True)
class Repair:
    """One event: `value` of `attribute` reads as `into` from the commit `seq` on; a null `into` took a repair back.

    `pictures`: how many had the value then. `into` NOT_SAID: the value says nothing, and reads as not there.
    """

    seq: int
    attribute: str
    value: str
    into: str | None
    rule: str
    actor: str
    reason: str
    pictures: int
    time: datetime | None = None


@dataclass(frozen=True)
class Attributes:
    """What values mean in a version. `repairs`: those that hold, in commit order."""

    repairs: tuple[Repair, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether every value is as it was found."""
        return not self.repairs

    def meaning(self, attribute: str) -> dict[str, str]:
        """What the repaired values of an attribute read as, NOT_SAID where they say nothing.

        Repairs follow one another: `m` into `Male`, and later `Male` into `man`, makes both `man`. Those of one commit are
        one step, so that none is applied to what another has made.
        """
        means: dict[str, str] = {}
        for _, step in groupby((one for one in self.repairs if one.attribute == attribute), key=lambda one: one.seq):
            said = {one.value: one.into or NOT_SAID for one in step}
            means = {value: said.get(now, now) for value, now in means.items()} | {
                value: into for value, into in said.items() if value not in means
            }
        return {value: now for value, now in means.items() if value != now}

    def applied(self, column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
        """Attributes, map<str, str>, (N,), as they read; without the entries that say nothing."""
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        names = {one.attribute for one in self.repairs}
        meanings = {name: means for name in sorted(names) if (means := self.meaning(name))}
        return pa.chunked_array([_applied(chunk, meanings) for chunk in chunks] if meanings else chunks, ATTRIBUTES)


def read(lake: Lake, version: Version | None) -> Attributes:
    """The repairs of a version; none in a lake that knows no such table yet."""
    return Attributes(_holding(lake.latest("attribute_repairs", version, COLUMNS).to_pylist()))


def _holding(rows: Iterable[Mapping[str, object]]) -> tuple[Repair, ...]:
    repairs = (Repair(**row) for row in rows if row["into"] is not None)  # type: ignore[arg-type]
    return tuple(sorted(repairs, key=lambda one: (one.seq, one.attribute, one.value)))


def entries(column: pa.MapArray) -> tuple[pa.Array, pa.Array, npt.NDArray[np.int64]]:
    """Keys and values (E,) of all entries of maps (N,), and the row (E,) of each. A null map has none."""
    as_list = column.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())])))
    flat = pc.list_flatten(as_list)
    return flat.field("key"), flat.field("value"), pc.list_parent_indices(as_list).to_numpy(zero_copy_only=False)


def _applied(column: pa.MapArray, meanings: Mapping[str, Mapping[str, str]]) -> pa.MapArray:
    keys, values, rows = entries(column)
    for name, means in meanings.items():
        place = pc.index_in(values, value_set=pa.array(means, pa.string()))
        meant = pa.array(means.values(), pa.string()).take(place)
        values = pc.if_else(pc.and_(pc.equal(keys, name), pc.is_valid(place)), meant, values)
    said = pc.not_equal(values, NOT_SAID).fill_null(True)
    lost = np.bincount(rows[~said.to_numpy(zero_copy_only=False)], minlength=len(column))
    sizes = pc.list_value_length(column.cast(pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))))
    kept = sizes.fill_null(0).to_numpy(zero_copy_only=False) - lost
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    null = column.is_null() if column.null_count else None
    return pa.MapArray.from_arrays(pa.array(offsets), keys.filter(said), values.filter(said), mask=null)
