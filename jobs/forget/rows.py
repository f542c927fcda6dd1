"""What of a table's rows goes, and what is struck out of those that stay."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.forget.mentions import Mentions
from secondlook.jobs.forget.work import Work

# Columns of text that people or jobs write freely, which may speak of a picture by its key or its id.
FREE = {
    "rejects": ("detail",),
    "labels": ("evidence",),
    "classes": ("reason",),
    "models": ("settings", "metrics"),
    "clusters": ("evidence",),
    "frontier": ("figures",),
    "findings": ("subject", "key", "message", "evidence"),
    "audit_samples": ("design",),
    "refused_answers": ("raw", "reason"),
    "gold": ("reason",),
    "annotators": ("reason", "evidence"),
    "attribute_repairs": ("reason",),
    "tombstones": ("reason",),
}
# Tables whose rows go if they speak of a picture: lint makes its findings anew, and a refused answer is only itself.
DROPPED = ("findings", "refused_answers")
OF_MODELS = ("models", "predictions", "evidence", "embeddings", "clusters", "frontier")
PATH = "image.path"  # the one text below a column


class Gone:
    """What of rows of the lake goes with the pictures of a work list."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.ids = {
            "sample_id": pa.array(work.samples, pa.string()),
            "content_id": pa.array(work.contents, pa.string()),
        }
        self.models = pa.array(work.models, pa.string())
        tickets = (ticket for project in work.projects for ticket in project["tickets"])
        self.mentions = Mentions([*work.samples, *work.contents, *tickets], work.keys, [*work.telling, *work.values])

    def columns(self, table: str, there: Iterable[str]) -> list[str]:
        """The columns, of those that are there, that say what goes."""
        named = {*self.ids, *FREE.get(table, ())}
        if table in OF_MODELS and self.work.models:
            named.add("model")
        if table == "attribute_repairs":
            named |= {"attribute", "value", "into"}
        if table == "findings":
            named.add("subject_kind")
        if table == "samples":
            named.add("attributes")
        return [name for name in there if name in named] + ([PATH] if table == "images" else [])

    def dropped(self, table: str, rows: pa.Table) -> pa.Array:
        """Which rows (N,) go."""
        goes = pa.array([False] * rows.num_rows, pa.bool_())
        for column, ids in self.ids.items():
            # A place that stays may have had other bytes once: `samples` goes by place alone.
            if column in rows.column_names and not (table == "samples" and column == "content_id"):
                goes = pc.or_(goes, _in(rows[column], ids))
        if table in OF_MODELS and "model" in rows.column_names:
            goes = pc.or_(goes, _in(rows["model"], self.models))
        if table in DROPPED:
            for column in set(FREE[table]) & set(rows.column_names):
                goes = pc.or_(goes, self.mentions.among(rows[column]))
        if table == "findings" and (self.work.extinct or self.work.classes):
            goes = pc.or_(goes, self._of_nobody_else(rows))
        if table == "frontier" and (self.work.extinct or self.work.classes):
            goes = pc.or_(goes, pa.array(list(map(self._of_a_point, rows["figures"].to_pylist())), pa.bool_()))
        if table == "attribute_repairs" and self.work.extinct:
            pairs = set(self.work.extinct)
            told = rows.select(["attribute", "value", "into"]).to_pylist()
            hit = [
                (row["attribute"], row["value"]) in pairs or (row["attribute"], row["into"]) in pairs for row in told
            ]
            goes = pc.or_(goes, pa.array(hit, pa.bool_()))
        return goes

    def touched(self, table: str, rows: pa.Table) -> bool:
        """Whether rows go, or something is struck out of them."""
        if pc.any(self.dropped(table, rows)).as_py():
            return True
        free = [column for column in FREE.get(table, ()) if column in rows.column_names]
        if any(pc.any(self.mentions.among(rows[column])).as_py() for column in free):
            return True
        if table == "samples":
            return any(self._in_attributes(rows))
        return table == "images" and any(path in self.mentions.keys for path in _paths(rows))

    def struck(self, table: str, rows: pa.Table) -> tuple[pa.Table, int]:
        """Rows that stay without what speaks of the pictures; and how many of them spoke."""
        n = 0
        for column in FREE.get(table, ()):
            speaks = self.mentions.among(rows[column])
            if pc.any(speaks).as_py():
                n += pc.sum(speaks).as_py()
                texts = [self.mentions.without(text) if hit else text for text, hit in _pairs(rows[column], speaks)]
                rows = rows.set_column(rows.column_names.index(column), column, pa.array(texts, pa.string()))
        if table == "samples" and (bad := self._in_attributes(rows)) and any(bad):
            told = [
                [(name, self.mentions.without(value)) for name, value in pairs] if hit else pairs
                for pairs, hit in zip(rows["attributes"].to_pylist(), bad, strict=True)
            ]
            n += sum(bad)
            at = rows.column_names.index("attributes")
            rows = rows.set_column(at, "attributes", pa.array(told, rows.schema.field("attributes").type))
        if table == "images" and (bad := [path in self.mentions.keys for path in _paths(rows)]) and any(bad):
            images = [
                {**image, "path": ""} if hit else image
                for image, hit in zip(rows["image"].to_pylist(), bad, strict=True)
            ]
            n += sum(bad)
            at = rows.column_names.index("image")
            rows = rows.set_column(at, "image", pa.array(images, rows.schema.field("image").type))
        return rows, n

    def _in_attributes(self, rows: pa.Table) -> list[bool]:
        """Which rows (N,) have an attribute that names a picture, such as the one that theirs was made of."""
        flat = rows["attributes"].combine_chunks()
        speaks = self.mentions.among(pa.chunked_array([flat.items])).to_numpy(zero_copy_only=False)
        owners = np.searchsorted(flat.offsets.to_numpy(), np.flatnonzero(speaks), "right") - 1
        hit = np.zeros(len(flat), bool)
        hit[owners] = True
        return [bool(one) for one in hit]

    def _of_nobody_else(self, rows: pa.Table) -> pa.Array:
        """Findings on groups of values, and on classes, that no other picture has: such a group is the person."""
        classes = set(self.work.classes)
        measures = [f": {name}: " for name in self.work.classes]  # as in "false negatives: Anna: race A"
        names = [f"{attribute} {value}" for attribute, value in self.work.extinct]
        told = rows.select(["subject_kind", "key", "subject"]).to_pylist()
        hit = [
            (row["subject_kind"] == "class" and not classes.isdisjoint((row["key"], row["subject"])))
            or (
                row["subject_kind"] == "group"
                and (
                    any(name in f"{row['key']}\n{row['subject']}" for name in names)
                    or any(name in row["subject"] for name in measures)
                )
            )
            for row in told
        ]
        return pa.array(hit, pa.bool_())

    def _of_a_point(self, figures: str) -> bool:
        """Whether figures of a student are of such a group or class; it is measured anew."""
        told = json.loads(figures)
        falls = {(one["attribute"], one["name"]) for one in (*told.get("groups", ()), *told.get("forgotten", ()))}
        return not falls.isdisjoint({*self.work.extinct, *(("", name) for name in self.work.classes)})


def _in(column: pa.ChunkedArray, ids: pa.Array) -> pa.Array:
    found = pc.is_in(column, value_set=ids)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _pairs(texts: pa.ChunkedArray, hit: pa.Array) -> Iterable[tuple[Any, bool]]:
    return zip(texts.to_pylist(), hit.to_pylist(), strict=True)


def _paths(rows: pa.Table) -> list[str | None]:
    """The paths of images, without their bytes."""
    return [path for chunk in rows["image"].chunks for path in chunk.field("path").to_pylist()]
