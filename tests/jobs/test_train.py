"""Training: what is fitted on and what is not, what is written, what is reused, and scoring in Spark."""

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from secondlook.jobs import cli
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train import features, scoring, train, training_set
from secondlook.pipeline.core.config import LintSettings, Settings
from secondlook.pipeline.core.decode import Rejected
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.models_config import TrainSettings

Fill = Callable[..., dict[str, str]]
SMALL = Settings(train=TrainSettings(folds=3, epochs=3, image_px=16, batch=16))


def stripes(seed: int, upright: bool, side_px: int = 24) -> bytes:
    """A picture whose class is easy to see: stripes up or across, with noise."""
    rng = np.random.default_rng(seed)
    wave = 127 + 90 * np.sin(np.arange(side_px) * rng.uniform(0.8, 1.2) + rng.uniform(0, 6))
    pixels = np.tile(wave, (side_px, 1)) + rng.normal(0, 25, (side_px, side_px))
    pixels = np.clip(pixels if upright else pixels.T, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def pictures(n: int, start: int = 0, split: str = "", label: bool = True) -> list[tuple[Any, ...]]:
    names = ("across", "upright")
    return [
        (f"{split or 'all'}/{i:04d}.png", names[i % 2] if label else None, stripes(i, bool(i % 2)), {"split": split})
        for i in range(start, start + n)
    ]


def of(lake: Lake, key: str) -> dict[str, Any]:
    """The prediction for the picture of this key: class → probability, and `fold`."""
    version = lake.at()
    model = dataset.newest_model(lake, version)
    samples = dataset.samples(lake, version)
    content = samples["content_id"].to_pylist()[samples["key"].to_pylist().index(key)]
    rows = dataset.predictions(lake, version, model.name).to_pylist()
    row = next(row for row in rows if row["content_id"] == content)
    return {model.classes[i]: p for i, p in zip(row["classes"], row["probs"], strict=True)} | {"fold": row["fold"]}


@pytest.fixture
def backbone(tmp_path: Path) -> str:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def frozen(backbone: str, **changed: Any) -> Settings:
    return Settings(train=TrainSettings(backbone=backbone, folds=2, image_px=32, batch=16, **changed))


def test_every_picture_gets_probabilities_an_embedding_and_labels_a_fold(lake: Lake, fill: Fill) -> None:
    fill([*pictures(60), *pictures(8, 100, label=False), *pictures(20, 200, split="test")])
    summary = train.run(lake, SMALL)
    version = lake.at()
    model = dataset.newest_model(lake, version)
    assert model.name == summary["model"]
    assert model.classes == ["across", "upright"]
    rows = dataset.predictions(lake, version, model.name)
    assert rows.num_rows == 88
    assert dataset.embeddings(lake, version, model.embedder).num_rows == 88
    folds = np.array(rows["fold"].to_pylist())
    assert [int((folds == f).sum()) for f in (-1, 0, 1, 2)] == [28, 20, 20, 20]
    for row in rows.to_pylist():
        assert sum(row["probs"]) == pytest.approx(1.0, abs=1e-4)
        assert row["probs"] == sorted(row["probs"], reverse=True)
    assert (summary["n"], summary["unlabeled"], summary["held_out"], summary["contents"]) == (60, 8, 20, 88)
    assert summary["accuracy_given"]["value"] > 0.9
    assert summary["accuracy_by_split"]["test"]["value"] > 0.9
    assert summary["accuracy_by_split"]["test"]["n"] == 20 - summary["leaked"]
    low, high = summary["accuracy_given"]["interval"]
    assert low < summary["accuracy_given"]["value"] <= high
    assert {"ece_before", "ece_after", "seconds", "seed", "device"} <= json.loads(model.metrics).keys()


def test_a_wrong_label_is_not_remembered(lake: Lake, fill: Fill) -> None:
    some = pictures(60)
    some[5] = (some[5][0], "across", *some[5][2:])  # shows "upright"
    fill(some)
    train.run(lake, SMALL)
    assert of(lake, some[5][0])["upright"] > 0.6


def test_the_test_split_is_never_learned_from(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    """Test labels turned round change no weight, no probability."""
    from tests.jobs.conftest import filler

    turned = [
        (k, "across" if label == "upright" else "upright", *rest) for k, label, *rest in pictures(10, 200, "test")
    ]
    other = Lake(str(tmp_path / "other"), create=True)
    fill([*pictures(40), *pictures(10, 200, "test")])
    filler(other)([*pictures(40), *turned])
    results = []
    for one in (lake, other):
        train.run(one, SMALL)
        model = dataset.newest_model(one, one.at())
        results.append(dataset.predictions(one, one.at(), model.name).sort_by("content_id"))
    assert results[0].equals(results[1])


def test_a_copy_in_the_test_split_is_not_learned_from_either(lake: Lake, fill: Fill) -> None:
    some = pictures(40)
    fill([*some, ("copy.png", some[0][1], some[0][2], {"split": "test"})])
    summary = train.run(lake, SMALL)
    assert (summary["n"], summary["held_out"]) == (39, 1)
    assert of(lake, "copy.png")["fold"] == -1


def test_copies_never_straddle_folds(lake: Lake, fill: Fill) -> None:
    """Two contents with equal hashes are one group; a chain of near ones is one group too."""
    from secondlook.jobs.lake.records import rows

    some = pictures(30)
    fill(some)
    hashes = np.random.default_rng(0).integers(-(2**62), 2**62, 30)
    hashes[1], hashes[2] = hashes[0], hashes[0] ^ 3
    prints: list[dict[str, Any]] = [
        {"content_id": content_id(data), "phash": int(h), "dhash": int(h), "entropy": 5.0}
        for (_, _, data, _), h in zip(some, hashes, strict=True)
    ]
    attempt = lake.attempt("prints", {})
    attempt.append("fingerprints", rows("fingerprints", prints))
    attempt.commit({})
    data = training_set.load(lake, lake.at(), LintSettings(), 3)
    at = {content: i for i, content in enumerate(data.content_ids)}
    groups = [int(data.groups[at[row["content_id"]]]) for row in prints]
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups)) == 28
    train.run(lake, SMALL)
    assert len({of(lake, some[i][0])["fold"] for i in range(3)}) == 1


