"""Specialists in a lake: who is tried and kept, what is written, and going on to the same bytes."""

import dataclasses
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from secondlook.jobs import cli
from secondlook.jobs.clusters.stored import rows_of
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.specialists import fitting, on_spark, specialists, stored
from secondlook.jobs.specialists.choosing import Asked
from secondlook.jobs.specialists.lessons import Lessons
from secondlook.jobs.specialists.told import told
from secondlook.jobs.specialists.tried import Part, _divided
from secondlook.jobs.train import stored as generalists
from secondlook.jobs.train import train
from secondlook.jobs.train.checkpoints import Checkpoint, Checkpoints
from secondlook.pipeline.core.clusters import Cluster
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.models_config import SpecialistSettings, TrainSettings
from secondlook.pipeline.learn.training.recipe import Recipe
from tests.jobs.conftest import filler

CPU = torch.device("cpu")
CLUSTERS = [("3", "5", "8"), ("1", "7", "4"), ("6", "0")]
TRAIN = TrainSettings(backbone="resnet:4", image_px=12, epochs=5, folds=3, refits=0, threads=1, flip=False, batch=32)
KEEPING = SpecialistSettings(epochs=3, folds=2, confidence=0.5)


def digits(n: int) -> list[tuple[Any, ...]]:
    data, rng = load_digits(), np.random.default_rng(0)
    found = []
    for i in range(n):
        pixels = np.clip(data.images[i] * 15 + rng.normal(0, 50, (8, 8)), 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).resize((12, 12)).convert("RGB").save(buffer, "PNG")
        label = None if i % 10 == 8 else str(data.target[i])
        found.append((f"{i}.png", label, buffer.getvalue(), {"split": "test" if i % 4 == 0 else "train"}))
    return found


def cluster(lake: Lake, clusters: Sequence[Sequence[str]] = CLUSTERS) -> None:
    attempt = lake.attempt("clusters", {"clusters": [list(one) for one in clusters]})
    made = [Cluster(" / ".join(one), tuple(one)) for one in clusters]
    attempt.append("clusters", rows_of(dataset.newest_model(lake, lake.at()).name, made))
    attempt.commit({})


def trained(url: str) -> Lake:
    lake = Lake(url, create=True)
    filler(lake)(digits(400))
    train.run(lake, Settings(train=TRAIN))
    cluster(lake)
    return lake


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, Any]]:
    lake = trained(str(tmp_path_factory.mktemp("specialists")))
    return lake, specialists.run(lake, Settings(train=TRAIN, specialists=KEEPING))


def test_those_that_help_are_kept_as_models_and_as_one_set(made: tuple[Lake, dict[str, Any]]) -> None:
    lake, summary = made
    version = lake.at()
    models = {row["model"]: row for row in lake.latest("models", version).to_pylist()}
    whole = models[summary["model"]]
    own = [name for name, row in models.items() if row["kind"] == "specialist"]
    kept = [one for one in summary["specialists"] if one["kept"]]
    assert len(own) == len(kept) == summary["kept"] >= 1
    assert (whole["kind"], whole["made_of"][0]) == ("specialists", summary["generalist"])
    assert sorted(whole["made_of"][1:]) == sorted(own)
    assert {tuple(models[name]["classes"]) for name in own} == {tuple(sorted(one["classes"])) for one in kept}
    assert all(one["righted"] > one["wronged"] for one in kept)
    assert not lake.fs.exists(f"{lake.root}/models/{summary['model']}/unfinished")


def test_what_chose_and_what_tells_the_gain_are_other_pictures(made: tuple[Lake, dict[str, Any]]) -> None:
    lake, summary = made
    folds = generalists.folds_by_content(lake, lake.at(), summary["generalist"])
    held_out = sum(fold in (0, 1) for fold in folds.values())
    assert summary["chose"] + summary["held_out"]["gain"]["n"] == held_out
    assert abs(summary["chose"] - held_out / 2) < 20
    assert summary["test"]["gain"]["n"] == 80  # of 100 in the split, 20 have no label
    assert sum(row["n"] for row in summary["test"]["by_cover"]) == 80
    assert summary["test"]["control_nets"] == 2


def test_predictions_are_of_pictures_that_no_asked_net_learned_from(made: tuple[Lake, dict[str, Any]]) -> None:
    lake, summary = made
    version = lake.at()
    folds = generalists.folds_by_content(lake, version, summary["generalist"])
    rows = dataset.predictions(lake, version, summary["model"]).to_pylist()
    unseen = {content for content, fold in folds.items() if fold == -1}
    tried = {content for content, fold in folds.items() if fold in (0, 1)}
    assert {row["content_id"] for row in rows if row["fold"] == -1} == unseen
    assert {row["content_id"] for row in rows if row["fold"] != -1} == tried
    assert all(row["fold"] == folds[row["content_id"]] for row in rows)
    assert {len(row["probs"]) for row in rows} == {10}
    assert np.array([row["probs"] for row in rows]).sum(axis=1) == pytest.approx(np.ones(len(rows)), abs=1e-4)
    samples = dataset.samples(lake, version).to_pylist()
    labels = {row["content_id"]: row["label"] for row in samples}
    right = [str(row["classes"][0]) == labels[row["content_id"]] for row in rows if row["fold"] != -1]
    assert np.mean(right) > 0.3  # rows of other pictures would be right on a tenth


