"""Records as rows of a table of the lake."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from secondlook.pipeline.core.schemas import TABLES


def rows(table: str, records: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Records with the columns of a table; what a record does not name is null, and `seq` is left to the attempt."""
    schema = TABLES[table].schema
    return pa.Table.from_pylist([dict(record) for record in records], schema.remove(schema.get_field_index("seq")))
