"""Small lakes, written without ingest: what the jobs after it are tested on."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.pipeline.core.identity import content_id, sample_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)

Fill = Callable[..., dict[str, str]]


@pytest.fixture
def fill(lake: Lake) -> Fill:
    """Put samples into `lake`: see `filler`."""
    return filler(lake)


def filler(lake: Lake) -> Fill:
    """Put samples into the lake: `fill([("a.png", "cat", b"bytes"), …])`; a key's label may be None.

    Each picture is (key, label, bytes) or (key, label, bytes, {"split": …, "attributes": …}). Returns key → sample_id.
    """

    def write(pictures: Sequence[tuple[Any, ...]], classes: Sequence[str] = (), reference: str = "") -> dict[str, str]:
        ids = {key: sample_id("default", key) for key, *_ in pictures}
        samples, labels, images = [], [], {}
        for key, label, data, *more in pictures:
            facts = {"dataset": "default", "source": "here", "split": "", "attributes": [], **(more[0] if more else {})}
            content = content_id(data)
            samples.append({"sample_id": ids[key], "key": key, "content_id": content, "size_bytes": len(data)} | facts)
            images[content] = {"bytes": None if reference else data, "path": reference + key}
            if label is not None:
                event = {"sample_id": ids[key], "label": label, "source": "ingest", "actor": "ingest", "time": NOW}
                labels.append(event)
        names = sorted({*classes, *(event["label"] for event in labels)})
        attempt = lake.attempt("ingest", {"keys": list(ids)})
        attempt.append("samples", rows("samples", samples))
        attempt.append("images", rows("images", [{"content_id": c, "image": image} for c, image in images.items()]))
        attempt.append("labels", rows("labels", labels))
        attempt.append("classes", rows("classes", [{"name": n, "event": "added", "time": NOW} for n in names]))
        attempt.commit({"samples": len(samples)})
        return ids

    return write


@pytest.fixture
def labels_of(lake: Lake) -> Callable[..., dict[str, str | None]]:
    """The labels that hold, by key: `labels_of(version=None)`."""
    from secondlook.jobs.lake import dataset

    def read(version: str | int | None = None) -> dict[str, str | None]:
        table = dataset.samples(lake, lake.at(version))
        return dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))

    return read


Pictures = dict[str, tuple[bytes, str | None]]


def _folder(at: Path, pictures: Pictures) -> Path:
    for key, (data, _) in pictures.items():
        file = at / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return at


def _zip(at: Path, pictures: Pictures) -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    with zipfile.ZipFile(at.with_suffix(".zip"), "w") as archive:
        for i, (key, (data, _)) in enumerate(pictures.items()):
            archive.writestr(zipfile.ZipInfo(key, (2026, 1, 2, 3, 4, 6)), data, methods[i % len(methods)])
    return at.with_suffix(".zip")


def _webdataset(at: Path, pictures: Pictures) -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(at.with_suffix(".tar"), "w") as archive:
        for i, (key, (data, label)) in enumerate(pictures.items()):
            told = {"txt": label or "", "cls": label or "", "json": json.dumps({"label": label, "site": f"s{i}"})}
            kind = ("txt", "cls", "json")[i % 3]
            for name, content in ((key, data), (f"{key.rsplit('.', 1)[0]}.{kind}", told[kind].encode())):
                info = tarfile.TarInfo(name)
                info.size, info.mtime = len(content), 1_700_000_000
                archive.addfile(info, io.BytesIO(content))
    return at.with_suffix(".tar")


def _parquet(at: Path, pictures: Pictures) -> Path:
    at.parent.mkdir(parents=True, exist_ok=True)
    names = sorted({label for _, label in pictures.values() if label is not None})
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = pa.table(
        {
            "image": [{"bytes": data, "path": key} for key, (data, _) in pictures.items()],
            "label": [names.index(label) if label is not None else -1 for _, label in pictures.values()],
        }
    ).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, at.with_suffix(".parquet"), row_group_size=5)
    return at.with_suffix(".parquet")


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., str]:
    """The same pictures as any kind of source: `made("zip", {"cat/a.png": (data, "cat")}, name="x")`, its path."""
    kinds = {"folder": _folder, "zip": _zip, "webdataset": _webdataset, "parquet": _parquet}
    return lambda kind, pictures, name="pictures": str(kinds[kind](tmp_path / "made" / name, pictures))