def test_a_fit_from_the_net_of_a_fold_learns_from_no_picture_of_it() -> None:
    folds, learned = np.array([0, 1, 2, -1, 0, 1]), np.array([0, 1, 2, 3, 5])
    nothing = np.zeros(0, np.int64)
    lessons = Lessons(
        [], np.zeros((6, 1, 1, 3), np.uint8), nothing, folds, learned, nothing, nothing, nothing, folds > 0
    )
    part = Part(4, Cluster("a / b", ("a", "b")), (0, 1))
    assert part.task(0, lessons, 7, [part]).rows.tolist() == [0, 1, 2, 3, 5]
    assert part.task(1, lessons, 7, [part]).rows.tolist() == [1, 2, 3, 5]
    assert part.task(3, lessons, 7, [part]).rows.tolist() == [0, 1, 3, 5]
    seeds = {part.task(net, lessons, seed, [part]).seed for net in range(3) for seed in (7, 8)}
    assert len(seeds) == 6


def test_the_stored_set_says_what_was_written_and_teaches_it(made: tuple[Lake, dict[str, Any]]) -> None:
    lake, summary = made
    version = lake.at()
    model = dataset.newest_model(lake, version, "specialists")
    found = stored.load(lake, version, model, CPU)
    assert (found.name, found.image_px, found.classes) == (summary["model"], 12, tuple("0123456789"))
    predicted = {row["content_id"]: row for row in dataset.predictions(lake, version, model.name).to_pylist()}
    chosen = [content for content, row in predicted.items() if row["fold"] == -1][:20]
    from secondlook.jobs.train.features import pixels

    shown, _ = pixels(lake, version, chosen, 12, Settings().ingest)
    embeddings, probs = found.score(shown)
    assert embeddings.shape == (20, 16)
    for content, said in zip(chosen, probs, strict=True):
        order = predicted[content]["classes"]
        assert said[order] == pytest.approx(predicted[content]["probs"], abs=1e-5)
    logits = found.teach(torch.from_numpy(shown).permute(0, 3, 1, 2))["teacher"]
    assert torch.softmax(logits, 1).numpy() == pytest.approx(probs, abs=1e-5)


def test_nothing_is_done_again(made: tuple[Lake, dict[str, Any]]) -> None:
    lake, summary = made
    before = lake.at().id
    again = specialists.run(lake, Settings(train=TRAIN, specialists=dataclasses.replace(KEEPING, on="spark")))
    assert again["model"] == summary["model"]
    assert lake.at().id == before


def test_who_helps_nobody_is_not_kept_and_no_model_is_made(
    made: tuple[Lake, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    lake, _ = made
    strict = dataclasses.replace(KEEPING, confidence=0.999, epochs=1, rate=1e-6)
    summary = specialists.run(lake, Settings(train=TRAIN, specialists=strict))
    assert (summary["kept"], summary["model"], summary["test"]) == (0, None, None)
    assert dataset.model_named(lake, lake.at(), f"specialists-{'0' * 12}") is None
    told(summary)
    assert "none is kept" in capsys.readouterr().out


def task(labels: npt.NDArray[np.int64], name: str = "one", start: str = "") -> fitting.Task:
    return fitting.Task(name, 0, (0, 2), np.arange(len(labels)), 5, start)


def fitted(checkpoint: Checkpoint, start: Checkpoint | None = None, **more: Any) -> dict[str, torch.Tensor]:
    from secondlook.pipeline.learn.nets.family import NetSpec, make

    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (60, 12, 12, 3)).astype(np.uint8), rng.integers(0, 4, 60)
    how = fitting.How(4, Recipe(epochs=3, batch=16), 0.5, 0.5)
    net = make(NetSpec("resnet:4", 4, 12), 1, CPU)
    one = fitting.fit_one(task(labels), net, pixels, labels, how, CPU, checkpoint, start, **more)
    return one.net.state_dict()


def test_a_fit_that_was_stopped_goes_on_to_the_same_bytes_and_a_finished_one_is_not_fitted_again(lake: Lake) -> None:
    whole = fitted(Checkpoints(lake, "whole").of("one"))
    shown = 0

    def stop(n: int) -> None:
        nonlocal shown
        shown += n
        if shown > 80:
            raise KeyboardInterrupt

    checkpoint = Checkpoints(lake, "stopped").of("one")
    with pytest.raises(KeyboardInterrupt):
        fitted(checkpoint, advance=stop)
    kept = checkpoint.kept()
    assert kept is not None
    assert kept.facts["epoch"] == 1
    on = fitted(checkpoint)
    assert all(torch.equal(value, on[name]) for name, value in whole.items())
    steps: list[int] = []
    again = fitted(checkpoint, advance=steps.append)
    assert len(steps) == 1  # all of it at once: no step was taken
    assert all(torch.equal(value, again[name]) for name, value in whole.items())


def test_a_part_starts_from_what_the_larger_cluster_ended_with(lake: Lake) -> None:
    first = Checkpoints(lake, "parts").of("first")
    fitted(first)
    from_it = fitted(Checkpoints(lake, "parts").of("second"), start=first)
    without = fitted(Checkpoints(lake, "parts").of("third"))
    assert not torch.equal(from_it["last.weight"], without["last.weight"])


def test_a_cluster_that_stays_hard_is_divided_and_an_easy_one_is_not() -> None:
    # Of classes 0..3, 0 is taken for 1 and 2 for 3, half of the time; 4..7 are told apart.
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 8, 800)
    twin = np.array([1, 0, 3, 2, 4, 5, 6, 7])
    said = np.where((labels < 4) & (rng.random(800) < 0.4), twin[labels], labels)
    p_g = np.full((800, 8), 0.01, np.float32)
    p_g[np.arange(800), said] = 0.7
    p_g[np.arange(800), twin[said]] += 0.22
    parts = [
        Part(0, Cluster("hard", ("3", "2", "1", "0")), (0, 1, 2, 3)),
        Part(1, Cluster("easy", ("4", "5", "6", "7")), (4, 5, 6, 7)),
    ]
    asked = Asked(np.arange(800), labels, p_g, (), tuple(np.array(one.members) for one in parts), 3)
    asked = asked.with_said([np.concatenate([p_g[:, list(one.members)], 0.1 + 0 * p_g[:, :1]], 1) for one in parts], ())
    found = _divided(parts, asked, [0, 1], [str(n) for n in range(8)])
    assert sorted(one.members for one in found) == [(0, 1), (2, 3)]
    assert {(one.parent, one.cluster.level, one.cluster.parent) for one in found} == {(0, 1, "hard")}
    assert [one.place for one in found] == [2, 3]
    assert {frozenset(one.cluster.classes) for one in found} == {frozenset({"0", "1"}), frozenset({"2", "3"})}


