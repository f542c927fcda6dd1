"""Parquet in the layout of Hugging Face datasets: an image column of struct<bytes, path>, a label column, and others."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from secondlook.jobs.sources.folder import File, opened
from secondlook.jobs.sources.labels import LABEL_NAMES, NO_LABELS, SPLIT_NAMES, Columns
from secondlook.jobs.sources.listing import ROW, SPLITS, Rows, as_text
from secondlook.pipeline.core.errors import UserError, unknown

UNSUPPORTED = ("objects", "bbox", "bboxes", "boxes", "annotations", "mask", "segmentation", "labels")


@dataclass(frozen=True)
class Layout:
    """The columns of a file. `image` is struct<bytes, path>, or binary where `plain`; `names` are of a ClassLabel."""

    image: str
    plain: bool
    label: str
    split: str
    attributes: tuple[str, ...]
    names: tuple[str, ...]


def parquets(files: Sequence[File], rows: Rows, columns: Columns, *, classes: bool) -> list[str]:
    """A row for every row of these files; returns the names of the classes that they declare.

    A row's key is the path that its image has, where a file's paths are all there, each once, and none is taken by a
    file before; else it is file:row. Raises UserError where a file is damaged or is not of this layout.
    """
    declared: list[str] = []
    taken: set[str] = set()
    for file in sorted(files, key=lambda file: file.key):
        try:
            with opened(file.where) as stream:
                parquet = pq.ParquetFile(stream, pre_buffer=False)
                layout = _layout(parquet.schema_arrow, columns, file.key, classes=classes)
                _add(file, parquet, layout, rows, taken)
        except pa.ArrowException as problem:
            raise UserError(f"{file.key} can't be read as Parquet: {str(problem).splitlines()[0]}") from None
        declared += [name for name in layout.names if name not in declared]
    return declared


def image_column(schema: pa.Schema, name: str = "") -> tuple[str, bool]:
    """The column that holds pictures, and whether it is plain binary; raises UserError where there is none, or two."""
    features = _features(schema)
    found = []
    for column in schema:
        is_struct = pa.types.is_struct(column.type) and {f.name for f in column.type} >= {"bytes"}
        marked = features.get(column.name, {}).get("_type") == "Image"
        is_binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
        if is_struct or (is_binary and (marked or column.name in ("image", "img", "jpg", "png"))):
            found.append((column.name, not is_struct))
    if len(found) == 1:
        return found[0]
    where = f" in {name}" if name else ""
    if found:
        raise UserError(f"several columns{where} hold images: {', '.join(c for c, _ in found)}; one is supported")
    raise UserError(
        f"there is no column of images (struct<bytes, path>){where}; it has {', '.join(schema.names)}. "
        "For a table of labels beside pictures, give the pictures as SOURCE and the table as --labels"
    )


def _features(schema: pa.Schema) -> dict[str, Any]:
    text = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(text)["info"]["features"] if text else {}
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: facts for name, facts in features.items() if isinstance(facts, dict)}


def _layout(schema: pa.Schema, asked: Columns, name: str, *, classes: bool) -> Layout:
    image, plain = image_column(schema, name)
    features = _features(schema)
    others = [column for column in schema.names if column != image]
    for column in others:
        if pa.types.is_nested(schema.field(column).type) and column in UNSUPPORTED:
            raise UserError(f"{name} has a column {column} of {schema.field(column).type}; boxes, masks and several labels for an image are not supported yet")  # fmt: skip
    label = _label(schema, features, asked.label, others, name) if classes and asked.label != NO_LABELS else ""
    split = asked.split or next((column for column in others if column in SPLIT_NAMES), "")
    for column in (split, *(asked.attributes or ())):
        if column and column not in others:
            raise unknown(f"column in {name}", column, others)
    rest = [c for c in others if c not in (label, split) and not pa.types.is_nested(schema.field(c).type)]
    flat = tuple(c for c in rest if not pa.types.is_large_binary(schema.field(c).type) and not pa.types.is_binary(schema.field(c).type))  # fmt: skip
    names = tuple(features.get(label, {}).get("names") or ()) if label else ()
    return Layout(image, plain, label, split, flat if asked.attributes is None else asked.attributes, names)


def _label(schema: pa.Schema, features: dict[str, Any], asked: str, others: Sequence[str], name: str) -> str:
    if asked and asked not in others:
        raise unknown(f"column for --label-column in {name}", asked, others)
    declared = [column for column in others if features.get(column, {}).get("_type") == "ClassLabel"]
    known = [column for column in others if column.lower() in LABEL_NAMES]
    for found in ([asked] if asked else [], declared, known):
        if len(found) > 1:
            raise UserError(f"{name} has several columns of labels: {', '.join(found)}; use --label-column")
        if found:
            if pa.types.is_nested(schema.field(found[0]).type):
                raise UserError(f"column {found[0]} of {name} holds several labels for an image, which is not supported yet")  # fmt: skip
            return found[0]
    return ""


def _add(file: File, parquet: Any, layout: Layout, rows: Rows, taken: set[str]) -> None:
    wanted = [column for column in (layout.label, layout.split, *layout.attributes) if column]
    has_paths = not layout.plain and "path" in {f.name for f in parquet.schema_arrow.field(layout.image).type}
    table = parquet.read(columns=[*wanted, *([f"{layout.image}.path"] if has_paths else [])])
    n = table.num_rows
    paths = [(image or {}).get("path") for image in table[layout.image].to_pylist()] if has_paths else [None] * n
    stem = str(PurePosixPath(file.key).with_suffix(""))
    own = {path for path in paths if path}
    by_path = len(own) == n and not own & taken
    taken |= own if by_path else set()
    word = PurePosixPath(stem).name.lower().replace("_", "-").split("-")[0]
    split = SPLITS.get(word) or SPLITS.get(PurePosixPath(stem).parent.name.lower())
    labels = _labels(table, layout, file.key)
    splits = [_text(value) for value in table[layout.split].to_pylist()] if layout.split else [split] * n
    values = {name: table[name].to_pylist() for name in layout.attributes}
    start = 0
    for group in range(parquet.num_row_groups):
        facts = parquet.metadata.row_group(group)
        for row in range(start, start + facts.num_rows):
            attributes = {name: _text(column[row]) for name, column in values.items() if column[row] is not None}
            rows.add(
                as_text(str(paths[row])) if by_path else f"{file.key}:{row}",
                file.where,
                how=ROW,
                member=f"{group} {row - start} {layout.image}",
                offset=row,
                length=facts.total_byte_size // max(facts.num_rows, 1),
                size_bytes=file.size_bytes,
                modified_us=file.modified_us,
                split=SPLITS.get(splits[row] or "", splits[row]),
                label=labels[row],
                attributes={name: text for name, text in attributes.items() if text} if values else None,
            )
        start += facts.num_rows


def _labels(table: pa.Table, layout: Layout, name: str) -> list[str | None]:
    if not layout.label:
        return [None] * table.num_rows
    values = table[layout.label].to_pylist()
    if not layout.names:
        return [_text(value) for value in values]
    for value in values:
        if value is not None and not (isinstance(value, int) and -1 <= value < len(layout.names)):
            raise UserError(
                f"{name} has label {value!r}, and its ClassLabel has names for 0 to {len(layout.names) - 1}"
            )
    return [layout.names[value] if value is not None and value >= 0 else None for value in values]  # -1: no label


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else str(value)
