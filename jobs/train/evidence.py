"""What the fits say against labels, as rows of the table `evidence`; models with another backbone are heard too."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.pipeline.audit.labels.evidence import KINDS, combine
from secondlook.pipeline.core.schemas import TABLES

if TYPE_CHECKING:
    from secondlook.jobs.lake.store import Lake, Version

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.floating]

OTHERS = "others"


def other_models(lake: "Lake", version: "Version", backbone: str) -> list[str]:
    """The newest generalist of each other backbone, sorted."""
    rows = lake.latest("models", version, ["model", "backbone", "seq"], EqualTo("kind", "generalist"))  # type: ignore[call-arg, arg-type]
    newest = {row["backbone"]: row["model"] for row in rows.sort_by("seq").to_pylist()}
    return sorted(model for name, model in newest.items() if name != backbone)


def of_others(
    lake: "Lake", version: "Version", models: Sequence[str], content_ids: Sequence[str], labels: pa.Array
) -> Reals:
    """(N,) what these models said against the labels (N,) of contents; nan where they said it of another label, or nothing.

    The mean of what each combines from its own fits: what it heard from others in turn is left out.
    """
    said = [_of(lake, version, model, content_ids, labels) for model in models]
    there = sum(np.isfinite(one).astype(np.int64) for one in said)
    total = sum(np.nan_to_num(one) for one in said)
    return np.where(np.asarray(there) > 0, total / np.maximum(there, 1), np.nan)


def _of(lake: "Lake", version: "Version", model: str, content_ids: Sequence[str], labels: pa.Array) -> Reals:
    rows = dataset.evidence(lake, version, model)
    place = pc.index_in(pa.array(content_ids, pa.string()), value_set=rows["content_id"].combine_chunks())
    same = pc.equal(rows["label"].combine_chunks().take(place), labels).fill_null(False)
    own = {name: rows[name].combine_chunks().take(place) for name in KINDS if name != OTHERS}
    said = combine({name: np.asarray(pc.fill_null(value, np.nan), np.float64) for name, value in own.items()})
    return np.where(same.to_numpy(zero_copy_only=False), said, np.nan)


def rows_of(
    model: str, content_ids: Sequence[str], classes: Sequence[str], judged: Ints, evidence: Mapping[str, Reals]
) -> pa.Table:
    """Rows of the table `evidence`, without `seq`, for contents whose label was `judged` (N,): its class, -1 for none.

    `evidence`: some of KINDS, each (N,), nan where there is none, and all of it combined here.
    """
    labels, p_error = names_of(classes, judged), combine(evidence)
    columns = {name: pa.nulls(len(p_error), pa.float64()) for name in KINDS}
    columns |= {name: _reals(score) for name, score in evidence.items()}
    table = pa.table(
        {"content_id": pa.array(content_ids, pa.string()), "label": labels, **columns, "p_error": _reals(p_error)}
    )
    table = table.append_column("model", pa.array([model] * len(p_error), pa.string()))
    there = pc.and_(pc.is_valid(table["p_error"]), pc.is_valid(table["label"]))
    return table.select([name for name in TABLES["evidence"].schema.names if name != "seq"]).filter(there)


def names_of(classes: Sequence[str], judged: Ints) -> pa.Array:
    """(N,) names of classes by number, null for -1."""
    return pa.array(classes, pa.string()).take(pa.array(judged, mask=judged < 0))


def _reals(scores: Reals) -> pa.Array:
    return pa.array(np.asarray(scores, np.float64), from_pandas=True)  # nan is null
