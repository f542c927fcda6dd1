"""Which pictures may be taken, by what their table says of them. One that may not is not even opened."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.pipeline.core.requirements import Requirement
from secondlook.pipeline.core.schemas import TEXT

REASONS = ("attribute missing", "not permitted")  # of pipeline.core.decode: what a new table of labels may mend


@dataclass(frozen=True)
class Permission:
    """For each of N pictures whether it may be taken, (N,); for those that may not, `reason` and `detail`, null else."""

    granted: pa.BooleanArray
    reason: pa.StringArray
    detail: pa.StringArray


def permission(attributes: pa.MapArray, wanted: Sequence[Requirement]) -> Permission:
    """Whether pictures with these attributes (N maps) meet all requirements; of several that are broken the first is told."""
    n = len(attributes)
    reason = detail = pa.nulls(n, TEXT)
    for one in wanted:
        values = pc.map_lookup(attributes, query_key=pa.scalar(one.attribute), occurrence="last").dictionary_encode(
            null_encoding="encode"
        )
        broken = [one.broken(value) or (None, None) for value in values.dictionary.to_pylist()]
        reasons, details = (pa.array(told, TEXT) for told in (zip(*broken, strict=True) if broken else ((), ())))
        reason = pc.coalesce(reason, reasons.take(values.indices))
        detail = pc.coalesce(detail, details.take(values.indices))
    return Permission(pc.is_null(reason), reason, detail)