def test_a_content_with_several_labels_learns_the_majority_s_or_none(lake: Lake, fill: Fill) -> None:
    some = pictures(30)
    twice = [(f"copy{i}.png", "upright", some[i][2]) for i in (0, 2)]
    thrice = [("copy9.png", "upright", some[2][2])]
    fill([*some, *twice, *thrice])
    data = training_set.load(lake, lake.at(), LintSettings(), 3)
    at = {content: i for i, content in enumerate(data.content_ids)}
    level, majority = (at[content_id(some[i][2])] for i in (0, 2))
    assert data.labels[level] == -1
    assert data.classes[data.labels[majority]] == "upright"
    assert data.level == 1
    train.run(lake, SMALL)
    assert of(lake, some[0][0])["fold"] == -1


def test_the_same_lake_and_seed_give_the_same_bytes(lake: Lake, fill: Fill, tmp_path: Path) -> None:
    from tests.jobs.conftest import filler

    other = Lake(str(tmp_path / "other"), create=True)
    fill(pictures(40))
    filler(other)(pictures(40))
    stored, tables = [], []
    for one in (lake, other):
        train.run(one, SMALL)
        model = dataset.newest_model(one, one.at())
        stored.append(Path(one.root, model.path, "weights.safetensors").read_bytes())
        tables.append(dataset.predictions(one, one.at(), model.name))
    assert stored[0] == stored[1]
    assert tables[0].equals(tables[1])


def test_training_twice_on_the_same_is_one_version(lake: Lake, fill: Fill) -> None:
    fill(pictures(30))
    first = train.run(lake, SMALL)
    before = lake.at().id
    assert train.run(lake, SMALL) == first
    assert lake.at().id == before
    other = dataclasses.replace(SMALL, train=dataclasses.replace(SMALL.train, seed=8))
    assert train.run(lake, other)["model"] != first["model"]


