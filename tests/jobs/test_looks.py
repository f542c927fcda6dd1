"""Copies in a lake: what hashes miss an embedding proposes, the pixels decide, and Spark finds the very same."""

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import lint
from secondlook.pipeline.audit.embedding import neighbors
from secondlook.pipeline.core.config import LintSettings, Settings
from secondlook.pipeline.core.decode import Limits
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.images.fingerprint import fingerprint

SETTINGS = Settings(lint=LintSettings(min_class=1))
Pixels = npt.NDArray[np.uint8]


def scene(seed: int, px: int = 64) -> Pixels:
    rng = np.random.default_rng(seed)
    rough, fine = (cv2.resize(rng.random((n, n, 3)), (px, px), interpolation=cv2.INTER_CUBIC) for n in (9, 24))
    return (255 * np.clip(0.7 * rough + 0.3 * fine, 0, 1)).astype(np.uint8)


def png(pixels: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()


def put(lake: Lake, vectors: Mapping[bytes, Any] | None, pictures: list[bytes]) -> None:
    """Fingerprints of the pictures and, with vectors, a model with these embeddings."""
    attempt = lake.attempt("prints", {"n": len(pictures)})
    prints = [fingerprint(data, Limits()) for data in dict.fromkeys(pictures)]
    attempt.append("fingerprints", rows("fingerprints", [one for one in prints if isinstance(one, dict)]))
    if vectors is not None:
        facts = {
            "model": "m",
            "kind": "generalist",
            "classes": ["cat"],
            "settings": "{}",
            "metrics": "{}",
            "embedder": "e",
        }
        attempt.append("models", rows("models", [facts]))
        records = [{"content_id": content_id(data), "model": "e", "vector": list(v)} for data, v in vectors.items()]
        attempt.append("embeddings", rows("embeddings", records))
    attempt.commit({})


def findings(lake: Lake, engine: str = "local", spark: Any = None) -> dict[tuple[str, str], dict[str, Any]]:
    found = lint._compute(lake, SETTINGS, lake.at(), engine, spark).findings
    return {
        (row["rule"], row["key"]): json.loads(row["evidence"]) | {"message": row["message"]}
        for row in found.to_pylist()
        if row["rule"] in {"SL201", "SL202", "SL203"}
    }


@pytest.fixture
def copied(lake: Lake, fill: Callable[..., dict[str, str]]) -> Lake:
    """Unlike scenes; of one a mirrored copy, of one a crop that hashes miss, and two unlike ones whose vectors are equal."""
    scenes = {f"train/{seed}.png": png(scene(seed)) for seed in range(6)}
    big = png(cv2.resize(scene(1), (128, 128), interpolation=cv2.INTER_CUBIC)[:, ::-1])
    crop = png(scene(0)[7:60, 8:62])
    every = scenes | {"test/mirrored.png": big, "test/cropped.png": crop}
    fill([(key, "cat", data, {"split": key.split("/")[0]}) for key, data in every.items()])
    rng = np.random.default_rng(0)
    vectors = {data: rng.normal(size=8).astype(np.float32) for data in every.values()}
    vectors[crop] = vectors[scenes["train/0.png"]]
    vectors[scenes["train/4.png"]] = vectors[scenes["train/5.png"]]
    vectors[scenes["train/3.png"]] = np.zeros(8, np.float32)
    vectors[scenes["train/2.png"]] = np.full(8, np.nan, np.float32)
    put(lake, vectors, list(every.values()))
    return lake


def test_mirrored_and_cropped_copies_are_found_and_the_larger_one_is_kept(copied: Lake) -> None:
    found = findings(copied)
    assert set(found) == {
        (rule, key)
        for rule in ("SL202", "SL203")
        for key in ("train/0.png", "train/1.png", "test/mirrored.png", "test/cropped.png")
    }
    mirrored, cropped = found["SL202", "train/1.png"], found["SL202", "test/cropped.png"]
    assert mirrored["mirrored"] is True
    assert mirrored["kept"] == "test/mirrored.png"  # it is larger
    assert mirrored["message"].startswith("looks like test/mirrored.png (mirrored; pixels match by ")
    assert "mirrored" not in cropped
    assert cropped["bits"] > LintSettings.near_bits
    assert cropped["cosine"] == pytest.approx(1.0)
    assert cropped["match"] >= LintSettings.near_match
    assert cropped["kept"] == "train/0.png"


def test_spark_finds_the_very_same_in_one_cell_and_in_many(
    copied: Lake, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = findings(copied)
    assert findings(copied, "spark", spark) == local
    monkeypatch.setattr(neighbors, "EXACT", 4)
    monkeypatch.setattr(neighbors, "CELL", 4)
    monkeypatch.setattr(neighbors, "OVERLAP", 1)
    assert findings(copied, "spark", spark) == local


def test_without_embeddings_hashes_still_find_the_mirrored_one_and_it_is_said(
    lake: Lake, fill: Callable[..., dict[str, str]]
) -> None:
    pictures = [png(scene(0)), png(scene(0)[:, ::-1])]
    fill([(f"{at}.png", None, data) for at, data in enumerate(pictures)])
    put(lake, None, pictures)
    assert set(findings(lake)) == {("SL202", "0.png"), ("SL202", "1.png")}
    notes = lint._compute(lake, SETTINGS, lake.at(), "local", None)[1]
    assert "`secondlook train`" in notes["SL202"]


def test_where_pictures_are_gone_hashes_speak_alone_and_it_is_said(
    lake: Lake, fill: Callable[..., dict[str, str]], tmp_path: Any
) -> None:
    pictures = [png(scene(0)), png(cv2.resize(scene(0), (80, 80))), png(scene(1))]
    fill([(f"{at}.png", None, data) for at, data in enumerate(pictures)], reference=f"{tmp_path}/gone/")
    put(lake, {data: np.ones(4, np.float32) for data in pictures}, pictures)
    found = findings(lake)
    assert set(found) == {("SL202", "0.png"), ("SL202", "1.png")}
    assert "match" not in found["SL202", "0.png"]
    notes = lint._compute(lake, SETTINGS, lake.at(), "local", None)[1]
    assert "can't be read now" in notes["SL202"]


def test_a_crowd_of_copies_is_told_of_each_other(lake: Lake, fill: Callable[..., dict[str, str]]) -> None:
    rng = np.random.default_rng(1)
    base = scene(0, 32).astype(int)
    crowd = [png(np.clip(base + rng.integers(-2, 3, base.shape), 0, 255).astype(np.uint8)) for _ in range(150)]
    black = [png(np.zeros((32, 30 + at, 3), np.uint8)) for at in range(5)]
    fill([(f"{at:03}.png", None, data) for at, data in enumerate(crowd + black)])
    vectors = {data: rng.normal(size=8).astype(np.float32) * 0.01 + 1 for data in crowd + black}
    put(lake, vectors, crowd + black)
    found = findings(lake)
    assert set(found) == {("SL202", f"{at:03}.png") for at in range(150)}


def test_among_drawings_that_are_all_alike_only_hashes_are_asked(
    lake: Lake, fill: Callable[..., dict[str, str]]
) -> None:
    """Rings of many widths match one another as copies do, each with each: nobody's neighbor is a copy by that."""
    rng = np.random.default_rng(2)
    rings = []
    for _ in range(90):
        pixels = np.zeros((64, 64, 3), np.uint8)
        center = (int(rng.integers(30, 35)), int(rng.integers(30, 35)))
        cv2.ellipse(pixels, center, (int(rng.integers(16, 26)), int(rng.integers(16, 26))), 0, 0, 360, (255,) * 3, 4)
        rings.append(png(pixels))
    fill([(f"{at:03}.png", None, data) for at, data in enumerate(dict.fromkeys(rings))])
    put(lake, {data: rng.normal(size=4).astype(np.float32) for data in rings}, rings)
    found = findings(lake)
    notes = lint._compute(lake, SETTINGS, lake.at(), "local", None)[1]
    assert "as copies do, so only hashes were asked" in notes["SL202"]
    assert all(evidence["bits"] <= LintSettings.near_bits for evidence in found.values())
