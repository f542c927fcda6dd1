"""Lint's tables in Spark: for lakes whose samples don't fit in one process. The functions that judge are the same.

Spark joins, counts and groups; what comes back to this process are the copies (a few in a hundred samples), the hashes
of every content (about 100 bytes each) and the findings.
"""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.attributes import read as read_attributes
from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint import cells_on_spark, looks, looks_on_spark
from secondlook.jobs.lint.carrier import (
    COUNTS,
    EVIDENCE,
    MOST_VALUES,
    PICTURED,
    PRINTS,
    SEPARATOR,
    Beside,
    Carrier,
    no_predictions,
    to_table,
)
from secondlook.pipeline.audit.classes.properties import COLUMNS as COLUMNS_OF_PROPERTIES
from secondlook.pipeline.audit.labels.flags import Tally
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.schemas import TABLES
from secondlook.pipeline.images.checks import COLUMNS as COLUMNS_OF_CHECKS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARTITION_ROWS = 250_000  # at most, in what is shuffled: lists of classes and vectors of so many fit in a small JVM


class SparkTables(Carrier):
    """The tables of one version as data frames."""

    def __init__(self, lake: Lake, version: Version, spark: "SparkSession") -> None:
        self.lake, self.version, self.spark = lake, version, spark
        rows = sum(task.file.record_count for task in lake.scan("samples", version).plan_files())
        self._partitions = spark.conf.get("spark.sql.shuffle.partitions") or "1"
        wanted = max(int(self._partitions), -(-rows // PARTITION_ROWS))
        spark.conf.set("spark.sql.shuffle.partitions", str(wanted))

    def _latest(self, name: str, columns: Sequence[str], model: str | None = None) -> "DataFrame":
        """The rows that hold: the newest of each key, as Lake.latest reads them; of one model, if it is named."""
        from pyspark.sql import functions as f
        from pyspark.sql.pandas.types import from_arrow_schema

        table = TABLES[name]
        wanted = [*dict.fromkeys([*table.key, *columns, "seq"])]
        schema = from_arrow_schema(pa.schema([table.schema.field(column) for column in wanted]))
        where = None if model is None else EqualTo("model", model)  # type: ignore[call-arg, arg-type]
        files = [task.file for task in self.lake.scan(name, self.version, None, where).plan_files()]
        paths = sorted(file.file_path for file in files)
        rows = self.spark.read.schema(schema).parquet(*paths) if paths else self.spark.createDataFrame([], schema)
        if model is not None:
            rows = rows.where(f.col("model") == model)
        if not _of_one_commit(files, self.lake.iceberg(name).schema().find_field("seq").field_id):
            newest = rows.groupBy(*table.key).agg(f.max_by(f.struct(*wanted), "seq").alias("row"))
            rows = newest.select("row.*")
        return rows.select(*columns)

    @cached_property
    def _samples(self) -> "DataFrame":
        samples = self._latest("samples", ["sample_id", "key", "split", "content_id"])
        labels = self._latest("labels", ["sample_id", "label", "seq"])
        joined = samples.join(labels, "sample_id", "left")
        if not self._classes.listed.plain or dataset.quarantined(self.lake, self.version) or self._classes.hidden:
            joined = joined.mapInArrow(partial(_as_today, self._classes), joined.schema)
        return joined.select("sample_id", "key", "split", "label", "content_id").persist()

    @cached_property
    def _classes(self) -> Classes:
        return read_classes(self.lake, self.version)

    @cached_property
    def _contents(self) -> pa.Table:
        return self._fingerprinted.toArrow()

    @cached_property
    def _fingerprinted(self) -> "DataFrame":
        from pyspark.sql import functions as f

        named = f.collect_set(f.when(f.col("split") != "", f.col("split")))
        splits = f.concat_ws(SEPARATOR, f.array_sort(named)).alias("splits")
        first = self._samples.groupBy("content_id").agg(f.min("key").alias("key"), splits)
        return first.join(self._latest("fingerprints", ["content_id", *PRINTS]), "content_id")

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

    def tallied(self, model: str, tally: Callable[[pa.Table], Tally], nothing: Tally) -> Tally:  # noqa: D102
        def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            total = sum((tally(pa.Table.from_batches([batch])) for batch in batches), start=nothing)
            yield pa.record_batch({"tally": pa.array([total.to_bytes()], pa.binary())})

        with _told():
            parts = self._doubtable(model).mapInArrow(work, "tally binary").toArrow()["tally"].to_pylist()
        return sum((Tally.from_bytes(part) for part in parts), start=nothing)

    def judged(self, model: str, judge: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        return _by_rows(self._doubtable(model), judge)

    def unjudged(self, model: str) -> int:  # noqa: D102
        labeled = self._samples.where("label IS NOT NULL")
        return labeled.join(self._latest("predictions", ["content_id"], model), "content_id", "left_anti").count()

    def _doubtable(self, model: str) -> "DataFrame":
        labeled = self._samples.where("label IS NOT NULL")
        predictions = self._latest("predictions", ["content_id", "classes", "probs"], model)
        described = dataset.model_named(self.lake, self.version, model)
        if described is not None and not described.current:
            predictions = predictions.mapInArrow(partial(_followed, described), predictions.schema)
        evidence = self._latest("evidence", ["content_id", "label", *EVIDENCE[1:]], model)
        evidence = evidence.withColumnRenamed("label", EVIDENCE[0])
        return labeled.join(predictions, "content_id").join(evidence, "content_id", "left")

    def rivaled(self, model: str, count: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        return _summed(self._doubtable(model), count)

    def propertied(self, count: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        from pyspark.sql import functions as f

        labeled = self._samples.where("label IS NOT NULL")
        first = labeled.groupBy("content_id", "label").agg(f.min("sample_id").alias("sample_id"))
        origins = self._attributed(["sample_id", "source", "attributes"])
        prints = self._latest("fingerprints", ["content_id", *COLUMNS_OF_PROPERTIES])
        return _summed(first.join(origins, "sample_id").join(prints, "content_id"), count)

    def _attributed(self, columns: Sequence[str]) -> "DataFrame":
        """Samples with attributes as they read."""
        rows, meant = self._latest("samples", columns), read_attributes(self.lake, self.version)
        return rows if meant.plain else rows.mapInArrow(partial(cells_on_spark.as_meant, meant), rows.schema)

    def attributed(self, count: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        rows = self._latest("samples", ["sample_id", "content_id", "attributes"]).where("content_id IS NOT NULL")
        return _summed(rows.select("sample_id", "attributes"), count)

    def attributes_of(self, sample_ids: pa.Array) -> pa.Table:  # noqa: D102
        wanted = self.spark.createDataFrame(pa.table({"sample_id": sample_ids}))
        return self._attributed(["sample_id", "attributes"]).join(wanted, "sample_id", "left_semi").toArrow()

    def celled(self, beside: Beside, count: Callable[[pa.Table], pa.Table], most: int) -> pa.Table:  # noqa: D102
        maps = self._latest("samples", ["sample_id", "content_id", "attributes"]).where("content_id IS NOT NULL")
        meant = read_attributes(self.lake, self.version)
        rows = cells_on_spark.in_cells(self._samples, maps, meant, beside.cells)
        prints = self._latest("fingerprints", ["content_id", *PICTURED])
        rows = cells_on_spark.beside(rows, beside, [prints, *self._predicted(beside.model)])
        with _told():
            return cells_on_spark.counted(rows, count, most)

    def _predicted(self, model: dataset.Model | None) -> "Iterator[DataFrame]":
        """What LocalTables has beside samples of a model."""
        from pyspark.sql import functions as f

        if model is None:
            yield self.spark.createDataFrame(no_predictions())
            return
        rows = self._latest("predictions", ["content_id", "classes", "probs", "fold"], model.name)
        if not model.current:
            rows = rows.mapInArrow(partial(_followed, model), rows.schema)
        rows = rows.where(f.size("classes") > 0)
        yield rows.select("content_id", "fold", f.get("classes", 0).alias("guess"), f.get("probs", 0).alias("prob"))
        evidence = self._latest("evidence", ["content_id", "label", "p_error"], model.name)
        yield evidence.withColumnRenamed("label", "evidence_label")

    def of_samples(self, sample_ids: pa.Array) -> pa.Table:  # noqa: D102
        wanted = self.spark.createDataFrame(pa.table({"sample_id": sample_ids}))
        return self._samples.join(wanted, "sample_id", "left_semi").toArrow()

    def sizes(self, content_ids: pa.Array) -> pa.Table:  # noqa: D102
        wanted = self.spark.createDataFrame(pa.table({"content_id": content_ids}))
        prints = self._latest("fingerprints", ["content_id", "width", "height"])
        return prints.join(wanted, "content_id", "left_semi").toArrow()

    def sampled(self, embedder: str, size: int) -> pa.Table:  # noqa: D102
        from pyspark.sql import functions as f
        from pyspark.sql.window import Window

        there = self._latest("embeddings", ["content_id"], embedder)
        labels = (
            self._samples.join(there, "content_id", "left_semi")
            .groupBy("content_id")
            .agg(f.min("label").alias("label"))
        )
        rank = f.row_number().over(Window.partitionBy("label").orderBy("content_id"))
        drawn = labels.withColumn("rank", rank).where(f.col("rank") <= size).drop("rank")
        rows = drawn.join(self._latest("embeddings", ["content_id", "vector"], embedder), "content_id").toArrow()
        rows = rows.select(["content_id", "label", "vector"])
        return rows.sort_by([("label", "ascending"), ("content_id", "ascending")])

    def embedded(self, embedder: str, look: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        vectors = self._latest("embeddings", ["content_id", "vector"], embedder)
        return _by_rows(self._samples.join(vectors, "content_id"), look)

    def comparable(self, embedder: str | None, settings: LintSettings) -> looks.Comparable:  # noqa: D102
        vectors = None if embedder is None else self._latest("embeddings", ["content_id", "vector"], embedder)
        return looks_on_spark.comparable(self._fingerprinted, vectors, settings)

    def thumbnails(self, content_ids: pa.Array) -> pa.Table:  # noqa: D102
        return looks.thumbnails(self.lake, self.version, content_ids, Limits())

    def rejects(self) -> pa.Table:  # noqa: D102
        rows = self._latest("rejects", ["sample_id", "key", "reason", "detail"]).where("reason IS NOT NULL")
        return dataset.masked_keys(rows.join(self._samples, "sample_id", "left_anti").toArrow(), self._classes)

    def pictured(self, look: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        prints = self._latest("fingerprints", ["content_id", *COLUMNS_OF_CHECKS])
        return _by_rows(self._samples.join(prints, "content_id"), look)

    def close(self) -> None:
        """Let the executors' memory go, and leave the session as it was."""
        self.spark.conf.set("spark.sql.shuffle.partitions", self._partitions)
        if "_samples" in self.__dict__:
            self._samples.unpersist()


def _of_one_commit(files: Sequence[Any], seq: int) -> bool:
    """Whether all rows have one `seq` (the number of that column), by the files' statistics: then no key is there twice."""
    ends = {bounds.get(seq) for file in files for bounds in (file.lower_bounds, file.upper_bounds)}
    return len(ends) <= 1 and None not in ends


def _as_today(classes: Classes, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Samples with their labels and keys as `dataset.samples` shows them."""
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        label = classes.read(rows["label"], rows["seq"].fill_null(0))
        rows = rows.set_column(rows.column_names.index("label"), "label", label)
        yield from dataset.masked_keys(rows, classes).to_batches()


def _followed(model: dataset.Model, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Predictions as `dataset.predictions` shows them."""
    for batch in batches:
        yield from model.today(pa.Table.from_batches([batch])).to_batches()


def _by_rows(frame: "DataFrame", function: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """What the function makes of the rows, batch by batch, on the workers."""
    from pyspark.sql.pandas.types import from_arrow_schema

    schema = to_table([]).schema

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from function(pa.Table.from_batches([batch])).to_batches()

    with _told():
        return frame.mapInArrow(work, from_arrow_schema(schema)).toArrow().cast(schema)


def _summed(frame: "DataFrame", count: Callable[[pa.Table], pa.Table]) -> pa.Table:
    """What the function counts in the rows, batch by batch, on the workers, added up: see Carrier.propertied."""
    from pyspark.sql import functions as f
    from pyspark.sql.pandas.types import from_arrow_schema

    def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from count(pa.Table.from_batches([batch])).to_batches()

    parts = frame.mapInArrow(work, from_arrow_schema(COUNTS))
    whole = parts.groupBy("what", "label", "value").agg(f.sum("n").alias("n")).persist()
    with _told():
        values = whole.groupBy("what").agg(f.countDistinct("value").alias("n"))
        many = values.where(f.col("n") > MOST_VALUES).toArrow()
        rest = whole.where(~f.col("what").isin(many["what"].to_pylist())).toArrow()
    whole.unpersist()
    nothing = pa.nulls(many.num_rows, pa.string())
    told = pa.table([many["what"], nothing, nothing, many["n"]], schema=COUNTS)
    return pa.concat_tables([rest.cast(COUNTS), told])


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What a worker refused in a sentence is refused here in the same one; Spark knows only the text of it."""
    from pyspark.errors import PythonException

    try:
        yield
    except PythonException as problem:
        said = re.search(rf"{re.escape(UserError.__module__)}\.UserError: (.*)", str(problem))
        if said is None:
            raise
        raise UserError(said[1]) from None