def test_features_of_a_frozen_backbone_are_computed_once(lake: Lake, fill: Fill, backbone: str) -> None:
    fill(pictures(40))
    first = train.run(lake, frozen(backbone))
    assert (first["embeddings_computed"], first["embeddings_reused"]) == (40, 0)
    fill([*pictures(6, 500)])
    second = train.run(lake, frozen(backbone))
    assert (second["embeddings_computed"], second["embeddings_reused"]) == (6, 40)
    assert second["embedder"] == first["embedder"]
    rows = lake.read("embeddings", lake.at())
    assert rows.num_rows == 46
    other_side = dataclasses.replace(frozen(backbone).train, image_px=40)
    assert train.run(lake, Settings(train=other_side))["embeddings_computed"] == 46


def test_kept_features_are_those_of_the_backbone(lake: Lake, fill: Fill, backbone: str) -> None:
    from secondlook.pipeline.learn import backbones, batches

    some = pictures(30)
    fill(some)
    summary = train.run(lake, frozen(backbone))
    loaded = backbones.load(backbone, 32, torch.device("cpu"))
    rows = dataset.embeddings(lake, lake.at(), summary["embedder"]).to_pylist()
    kept = {row["content_id"]: row["vector"] for row in rows}
    for _, _, data, _ in some[:5]:
        pixels = batches.read(data, 32, features.limits(Settings().ingest))
        assert kept[content_id(data)] == pytest.approx(loaded.embed(pixels[None])[0].tolist(), abs=1e-4)  # type: ignore[index]


def test_a_picture_that_cannot_be_read_any_more_is_left_out_and_counted(lake: Lake, fill: Fill, backbone: str) -> None:
    fill([*pictures(30), ("broken.png", "across", b"no picture")])
    for settings in (SMALL, frozen(backbone)):
        summary = train.run(lake, settings)
        assert (summary["unreadable"], summary["n"], summary["contents"]) == (1, 30, 31)
        assert dataset.predictions(lake, lake.at(), summary["model"]).num_rows == 30


@pytest.mark.parametrize("kind", ["small", "frozen", "finetune"])
def test_scoring_in_spark_says_what_the_driver_says(
    lake: Lake, fill: Fill, backbone: str, spark: Any, kind: str
) -> None:
    settings = {
        "small": SMALL,
        "frozen": frozen(backbone),
        "finetune": frozen(backbone, mode="finetune", epochs=1, refits=0),
    }[kind]
    new = [*pictures(9, 300, label=False), *pictures(3, 400)]
    fill(pictures(40))
    model = train.run(lake, settings)["model"]
    fill(new)
    summary = scoring.run(lake, settings, spark)
    assert (summary["scored"], summary["unreadable"], summary["model"]) == (12, 0, model)
    version = lake.at()
    rows = {row["content_id"]: row for row in dataset.predictions(lake, version, model).to_pylist()}
    assert len(rows) == 52
    embedder = dataset.newest_model(lake, version).embedder
    vectors = {row["content_id"]: row["vector"] for row in dataset.embeddings(lake, version, embedder).to_pylist()}
    scorer = _scorer(lake)
    for _, _, data, *_ in new:
        from secondlook.pipeline.learn import batches, generalist

        pixels = batches.read(data, 16 if kind == "small" else 32, features.limits(settings.ingest))
        assert not isinstance(pixels, Rejected)
        embedded, probs = scorer.score(pixels[None])
        best, values = generalist.top_k(probs, 20)
        row = rows[content_id(data)]
        assert row["fold"] == -1
        assert row["classes"] == best[0].tolist()
        assert row["probs"] == pytest.approx(values[0].tolist(), abs=1e-5)
        assert vectors[content_id(data)] == pytest.approx(embedded[0].tolist(), abs=1e-4)
    again = scoring.run(lake, settings, spark)
    assert again["scored"] == 0
    assert lake.at().id == version.id


