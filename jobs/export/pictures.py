"""Pictures on their way out: class folders, and Parquet files in the layout of Hugging Face datasets."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from secondlook.jobs.export.export import Sample, attribute_columns
from secondlook.jobs.files.file_names import escaped_first, picture_name, safe_name
from secondlook.jobs.sources.listing import SPLITS
from secondlook.pipeline.core.schemas import IMAGE

Pictures = Iterable[tuple[bytes, list[Sample]]]

ROW_GROUP_BYTES = 8 * 2**20
OPEN_BYTES = 32 * 2**20  # of all splits together, before they are written
SHARD_BYTES = 400 * 2**20


def write_folders(pictures: Pictures, samples: Sequence[Sample], classes: Sequence[str], folder: Path) -> int:
    """split/class/picture; without a split or a label, that folder is left out. Returns the number of files.

    Folders and files have safe names, so a hostile name is not quite itself; `labels.csv` beside them has every file's
    exact label, split and attributes.
    """
    del classes
    names = attribute_columns(samples)
    taken: set[str] = set()
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["file", "label", "split", *names.values()])
        for data, its in pictures:
            for sample in its:
                path = _place(sample, data, taken)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
                attributes = [sample.attributes.get(name, "") for name in names]
                table.writerow([path, sample.label or "", sample.split, *attributes])
    return len(taken)


def _place(sample: Sample, data: bytes, taken: set[str]) -> str:
    """The path of a sample's file, unlike all others even where upper and lower case are the same."""
    parts = [safe_name(sample.split)] if sample.split else []
    if sample.label is not None:
        name = safe_name(sample.label)
        parts.append(escaped_first(name) if not parts and name.lower() in SPLITS else name)
    name = picture_name(sample.key, data)
    path = "/".join([*parts, name])
    if path.casefold() in taken:
        stem, dot, last = name.rpartition(".")
        name = f"{stem}-{sample.sample_id[:12]}.{last}" if dot and stem else f"{name}-{sample.sample_id[:12]}"
        path = "/".join([*parts, name])
    taken.add(path.casefold())
    return path


def write_parquet(pictures: Pictures, samples: Sequence[Sample], classes: Sequence[str], folder: Path) -> int:
    """data/SPLIT-00000-of-00001.parquet: image, label and attributes. Returns the number of files.

    Labels are a ClassLabel (a number, null where there is none) whose names stand in the metadata. Samples without a split
    are in files called `data-…`, which readers take for all there is; splits that are no train, val or test also stand
    in a column, since the name of a file says only those.
    """
    names = attribute_columns(samples)
    unusual = any(sample.split and SPLITS.get(sample.split) != sample.split for sample in samples)
    schema = hf_schema(classes, [*names.values(), *(["split"] if unusual else [])])
    number = {name: n for n, name in enumerate(classes)}
    (folder / "data").mkdir()
    splits: dict[str, _Shards] = {}
    for data, its in pictures:
        for sample in its:
            split = sample.split or "data"
            if split not in splits:
                splits[split] = _Shards(folder / "data", safe_name(split), schema)
            label = None if sample.label is None else number[sample.label]
            row: dict[str, object] = {"image": {"bytes": data, "path": sample.key}, "label": label}
            row |= {column: sample.attributes.get(name) for name, column in names.items()}
            splits[split].add(row | ({"split": sample.split} if unusual else {}), len(data))
        if sum(shards.held for shards in splits.values()) > OPEN_BYTES:
            for shards in splits.values():
                shards.flush()
    return sum(shards.close() for shards in splits.values())


def hf_schema(classes: Sequence[str], attributes: Sequence[str]) -> pa.Schema:
    """The Arrow schema with the features that Hugging Face's `datasets` reads from the key `huggingface` of its metadata."""
    features: dict[str, object] = {
        "image": {"_type": "Image"},
        "label": {"names": list(classes), "_type": "ClassLabel"},
    }
    features |= {name: {"dtype": "string", "_type": "Value"} for name in attributes}
    fields = [("image", IMAGE), ("label", pa.int64()), *((name, pa.string()) for name in attributes)]
    metadata = {"huggingface": json.dumps({"info": {"features": features}}, ensure_ascii=False)}
    return pa.schema(fields, metadata=metadata)


class _Shards:
    """The files of one split, each of a bounded size, in row groups that a reader can hold."""

    def __init__(self, folder: Path, split: str, schema: pa.Schema) -> None:
        self.folder, self.split, self.schema = folder, split, schema
        self.rows: list[dict[str, object]] = []
        self.held = self.in_shard = 0
        self.paths: list[Path] = []
        self.writer: pq.ParquetWriter | None = None

    def add(self, row: dict[str, object], size: int) -> None:
        if self.held and self.held + size > ROW_GROUP_BYTES:
            self.flush()
        self.rows.append(row)
        self.held += size

    def flush(self) -> None:
        if not self.rows:
            return
        if self.writer is None or self.in_shard > SHARD_BYTES:
            self._next()
        assert self.writer is not None
        self.writer.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.in_shard += self.held
        self.rows, self.held = [], 0

    def _next(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.paths.append(self.folder / f"{self.split}-{len(self.paths):05d}.partial")
        self.writer, self.in_shard = pq.ParquetWriter(self.paths[-1], self.schema), 0

    def close(self) -> int:
        """Write what is left; only now is the number of shards known, which each name tells."""
        self.flush()
        if self.writer is not None:
            self.writer.close()
        for n, path in enumerate(self.paths):
            path.rename(path.with_name(f"{self.split}-{n:05d}-of-{len(self.paths):05d}.parquet"))
        return len(self.paths)
