"""Lint's tables in Spark: for lakes whose samples don't fit in one process. The functions that judge are the same.

Spark joins, counts and groups; what comes back to this process are the copies (a few in a hundred samples), the hashes
of every content (about 100 bytes each) and the findings.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import pyarrow as pa

from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import PRINTS, SEPARATOR, Carrier, to_table
from secondlook.pipeline.core.schemas import TABLES
from secondlook.pipeline.images.checks import COLUMNS as COLUMNS_OF_CHECKS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


class SparkTables(Carrier):
    """The tables of one version as data frames."""

    def __init__(self, lake: Lake, version: Version, spark: "SparkSession") -> None:
        self.lake, self.version, self.spark = lake, version, spark

    def _latest(self, name: str, columns: Sequence[str]) -> "DataFrame":
        """The rows that hold: the newest of each key, as Lake.latest reads them."""
        from pyspark.sql import functions as f
        from pyspark.sql.pandas.types import from_arrow_schema

        table = TABLES[name]
        wanted = [*dict.fromkeys([*table.key, *columns, "seq"])]
        schema = from_arrow_schema(pa.schema([table.schema.field(column) for column in wanted]))
        files = self.lake.files(name, self.version)
        rows = self.spark.read.schema(schema).parquet(*files) if files else self.spark.createDataFrame([], schema)
        newest = rows.groupBy(*table.key).agg(f.max_by(f.struct(*wanted), "seq").alias("row"))
        return newest.select(*(f.col(f"row.{column}").alias(column) for column in columns))

    @cached_property
    def _samples(self) -> "DataFrame":
        samples = self._latest("samples", ["sample_id", "key", "split", "content_id"])
        labels = self._latest("labels", ["sample_id", "label"])
        joined = samples.join(labels, "sample_id", "left")
        return joined.select("sample_id", "key", "split", "label", "content_id").persist()

    @cached_property
    def _contents(self) -> pa.Table:
        from pyspark.sql import functions as f

        named = f.collect_set(f.when(f.col("split") != "", f.col("split")))
        splits = f.concat_ws(SEPARATOR, f.array_sort(named)).alias("splits")
        first = self._samples.groupBy("content_id").agg(f.min("key").alias("key"), splits)
        return first.join(self._latest("fingerprints", ["content_id", *PRINTS]), "content_id").toArrow()

    def counts(self) -> Mapping[str, int]:  # noqa: D102 - said in Carrier
        counted = self._samples.where("label IS NOT NULL").groupBy("label").count()
        return {row["label"]: row["count"] for row in counted.collect()}

    def repeated(self) -> pa.Table:  # noqa: D102
        often = self._samples.groupBy("content_id").count().where("count > 1").select("content_id")
        return self._samples.join(often, "content_id", "left_semi").toArrow()

    def contents(self) -> pa.Table:  # noqa: D102
        return self._contents

    def of_contents(self, content_ids: pa.Array) -> pa.Table:  # noqa: D102
        wanted = self.spark.createDataFrame(pa.table({"content_id": content_ids}))
        return self._samples.join(wanted, "content_id", "left_semi").toArrow()

    def judged(self, model: str, judge: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        labeled = self._samples.where("label IS NOT NULL")
        return _by_rows(labeled.join(self._predictions(model, "classes", "probs"), "content_id"), judge)

    def unjudged(self, model: str) -> int:  # noqa: D102
        labeled = self._samples.where("label IS NOT NULL")
        return labeled.join(self._predictions(model), "content_id", "left_anti").count()

    def _predictions(self, model: str, *columns: str) -> "DataFrame":
        from pyspark.sql import functions as f

        rows = self._latest("predictions", ["content_id", "model", *columns])
        return rows.where(f.col("model") == model).drop("model")

    def rejects(self) -> pa.Table:  # noqa: D102
        rows = self._latest("rejects", ["sample_id", "key", "reason", "detail"]).where("reason IS NOT NULL")
        return rows.join(self._samples, "sample_id", "left_anti").toArrow()

    def pictured(self, look: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        prints = self._latest("fingerprints", ["content_id", *COLUMNS_OF_CHECKS])
        return _by_rows(self._samples.join(prints, "content_id"), look)

    def close(self) -> None:
        """Let the executors' memory go."""
        if "_samples" in self.__dict__:
            self._samples.unpersist()


def _by_rows(frame: "DataFrame", function: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """What the function makes of the rows, batch by batch, on the workers."""
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = to_table([]).schema

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from function(pa.Table.from_batches([batch])).to_batches()

    return frame.mapInArrow(work, from_arrow_schema(schema)).toArrow().cast(schema)
