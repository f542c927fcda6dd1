"""Lint's tables in this process: for lakes whose samples fit in memory, where starting Spark would take longer."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.lint.carrier import PRINTS, SEPARATOR, Carrier
from secondlook.pipeline.audit.flags import Tally
from secondlook.pipeline.images.checks import COLUMNS as COLUMNS_OF_CHECKS

COLUMNS = ["sample_id", "key", "split", "label", "content_id"]
ROWS = 65_536  # that are judged at a time


class LocalTables(Carrier):
    """The tables of one version, read into memory when they are first asked for."""

    def __init__(self, lake: Lake, version: Version) -> None:
        self.lake, self.version = lake, version
        self._doubted: dict[str, pa.Table] = {}

    @cached_property
    def _samples(self) -> pa.Table:
        return dataset.samples(self.lake, self.version).select(COLUMNS).combine_chunks()

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

    def rejects(self) -> pa.Table:  # noqa: D102
        rows = self.lake.latest("rejects", self.version, ["sample_id", "key", "reason", "detail"])
        rows = rows.filter(pc.is_valid(rows["reason"]))
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


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    for at in range(0, max(table.num_rows, 1), ROWS):
        yield table.slice(at, ROWS)


def _by_rows(table: pa.Table, function: Callable[[pa.Table], pa.Table]) -> pa.Table:
    return pa.concat_tables([function(part) for part in _parts(table)])