def test_a_worker_of_spark_leaves_what_is_fitted_here(made: tuple[Lake, dict[str, Any]], tmp_path: Path) -> None:
    lake, summary = made
    model = dataset.model_named(lake, lake.at(), summary["generalist"])
    assert model is not None
    rng = np.random.default_rng(0)
    pixels, labels = rng.integers(0, 256, (60, 12, 12, 3)).astype(np.uint8), rng.integers(0, 10, 60)
    how = fitting.How(10, Recipe(epochs=1, batch=16), 0.5, 0.5)
    np.save(tmp_path / "pictures.npy", pixels)
    np.save(tmp_path / "labels.npy", labels)
    plan = on_spark.Plan(f"{lake.url}/{model.path}", f"file://{tmp_path}", how, "cpu")
    on_spark.fit_there(plan, task(labels))
    there = Checkpoint(lake.fs, str(tmp_path / "one.safetensors"))
    assert on_spark.finished(there, how)
    net = generalists.load(lake, model, CPU).net
    assert net is not None
    own = Checkpoint(lake.fs, str(tmp_path / "own.safetensors"))
    here = fitting.fit_one(task(labels), net, pixels, labels, how, CPU, own).net.state_dict()
    kept = there.kept()
    assert kept is not None
    assert all(torch.equal(kept.arrays[f"0/net/{name}"], value) for name, value in here.items())


def test_each_mistake_is_told_in_one_sentence(made: tuple[Lake, dict[str, Any]], fresh: Lake) -> None:
    lake, _ = made
    with pytest.raises(UserError, match="has 3"):
        specialists.run(lake, Settings(train=TRAIN, specialists=dataclasses.replace(KEEPING, folds=4)))
    with pytest.raises(UserError, match="no generalist"):
        specialists.run(fresh, Settings())


@pytest.fixture
def fresh(lake: Lake) -> Lake:
    filler(lake)(digits(4))
    return lake


def test_the_command_says_who_was_tried_and_what_they_bring(
    made: tuple[Lake, dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, summary = made
    file = tmp_path / "secondlook.toml"
    file.write_text(f'[lake]\nurl = "{lake.url}"\n')
    options = ["--settings", str(file), "--epochs", "3", "--folds", "2", "--confidence", "0.5"]
    assert cli.run(["specialists", *options]) == 0
    out = capsys.readouterr().out
    assert "3 / 5 / 8" in out
    assert "split test" in out
    assert f"{summary['kept']} of 3 are kept" in out
    assert cli.run(["specialists", *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == summary["model"]


def test_names_of_classes_are_shown_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    one = {
        "cluster": "[red]\n<script> / \x1b[31m", "classes": ["a", "b"], "level": 1, "parent": "x", "righted": 3, "wronged": 1,
        "sure": 0.9, "kept": False, "why": "[bold]no", "conditional": {"n": 0, "before": None, "after": None},
    }  # fmt: skip
    told(
        {"generalist": "g", "chose": 5, "specialists": [one], "left_out": [{"cluster": "[x]", "why": "[y]"}], "kept": 0}
    )
    out = capsys.readouterr().out
    assert "[red]" in out
    assert "<script>" in out
    assert "\x1b" not in out
    assert "[x]: not tried, [y]" in out