def _scorer(lake: Lake) -> Any:
    from safetensors.numpy import load_file

    from secondlook.pipeline.learn import generalist

    folder = Path(lake.root, dataset.newest_model(lake, lake.at()).path)
    facts = json.loads((folder / "model.json").read_text())
    return generalist.restored(facts, load_file(folder / "weights.safetensors"), torch.device("cpu"))


def test_the_driver_s_own_unlabeled_probabilities_are_the_stored_model_s(lake: Lake, fill: Fill, backbone: str) -> None:
    from secondlook.pipeline.learn import batches

    new = pictures(4, 300, label=False)
    fill([*pictures(40), *new])
    for settings, side_px in ((SMALL, 16), (frozen(backbone), 32)):
        train.run(lake, settings)
        scorer = _scorer(lake)
        for key, _, data, _ in new:
            pixels = batches.read(data, side_px, features.limits(settings.ingest))
            assert not isinstance(pixels, Rejected)
            _, probs = scorer.score(pixels[None])
            said = of(lake, key)
            assert [said["across"], said["upright"]] == pytest.approx(probs[0].tolist(), abs=1e-4)


def test_only_the_most_probable_classes_are_kept(lake: Lake, fill: Fill) -> None:
    some = [(key, f"c{i % 5}", data) for i, (key, _, data, _) in enumerate(pictures(40))]
    fill(some)
    settings = dataclasses.replace(SMALL, train=dataclasses.replace(SMALL.train, top_k=2, folds=2))
    summary = train.run(lake, settings)
    rows = dataset.predictions(lake, lake.at(), summary["model"]).to_pylist()
    assert all(len(row["classes"]) == len(row["probs"]) == 2 for row in rows)


@pytest.mark.parametrize(
    ("some", "sentence"),
    [
        (pictures(10, label=False), "has no labeled picture to train on"),
        (pictures(10, split="test"), "has no labeled picture to train on"),
        ([(k, "cat", d) for k, _, d, _ in pictures(10)], "labels of at least 2 classes; all 10 labeled pictures are 'cat'"),
        (pictures(2), "3 folds take at least as many labeled pictures, this version has 2"),
    ],
)  # fmt: skip
def test_too_little_to_learn_from_is_said_in_one_sentence(
    lake: Lake, fill: Fill, some: list[Any], sentence: str
) -> None:
    fill(some, classes=["cat"])
    with pytest.raises(UserError, match=sentence):
        train.run(lake, SMALL)
    assert lake.at().job == "ingest"


def test_the_verb_prints_a_line_of_json_and_refuses_what_does_not_go_together(
    lake: Lake, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(pictures(30))
    words = ["train", "--lake", lake.root, "--folds", "2", "--epochs", "1", "--image-px", "16"]
    assert cli.run([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out.splitlines()[-1])["folds"] == 2
    assert len(said.out.splitlines()) == 1
    assert cli.run([*words]) == 0
    assert "out of sample" in capsys.readouterr().out
    assert cli.run([*words, "--score-only"]) == 2
    assert "--score-only uses the stored model as it is; leave out --image-px" in capsys.readouterr().err
    assert cli.run(["train", "--lake", lake.root, "--folds", "1"]) == 2
    assert "[train] folds takes from 2 to 20, got 1" in capsys.readouterr().err
    assert cli.run(["train", "--lake", lake.root, "--backbone", "./nothing"]) == 2
    assert "there is no folder ./nothing" in capsys.readouterr().err
    assert cli.run(["train", "--lake", lake.root, "--score-only", "--as-of", "1"]) == 2
    assert "has no generalist; `secondlook train` makes one" in capsys.readouterr().err


def test_files_of_vectors_are_what_other_readers_read(lake: Lake, fill: Fill, backbone: str) -> None:
    fill(pictures(30))
    train.run(lake, frozen(backbone))
    files = lake.files("embeddings", lake.at())
    rows = sum(pq.read_metadata(lake.strip(file)).num_rows for file in files)
    assert rows == 30
