"""Lint's tables in this process: for lakes whose samples fit in memory, where starting Spark would take longer."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint import looks
from secondlook.jobs.lint.carrier import (
    COUNTS,
    MOST_VALUES,
    PICTURED,
    PRINTS,
    SEPARATOR,
    Beside,
    Carrier,
    columns,
    no_predictions,
    summed_cells,
)
from secondlook.pipeline.audit.classes.properties import COLUMNS as COLUMNS_OF_PROPERTIES
from secondlook.pipeline.audit.labels.flags import Tally
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.schemas import TABLES
from secondlook.pipeline.images import checks
from secondlook.pipeline.images.checks import COLUMNS as COLUMNS_OF_CHECKS

COLUMNS = ["sample_id", "key", "split", "label", "content_id"]
ROWS = 65_536  # that are judged at a time
VECTORS = 8_192  # that are held at once


class LocalTables(Carrier):
    """The tables of one version, read into memory when they are first asked for."""

    def __init__(self, lake: Lake, version: Version) -> None:
        self.lake, self.version = lake, version
        self._doubted: dict[str, pa.Table] = {}

    @cached_property
    def _everything(self) -> pa.Table:
        return dataset.samples(self.lake, self.version)

    @cached_property
    def _samples(self) -> pa.Table:
        return self._everything.select(COLUMNS).combine_chunks()

    @cached_property
    def _labeled(self) -> pa.Table:
        return self._samples.filter(pc.is_valid(self._samples["label"]))

    @cached_property
    def _contents(self) -> pa.Table:
        first = self._samples.group_by("content_id").aggregate([("key", "min"), ("split", "distinct")])
        joined = _beside(first, self.lake.latest("fingerprints", self.version, ["content_id", *PRINTS]), "content_id")
        splits = [SEPARATOR.join(sorted({*values} - {"", None})) for values in joined["split_distinct"].to_pylist()]
        return joined.rename_columns({"key_min": "key"}).append_column("splits", pa.array(splits, pa.string()))

    def counts(self) -> Mapping[str, int]:  # noqa: D102 - said in Carrier
        counted = self._labeled.group_by("label").aggregate([([], "count_all")])
        return dict(zip(counted["label"].to_pylist(), counted["count_all"].to_pylist(), strict=True))

    def repeated(self) -> pa.Table:  # noqa: D102
        counted = self._samples.group_by("content_id").aggregate([([], "count_all")])
        return self.of_contents(counted["content_id"].filter(pc.greater(counted["count_all"], 1)).combine_chunks())

    def contents(self) -> pa.Table:  # noqa: D102
        return self._contents

    def of_contents(self, content_ids: pa.Array) -> pa.Table:  # noqa: D102
        return self._samples.filter(pc.is_in(self._samples["content_id"], value_set=content_ids))

    def tallied(self, model: str, tally: Callable[[pa.Table], Tally], nothing: Tally) -> Tally:  # noqa: D102
        return sum((tally(part) for part in _parts(self._doubtable(model))), start=nothing)

    def judged(self, model: str, judge: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        return _by_rows(self._doubtable(model), judge)

    def _doubtable(self, model: str) -> pa.Table:
        if model in self._doubted:
            return self._doubted[model]
        rows = _beside(self._labeled, dataset.predictions(self.lake, self.version, model), "content_id")
        evidence = dataset.evidence(self.lake, self.version, model).rename_columns({"label": "evidence_label"})
        self._doubted = {model: _beside(rows, evidence, "content_id", keep=True)}
        return self._doubted[model]

    def unjudged(self, model: str) -> int:  # noqa: D102
        known = self.lake.latest("predictions", self.version, ["content_id"], EqualTo("model", model))  # type: ignore[call-arg, arg-type]
        has = pc.is_in(self._labeled["content_id"], value_set=known["content_id"].combine_chunks())
        return int(pc.sum(pc.invert(has)).as_py() or 0)

    def rivaled(self, model: str, count: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        return _summed(count(part) for part in _parts(self._doubtable(model)))

    def propertied(self, count: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        rows = self._everything.filter(pc.is_valid(self._everything["label"]))
        first = rows.group_by(["content_id", "label"]).aggregate([("sample_id", "min")])["sample_id_min"]
        rows = rows.filter(pc.is_in(rows["sample_id"], value_set=first.combine_chunks()))
        prints = self.lake.latest("fingerprints", self.version, ["content_id", *COLUMNS_OF_PROPERTIES])
        return _summed(count(part) for part in _parts(_beside(rows, prints, "content_id")))

    def attributed(self, count: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        rows = self.lake.latest("samples", self.version, ["sample_id", "content_id", "attributes"])
        rows = rows.filter(pc.is_valid(rows["content_id"])).select(["sample_id", "attributes"])
        return _summed(count(part) for part in _parts(rows))

    def attributes_of(self, sample_ids: pa.Array) -> pa.Table:  # noqa: D102
        rows = self._everything.select(["sample_id", "attributes"])
        return rows.filter(pc.is_in(rows["sample_id"], value_set=sample_ids))

    def celled(self, beside: Beside, count: Callable[[pa.Table], pa.Table], most: int) -> pa.Table:  # noqa: D102
        rows = self._everything.select(["sample_id", "content_id", "split", "label"])
        one = pa.array(np.zeros(rows.num_rows, np.int64))
        rows = rows.append_column("cell", beside.cells(self._everything["attributes"]) if beside.cells else one)
        prints = self.lake.latest("fingerprints", self.version, ["content_id", *PICTURED])
        for table in (prints, *self._predicted(beside.model), beside.clusters):
            rows = _beside(rows, table, "content_id", keep=True)
        for name, ids in beside.marks.items():
            rows = rows.append_column(name, pc.is_in(rows["sample_id"], value_set=ids))
        return summed_cells((count(part) for part in _parts(rows)), most)

    def _predicted(self, model: dataset.Model | None) -> Iterator[pa.Table]:
        """The likeliest class of each content as the model has it, and what it says against the label."""
        if model is None:
            yield no_predictions()
            return
        rows = dataset.predictions(self.lake, self.version, model.name)
        # A content without any class is no prediction; list_element refuses it.
        rows = rows.filter(pc.greater(pc.list_value_length(rows["classes"]), 0))
        first = {"guess": pc.list_element(rows["classes"], 0), "prob": pc.list_element(rows["probs"], 0)}
        yield pa.table({"content_id": rows["content_id"], "fold": rows["fold"], **first})
        evidence = dataset.evidence(self.lake, self.version, model.name)
        yield evidence.select(["content_id", "label", "p_error"]).rename_columns({"label": "evidence_label"})

    def of_samples(self, sample_ids: pa.Array) -> pa.Table:  # noqa: D102
        return self._samples.filter(pc.is_in(self._samples["sample_id"], value_set=sample_ids))

    def sizes(self, content_ids: pa.Array) -> pa.Table:  # noqa: D102
        prints = self.lake.latest("fingerprints", self.version, ["content_id", "width", "height"])
        return prints.filter(pc.is_in(prints["content_id"], value_set=content_ids))

    def sampled(self, embedder: str, size: int) -> pa.Table:  # noqa: D102
        there = self._vector_keys(embedder)["content_id"]
        rows = self._samples.filter(pc.is_in(self._samples["content_id"], value_set=there.combine_chunks()))
        rows = rows.group_by("content_id").aggregate([("label", "min")]).rename_columns({"label_min": "label"})
        rows = rows.sort_by([("label", "ascending"), ("content_id", "ascending")])
        rank: dict[str | None, int] = {}
        taken = []
        for label in rows["label"].to_pylist():
            rank[label] = rank.get(label, 0) + 1
            taken.append(rank[label] <= size)
        rows = rows.filter(pa.array(taken, pa.bool_()))
        ids = rows["content_id"].combine_chunks()
        parts = [part.filter(pc.is_in(part["content_id"], value_set=ids)) for part in self._vectors(embedder)]
        return _beside(rows, pa.concat_tables(parts), "content_id").select(["content_id", "label", "vector"])

    def embedded(self, embedder: str, look: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        return pa.concat_tables([look(_beside(self._samples, part, "content_id")) for part in self._vectors(embedder)])

    def comparable(self, embedder: str | None, settings: LintSettings) -> looks.Comparable:  # noqa: D102
        flat = checks.empty(columns(self._contents), settings.entropy, settings.flat).flagged
        contents = self._contents.filter(pa.array(~flat)).sort_by("content_id")
        vectors = () if embedder is None else self._vectors(embedder)
        return looks.Comparable(contents, looks.proposals(contents, vectors), len(contents), int(flat.sum()))

    def thumbnails(self, content_ids: pa.Array) -> pa.Table:  # noqa: D102
        return looks.thumbnails(self.lake, self.version, content_ids, Limits())

    def _vector_keys(self, embedder: str) -> pa.Table:
        return self.lake.latest("embeddings", self.version, ["content_id", "seq"], EqualTo("model", embedder))  # type: ignore[call-arg, arg-type]

    def _vectors(self, embedder: str) -> Iterator[pa.Table]:
        """The embeddings that hold, VECTORS at a time, after an empty table: all of them are too large to hold at once."""
        newest = self._vector_keys(embedder)
        ids = newest["content_id"].combine_chunks()
        columns = ["content_id", "model", "seq", "vector"]
        schema = pa.schema([TABLES["embeddings"].schema.field(name) for name in columns])
        yield schema.empty_table()
        held: list[pa.Table] = []
        for batch in self.lake.batches("embeddings", self.version, columns):
            rows = pa.table(batch).filter(pc.equal(batch["model"], embedder))
            place = pc.index_in(rows["content_id"], value_set=ids)
            held.append(rows.filter(pc.equal(newest["seq"].take(place), rows["seq"])).cast(schema))
            if sum(part.num_rows for part in held) >= VECTORS:
                yield pa.concat_tables(held)
                held = []
        if held:
            yield pa.concat_tables(held)

    def rejects(self) -> pa.Table:  # noqa: D102
        rows = dataset.rejects(self.lake, self.version).select(["sample_id", "key", "reason", "detail"])
        return rows.filter(
            pc.invert(pc.is_in(rows["sample_id"], value_set=self._samples["sample_id"].combine_chunks()))
        )

    def pictured(self, look: Callable[[pa.Table], pa.Table]) -> pa.Table:  # noqa: D102
        prints = self.lake.latest("fingerprints", self.version, ["content_id", *COLUMNS_OF_CHECKS])
        return _by_rows(_beside(self._samples, prints, "content_id"), look)


def _beside(left: pa.Table, right: pa.Table, key: str, *, keep: bool = False) -> pa.Table:
    """Rows of `left` that have one in `right` with the same key, with its columns. (Arrow's join takes no lists.)

    `keep`: all rows of `left`, with nulls where `right` has none.
    """
    place = pc.index_in(left[key], value_set=right[key].combine_chunks())
    if not keep:
        left = left.filter(pc.is_valid(place))
        place = place.drop_null()
    columns = right.take(place)
    for name in right.column_names:
        if name not in left.column_names:
            left = left.append_column(name, columns[name])
    return left


def _summed(parts: Iterable[pa.Table]) -> pa.Table:
    """Counts of parts as counts of the whole: see Carrier.propertied."""
    keys = ["what", "label", "value"]
    whole = pa.concat_tables(parts).group_by(keys).aggregate([("n", "sum")]).rename_columns({"n_sum": "n"})
    values = whole.group_by("what").aggregate([("value", "count_distinct")])
    many = values.filter(pc.greater(values["value_count_distinct"], MOST_VALUES))
    rest = whole.filter(pc.invert(pc.is_in(whole["what"], value_set=many["what"].combine_chunks())))
    nothing = pa.nulls(many.num_rows, pa.string())
    told = pa.table([many["what"], nothing, nothing, many["value_count_distinct"]], schema=COUNTS)
    return pa.concat_tables([rest.select(COUNTS.names).cast(COUNTS), told])


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    for at in range(0, max(table.num_rows, 1), ROWS):
        yield table.slice(at, ROWS)


def _by_rows(table: pa.Table, function: Callable[[pa.Table], pa.Table]) -> pa.Table:
    return pa.concat_tables([function(part) for part in _parts(table)])
