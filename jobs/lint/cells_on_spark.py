"""Pictures counted by cell and outcome by Spark: see Carrier.celled."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.attributes import Attributes
from secondlook.jobs.lint.carrier import CELLS, Beside, refuse_many, summed_cells

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROWS = 65_536  # that are counted at a time


def in_cells(
    samples: "DataFrame",
    maps: "DataFrame",
    meant: Attributes,
    cells: Callable[[pa.ChunkedArray], pa.Array] | None,
) -> "DataFrame":
    """Samples with the code of their cell. maps: sample_id and attributes as found.

    A map is large to send to and fro, so it becomes a number before anything is joined.
    """
    from pyspark.sql import functions as f

    rows = samples.select("sample_id", "content_id", "split", "label")
    if cells is None:
        return rows.withColumn("cell", f.lit(0).cast("long"))
    work = partial(_as_cells, meant, cells)
    codes = maps.select("sample_id", "attributes").mapInArrow(work, "sample_id string, cell long")
    return rows.join(codes, "sample_id")


def beside(rows: "DataFrame", beside: Beside, tables: "Sequence[DataFrame]") -> "DataFrame":
    """Samples in their cells with their marks, and with what tables say of their contents."""
    from pyspark.sql import functions as f

    spark = rows.sparkSession
    for name, ids in beside.marks.items():  # before the rows are sent to where their contents are
        marked = spark.createDataFrame(pa.table({"sample_id": pc.unique(ids)})).withColumn(name, f.lit(True))
        rows = rows.join(marked, "sample_id", "left").withColumn(name, f.coalesce(name, f.lit(False)))
    for table in [*tables, spark.createDataFrame(beside.clusters)]:
        rows = rows.join(table, "content_id", "left")
    return rows


def counted(rows: "DataFrame", count: Callable[[pa.Table], pa.Table], most: int) -> pa.Table:
    """What `count` says of the rows, added up on the workers first; raises UserError beyond `most` sums."""
    from pyspark import StorageLevel
    from pyspark.sql import functions as f
    from pyspark.sql.pandas.types import from_arrow_schema

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from summed_cells(map(count, _gathered(batches)), most).to_batches()

    whole = rows.mapInArrow(work, from_arrow_schema(CELLS)).groupBy(*CELLS.names[:-1]).agg(f.sum("n").alias("n"))
    # Counted before they are brought here: a limit would gather all of them in one task, whose result is too large for the JVM.
    whole = whole.persist(StorageLevel.DISK_ONLY)
    try:
        refuse_many(whole.count(), most)
        return whole.toArrow().cast(CELLS)
    finally:
        whole.unpersist()


def as_meant(meant: Attributes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Samples with their attributes as `dataset.samples` shows them."""
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        at = rows.column_names.index("attributes")
        yield from rows.set_column(at, "attributes", meant.applied(rows["attributes"])).to_batches()


def _as_cells(
    meant: Attributes, cells: Callable[[pa.ChunkedArray], pa.Array], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Samples with the codes of their cells in place of their attributes."""
    for rows in _gathered(batches):
        attributes = meant.applied(rows["attributes"])
        yield from pa.table({"sample_id": rows["sample_id"], "cell": cells(attributes)}).to_batches()


def _gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches put together to ROWS rows and more: what has a cost of its own for each call is called less often."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(one.num_rows for one in held) >= ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
