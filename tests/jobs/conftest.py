"""Small lakes, written without ingest: what the jobs after it are tested on."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from secondlook.jobs.records import rows
from secondlook.jobs.store import Lake
from secondlook.pipeline.core.identity import content_id, sample_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)

Fill = Callable[..., dict[str, str]]


@pytest.fixture
def fill(lake: Lake) -> Fill:
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
    from secondlook.jobs import dataset

    def read(version: str | int | None = None) -> dict[str, str | None]:
        table = dataset.samples(lake, lake.at(version))
        return dict(zip(table["key"].to_pylist(), table["label"].to_pylist(), strict=True))

    return read
