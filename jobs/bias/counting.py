"""Every picture into its cell and its outcomes, counted: one pass over a dataset of any size for all measures of an audit."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.lake.dataset import Model
from secondlook.jobs.lint.carrier import CELLS, Beside, Carrier
from secondlook.pipeline.bias.cells import codes
from secondlook.pipeline.bias.counts import Copies, Counts
from secondlook.pipeline.bias.grouping import Codes, Grouping
from secondlook.pipeline.core.errors import UserError

MOST_CELLS = 200_000  # that pictures really have: the statistics hold a few arrays of this length
MOST_COUNTS = 20_000_000  # cells x outcomes x measures that have any picture, and copies: 35 bytes each
MOST_TABLE = 50_000_000  # entries of one measure's table: 400 MB

# From rows of pictures to the outcome of each, as text (N,); null: the picture is not of the measure's population. Rows have
# sample_id, content_id, split, label, cell, cluster; brightness, contrast, blur, width, height; `predicted`, `prob` and
# `fold` of the model, always out of sample (-1: in no fold, as the held-out split is); `p_error` of the label that holds; a boolean column for each mark. What is not there is null.
Outcome = Callable[[pa.Table], pa.Array | pa.ChunkedArray]


def count(
    carrier: Carrier,
    grouping: Grouping,
    outcomes: Mapping[str, Outcome],
    *,
    model: Model | None = None,
    clusters: pa.Table | None = None,
    marks: Mapping[str, pa.Array] | None = None,
) -> dict[str, Counts]:
    """Counts of every measure, by its name, in one pass.

    outcomes: measure → its outcome function, which Spark sends to its workers. clusters: content_id and cluster of contents
    that are copies, from `clusters`. marks: name → ids of samples; each becomes a boolean column of the rows.
    """
    cells = partial(_cells, grouping) if grouping.attributes else None
    beside = Beside(cells, model, NO_CLUSTERS if clusters is None else clusters, marks or {})
    names = list(model.classes) if model else []
    rows = carrier.celled(beside, partial(counted, outcomes, names), MOST_COUNTS)
    return {
        name: _counts(name, rows.filter(pc.equal(rows["measure"], number)), grouping)
        for number, name in enumerate(outcomes)
    }


NO_CLUSTERS = pa.table({"content_id": pa.array([], pa.string()), "cluster": pa.array([], pa.int64())})


def clusters(carrier: Carrier, near: Sequence[Sequence[str]] = ()) -> pa.Table:
    """content_id and cluster of contents that are copies: those that several samples have, and groups of near ones.

    near: content ids that look the same, a group each; groups that share a content are one.
    """
    often = pc.unique(carrier.repeated()["content_id"]).to_pylist()
    root: dict[str, str] = {}

    def find(one: str) -> str:
        while root.setdefault(one, one) != one:
            one = root[one] = root[root[one]]
        return one

    for group in [*([one] for one in often), *near]:
        for one in group:
            root[find(one)] = find(group[0])
    ids = sorted(root)
    number = {first: n for n, first in enumerate(sorted({find(one) for one in ids}))}
    return pa.table(
        {"content_id": pa.array(ids, pa.string()), "cluster": pa.array([number[find(one)] for one in ids], pa.int64())}
    )


def cells_of(carrier: Carrier, grouping: Grouping, sample_ids: pa.Array) -> npt.NDArray[np.int64]:
    """Codes (N,) of the cells of a few samples (answers, pairs), in their order; -1 where the version has no such sample."""
    rows = carrier.attributes_of(sample_ids)
    place = pc.index_in(sample_ids, value_set=rows["sample_id"].combine_chunks()).fill_null(-1).to_numpy()
    found = np.append(codes(rows["attributes"], grouping), -1)
    return np.asarray(found[place], np.int64)


def _cells(grouping: Grouping, attributes: pa.ChunkedArray) -> pa.Array:
    return pa.array(codes(attributes, grouping))


def counted(outcomes: Mapping[str, Outcome], classes: Sequence[str], rows: pa.Table) -> pa.Table:
    """How many rows have which cell and outcome of each measure, by its place, as CELLS. classes: those of the model, by place."""
    rows = _said(rows, classes)
    parts = [CELLS.empty_table()]
    for number, outcome in enumerate(outcomes.values()):
        its = outcome(rows)
        found = pa.table({"cell": rows["cell"], "outcome": its, "cluster": rows["cluster"]})
        found = found.filter(pc.is_valid(found["outcome"]))
        summed = found.group_by(["cell", "outcome", "cluster"]).aggregate([([], "count_all")])
        measure = pa.repeat(pa.scalar(number), summed.num_rows)
        parts.append(
            summed.append_column("measure", measure).rename_columns({"count_all": "n"}).select(CELLS.names).cast(CELLS)
        )
    return pa.concat_tables(parts)


def _said(rows: pa.Table, classes: Sequence[str]) -> pa.Table:
    """Rows of Carrier.celled as outcome functions see them: classes by name, and no evidence that is of another label."""
    predicted = pa.array(classes, pa.string()).take(rows["guess"].combine_chunks())
    holds = pc.equal(rows["evidence_label"], rows["label"]).fill_null(False)
    nothing = pa.scalar(None, pa.float64())
    told = {
        "predicted": predicted,
        "prob": rows["prob"].cast(pa.float64()),
        "p_error": pc.if_else(holds, rows["p_error"], nothing),
    }
    rows = rows.drop_columns(["guess", "prob", "p_error", "evidence_label"])
    for name, column in told.items():
        rows = rows.append_column(name, column)
    return rows


def _counts(name: str, rows: pa.Table, grouping: Grouping) -> Counts:
    cells, cell = np.unique(rows["cell"].to_numpy(), return_inverse=True)
    texts = sorted(pc.unique(rows["outcome"]).to_pylist())
    outcome = pc.index_in(rows["outcome"], value_set=pa.array(texts, pa.string())).to_numpy()
    _refuse_large(name, len(cells), len(texts), grouping)
    n = rows["n"].to_numpy()
    table = np.zeros((len(cells), len(texts)), np.int64)
    np.add.at(table, (cell, outcome), n)
    return Counts(grouping, grouping.split(cells), tuple(texts), table, _copies(rows["cluster"], cell, outcome, n))


def _copies(cluster: pa.ChunkedArray, cell: Codes, outcome: Codes, n: Codes) -> Copies | None:
    of_copies = np.flatnonzero(cluster.is_valid().to_numpy())
    if not len(of_copies):
        return None
    number = cluster.combine_chunks().take(pa.array(of_copies)).to_numpy()
    row = np.repeat(np.arange(len(of_copies)), n[of_copies])
    order = np.lexsort((outcome[of_copies][row], cell[of_copies][row], number[row]))
    its = of_copies[row][order]
    return Copies(number[row][order], cell[its].astype(np.int64), outcome[its].astype(np.int64))


def _refuse_large(name: str, cells: int, outcomes: int, grouping: Grouping) -> None:
    if cells <= MOST_CELLS and cells * outcomes <= MOST_TABLE:
        return
    largest = sorted(zip(map(len, grouping.values), grouping.attributes, strict=True), reverse=True)
    named = ", ".join(f"{attribute} ({size:,} values)" for size, attribute in largest[:3])
    raise UserError(
        f"{name}: the attributes cross into {cells:,} cells of {outcomes:,} outcomes, more than can be compared; "
        f"leave one with many values out of [bias] attributes: {named}"
    )
