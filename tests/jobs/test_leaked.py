"""The report's second score of the test split: without what lint says is leaked."""

from collections.abc import Callable
from typing import Any

import pytest

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.report.leaked import rescored
from secondlook.pipeline.core.identity import content_id, sample_id
from secondlook.pipeline.report.facts import Rescored


def put(lake: Lake, job: str, **tables: list[dict[str, Any]]) -> None:
    attempt = lake.attempt(job, {"n": str(tables)})
    for table, records in tables.items():
        attempt.append(table, rows(table, records))
    attempt.commit({})


@pytest.fixture
def judged(lake: Lake, fill: Callable[..., dict[str, str]]) -> Lake:
    """Six test pictures, of which the first four are predicted right; a leaked train picture, and one without a label."""
    pictures = [(f"test/{n}", "cat", b"t%d" % n, {"split": "test"}) for n in range(6)]
    fill([*pictures, ("train/0", "dog", b"r", {"split": "train"}), ("test/x", None, b"x", {"split": "test"})])
    facts = {"model": "m", "kind": "generalist", "classes": ["cat", "dog"], "settings": "{}", "metrics": "{}"}
    predicted = {b"t%d" % n: int(n >= 4) for n in range(6)} | {b"r": 1, b"x": 1}
    records = [
        {
            "content_id": content_id(data),
            "model": "m",
            "classes": [c],
            "probs": [0.9],
            "fold": 0 if data == b"r" else -1,
        }
        for data, c in predicted.items()
    ]
    put(lake, "train", models=[facts], predictions=records)
    return lake


def score(lake: Lake) -> tuple[Rescored, ...]:
    at = lake.at()
    return rescored(lake, at, dataset.samples(lake, at), dataset.newest_model(lake, at))


def leak(key: str) -> dict[str, Any]:
    return {"rule": "SL203", "subject_kind": "sample", "subject": sample_id("default", key), "key": key, "score": 1.0}


def test_leaked_pictures_are_taken_out_and_shown_alone(judged: Lake) -> None:
    put(judged, "lint", findings=[leak("test/0"), leak("test/1"), leak("test/5"), leak("train/0"), leak("test/x")])
    (found,) = score(judged)
    counts = [(part.k, part.n) for part in (found.everything, found.without, found.leaked)]
    assert counts == [(4, 6), (2, 3), (2, 3)]
    assert found.split == "test"
    assert found.without.interval.low < 2 / 3 < found.without.interval.high


def test_nothing_without_a_lint_or_without_a_leak(judged: Lake) -> None:
    assert score(judged) == ()
    put(judged, "lint", findings=[leak("train/0")])
    assert score(judged) == ()
