"""The dataset as a version of the lake shows it: samples with the labels that hold, predictions, findings."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.audit.evidence import KINDS
from secondlook.pipeline.core.classes import in_order
from secondlook.pipeline.core.errors import UserError

SAMPLE_COLUMNS = ("sample_id", "dataset", "source", "key", "content_id", "split", "attributes")


def samples(lake: Lake, version: Version) -> pa.Table:
    """All samples in the order of their keys, with the column `label`: the one that holds, or null."""
    rows = lake.latest("samples", version, SAMPLE_COLUMNS)
    rows = rows.filter(pc.is_valid(rows["content_id"]))
    labels = lake.latest("labels", version, ["sample_id", "label"])
    position = pc.index_in(rows["sample_id"], value_set=labels["sample_id"].combine_chunks())
    given = labels["label"].combine_chunks().take(position.combine_chunks())
    rows = rows.append_column("label", given)
    return rows.take(pc.sort_indices(rows, [("key", "ascending"), ("sample_id", "ascending")]))


def rejects(lake: Lake, version: Version) -> pa.Table:
    """All files that could not be read and have not been repaired since, in the order of their keys."""
    rows = lake.latest("rejects", version)
    return rows.filter(pc.is_valid(rows["reason"])).sort_by([("key", "ascending"), ("sample_id", "ascending")])


def class_names(lake: Lake, version: Version) -> list[str]:
    """The classes of this version, in order: those that were declared, and those that a label bears."""
    declared = lake.latest("classes", version, ["name"])["name"].to_pylist()
    labels = pc.unique(lake.latest("labels", version, ["label"])["label"]).drop_null().to_pylist()
    return in_order([*declared, *labels])


@dataclass(frozen=True)
class Model:
    """A trained model as the table `models` knows it; `settings` and `metrics` are JSON text.

    `embedder` is the name under which its embeddings lie: models with the same frozen backbone share them.
    """

    name: str
    kind: str
    backbone: str
    classes: list[str]
    path: str
    settings: str
    metrics: str
    embedder: str = ""


def newest_model(lake: Lake, version: Version, kind: str = "generalist") -> Model:
    """The model that was trained last; raises UserError where there is none."""
    rows = lake.latest("models", version, where=EqualTo("kind", kind))  # type: ignore[call-arg, arg-type]
    if not rows.num_rows:
        raise UserError(f"version {version.id} has no {kind}; `secondlook train` makes one")
    row = rows.sort_by([("seq", "ascending")]).slice(rows.num_rows - 1).to_pylist()[0]
    facts = {name: row[name] for name in ("kind", "backbone", "classes", "path", "settings", "metrics")}
    return Model(row["model"], **facts, embedder=row["embedder"] or row["model"])


def predictions(lake: Lake, version: Version, model: str) -> pa.Table:
    """A model's predictions, a row a content: content_id, classes, probs, fold."""
    return lake.latest("predictions", version, ["content_id", "classes", "probs", "fold"], EqualTo("model", model))  # type: ignore[call-arg, arg-type]


def evidence(lake: Lake, version: Version, model: str) -> pa.Table:
    """What a model's fitting said of labels, a row a content: content_id, `label` that it was said of, KINDS, p_error.

    It holds for a sample only where its label is still this one; no rows where the model kept no evidence.
    """
    columns = ["content_id", "label", *KINDS, "p_error"]
    return lake.latest("evidence", version, columns, EqualTo("model", model))  # type: ignore[call-arg, arg-type]


def embeddings(lake: Lake, version: Version, embedder: str) -> pa.Table:
    """The embeddings of a model's embedder, a row a content: content_id, vector."""
    return lake.latest("embeddings", version, ["content_id", "vector"], EqualTo("model", embedder))  # type: ignore[call-arg, arg-type]


def findings(lake: Lake, version: Version) -> pa.Table | None:
    """What the newest run of lint at or before this version found; None where lint never ran."""
    linted = lake.newest("lint", version)
    if linted is None:
        return None
    rows = lake.read("findings", linted, where=EqualTo("seq", linted.seq))  # type: ignore[call-arg, arg-type]
    return rows.sort_by(
        [("rule", "ascending"), ("score", "descending"), ("key", "ascending"), ("subject", "ascending")]
    )
