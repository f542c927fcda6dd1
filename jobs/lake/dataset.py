"""The dataset as a version of the lake shows it: samples with the labels that hold, predictions, findings.

Labels and the classes of models read as the class list of the version says (jobs/lake/classes.py): names of classes that
wait for a sign-off come out masked, and `class_names` does not have them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import attributes
from secondlook.jobs.lake import classes as class_lists
from secondlook.jobs.lake.classes import Classes
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.class_list import follow
from secondlook.pipeline.audit.labels.evidence import KINDS
from secondlook.pipeline.core.errors import UserError

SAMPLE_COLUMNS = ("sample_id", "dataset", "source", "key", "content_id", "split", "attributes")


def samples(lake: Lake, version: Version, *, reveal: bool = False) -> pa.Table:
    """All samples in the order of their keys, with the column `label`: the one that holds, or null; attributes as repaired.

    `reveal`: with the names of classes that wait for a sign-off, in labels and keys, which are masked else.
    """
    classes = class_lists.read(lake, version)
    rows = lake.latest("samples", version, SAMPLE_COLUMNS)
    rows = rows.filter(pc.is_valid(rows["content_id"]))
    labels = lake.latest("labels", version, ["sample_id", "label", "seq"])
    position = pc.index_in(rows["sample_id"], value_set=labels["sample_id"].combine_chunks())
    given = classes.read(labels["label"], labels["seq"], reveal=reveal).take(position.combine_chunks())
    rows = rows.append_column("label", given)
    meant = attributes.read(lake, version).applied(rows["attributes"])
    rows = rows.set_column(rows.column_names.index("attributes"), "attributes", meant)
    if not reveal:
        rows = masked_keys(rows, classes)
    return rows.take(pc.sort_indices(rows, [("key", "ascending"), ("sample_id", "ascending")]))


def rejects(lake: Lake, version: Version) -> pa.Table:
    """All files that could not be read and have not been repaired since, in the order of their keys."""
    rows = masked_keys(lake.latest("rejects", version), class_lists.read(lake, version))
    return rows.filter(pc.is_valid(rows["reason"])).sort_by([("key", "ascending"), ("sample_id", "ascending")])


def masked_keys(rows: pa.Table, classes: Classes) -> pa.Table:
    """Rows whose column `key` shows no name of a class that waits for a sign-off."""
    return rows.set_column(rows.column_names.index("key"), "key", classes.keys(rows["key"])) if classes.hidden else rows


def class_names(lake: Lake, version: Version) -> list[str]:
    """The classes of this version that may be used, in order: those that were declared, and those that a label bears."""
    classes = class_lists.read(lake, version)
    return [name for name in all_class_names(lake, version, classes) if classes.concern(name) is None]


def all_class_names(lake: Lake, version: Version, classes: Classes) -> list[str]:
    """All classes of this version, in order, those that wait for a sign-off too, and not masked."""
    labels = lake.latest("labels", version, ["label", "seq"])
    borne = pc.unique(classes.read(labels["label"], labels["seq"], reveal=True))
    return class_lists.names(classes, borne.drop_null().to_pylist())


def quarantined(lake: Lake, version: Version) -> dict[str, str]:
    """The classes that wait for a sign-off: name → how it may be shown."""
    classes = class_lists.read(lake, version)
    names = all_class_names(lake, version, classes)
    return {name: classes.shown(name) for name in names if classes.concern(name) is not None}


def without_quarantined(rows: pa.Table, waiting: Mapping[str, str]) -> tuple[pa.Table, dict[str, int]]:
    """Rows of `samples` without those of classes that wait for a sign-off; and how many classes and pictures these are."""
    held = pc.is_in(rows["label"], value_set=pa.array(waiting.values(), pa.string()))
    kept = rows.filter(pc.invert(held)) if waiting else rows
    return kept, {"classes": len(waiting), "pictures": rows.num_rows - kept.num_rows}


def count_quarantined(lake: Lake, version: Version) -> dict[str, int]:
    """How many classes wait for a sign-off, and how many pictures they have."""
    waiting = quarantined(lake, version)
    return without_quarantined(samples(lake, version), waiting)[1] if waiting else {"classes": 0, "pictures": 0}


def told_quarantined(left_out: Mapping[str, int]) -> str:
    """What was left out, in words; "" where nothing waits."""
    n, pictures = left_out.get("classes", 0), left_out.get("pictures", 0)
    if not n:
        return ""
    several = "es wait" if n > 1 else " waits"
    return f"{n} class{several} for a sign-off and {pictures:,} pictures were left out: `secondlook classes list`"


@dataclass(frozen=True)
class Model:
    """A trained model as the table `models` knows it; `settings` and `metrics` are JSON text.

    `classes`: those that it knows, as they are called today. `follows`: for each class that it was trained on its place in
    `classes`, -1 where it is gone. `embedder` is the name under which its embeddings lie: models with the same frozen
    backbone share them.
    """

    name: str
    kind: str
    backbone: str
    classes: list[str]
    path: str
    settings: str
    metrics: str
    embedder: str = ""
    follows: tuple[int, ...] = ()

    @property
    def current(self) -> bool:
        """Whether its classes are still those that it was trained on, but for their names."""
        return self.follows == tuple(range(len(self.follows)))

    def today(self, predictions: pa.Table) -> pa.Table:
        """Its predictions (columns classes, probs, as stored) over `classes`: those of merged classes added up."""
        if self.current:
            return predictions
        return follow(predictions, np.array(self.follows, np.int64))


def newest_model(lake: Lake, version: Version, kind: str = "generalist") -> Model:
    """The model that was trained last; raises UserError where there is none."""
    rows = lake.latest("models", version, where=EqualTo("kind", kind))  # type: ignore[call-arg, arg-type]
    if not rows.num_rows:
        raise UserError(f"version {version.id} has no {kind}; `secondlook train` makes one")
    return _model(lake, version, rows.sort_by([("seq", "ascending")]).slice(rows.num_rows - 1))


def model_named(lake: Lake, version: Version, name: str) -> Model | None:
    """The model of this name; None where the version has none."""
    rows = lake.latest("models", version, where=EqualTo("model", name))  # type: ignore[call-arg, arg-type]
    return _model(lake, version, rows) if rows.num_rows else None


def _model(lake: Lake, version: Version, rows: pa.Table) -> Model:
    row = rows.to_pylist()[0]
    classes = class_lists.read(lake, version)
    means = [classes.listed.now(name, row["seq"]) for name in row["classes"]]
    names = list(dict.fromkeys(name for name in means if name is not None))
    place: dict[str | None, int] = {name: n for n, name in enumerate(names)} | {None: -1}
    facts = {name: row[name] for name in ("kind", "backbone", "path", "settings", "metrics")}
    return Model(
        row["model"],
        classes=[classes.shown(name) for name in names],
        embedder=row["embedder"] or row["model"],
        follows=tuple(place[name] for name in means),
        **facts,
    )


def predictions(lake: Lake, version: Version, model: str) -> pa.Table:
    """A model's predictions over its classes as they are today, a row a content: content_id, classes, probs, fold."""
    rows = lake.latest("predictions", version, ["content_id", "classes", "probs", "fold"], EqualTo("model", model))  # type: ignore[call-arg, arg-type]
    described = model_named(lake, version, model)
    return described.today(rows) if described else rows


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
    classes = class_lists.read(lake, version)
    for column in ("key", "message", "evidence"):  # they may be older than what is masked today
        at = rows.column_names.index(column)
        rows = rows.set_column(at, column, classes.without_hidden(rows[column]))
    return rows.sort_by(
        [("rule", "ascending"), ("score", "descending"), ("key", "ascending"), ("subject", "ascending")]
    )
