"""Training nets by name and backbones as a whole, in a lake: what is written, what comes back, what is known again."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from secondlook.jobs import cli
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, digest
from secondlook.jobs.terminal import console
from secondlook.jobs.train import checkpoints, features, fitting, stored, train, training_set
from secondlook.jobs.train.inputs import inputs_of
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id
from secondlook.pipeline.core.models_config import TrainSettings
from secondlook.pipeline.learn import batches, fold_nets, generalist
from secondlook.pipeline.learn.calibration import at_temperature
from secondlook.pipeline.learn.dynamics import Margins
from secondlook.pipeline.learn.torch_setup import threads
from tests.jobs.conftest import filler
from tests.jobs.test_train import pictures

Fill = Callable[..., dict[str, str]]
CPU = torch.device("cpu")
NET = Settings(train=TrainSettings(backbone="resnet:4", folds=2, epochs=2, image_px=12, batch=16, rate=0.05))


def changed(settings: Settings, **fields: Any) -> Settings:
    return dataclasses.replace(settings, train=dataclasses.replace(settings.train, **fields))


def pixels_of(some: list[tuple[Any, ...]], side_px: int) -> Any:
    read = [batches.read(data, side_px, features.limits(Settings().ingest)) for _, _, data, *_ in some]
    return np.stack(read)  # type: ignore[arg-type]


LABELED = pictures(40)
NEW = [*pictures(4, 300, label=False), *pictures(4, 200, split="test")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake with a net of two folds."""
    lake = Lake(str(tmp_path_factory.mktemp("trained") / "lake"), create=True)
    filler(lake)([*LABELED, *NEW])
    train.run(lake, NET)
    return lake


def test_a_net_by_name_is_trained_stored_and_asked_again(trained: Lake) -> None:
    version = trained.at()
    model = dataset.newest_model(trained, version)
    metrics = json.loads(model.metrics)
    assert metrics["mode"] == "scratch"
    assert (metrics["n"], metrics["held_out"], metrics["unlabeled"], model.backbone) == (40, 4, 4, "resnet:4")
    loaded = stored.load(trained, model, CPU)
    assert (loaded.name, loaded.classes, loaded.image_px) == (model.name, ("across", "upright"), 12)
    rows = {row["content_id"]: row for row in dataset.predictions(trained, version, model.name).to_pylist()}
    vectors = {row["content_id"]: row["vector"] for row in dataset.embeddings(trained, version, model.name).to_pylist()}
    assert len(rows) == len(vectors) == 48
    embedded, probs = loaded.score(pixels_of(NEW, 12))
    for (_, _, data, *_), seen, said in zip(NEW, embedded, probs, strict=True):
        row = rows[content_id(data)]
        assert row["fold"] == -1
        assert dict(zip(row["classes"], row["probs"], strict=True)) == pytest.approx(dict(enumerate(said)), abs=1e-4)
        assert vectors[content_id(data)] == pytest.approx(seen.tolist(), abs=1e-4)


def test_the_nets_of_a_stored_model_say_what_the_lake_says(trained: Lake) -> None:
    """Each of the pictures of its fold, that it has not seen; and all together, evened out, of what none has seen."""
    version = trained.at()
    loaded = stored.load(trained, dataset.newest_model(trained, version), CPU)
    assert loaded.net is not None
    assert len(loaded.fold_nets) == 2
    folds = stored.folds_by_content(trained, version, loaded.name)
    said = [_asked(net, LABELED) for net in loaded.fold_nets]
    rows = {row["content_id"]: row for row in dataset.predictions(trained, version, loaded.name).to_pylist()}
    for place, (_, _, data, *_) in enumerate(LABELED):
        row = rows[content_id(data)]
        assert row["fold"] == folds[content_id(data)] >= 0
        assert row["classes"][0] == said[row["fold"]][place].argmax()
    mean = sum(_asked(net, NEW) for net in loaded.fold_nets) / 2
    assert loaded.score(pixels_of(NEW, 12))[1] == pytest.approx(at_temperature(mean, loaded.temperature), abs=1e-5)


def _asked(net: Any, some: list[tuple[Any, ...]]) -> Any:
    with torch.inference_mode():
        return torch.softmax(net(torch.from_numpy(pixels_of(some, 12)).permute(0, 3, 1, 2)), 1).numpy()


def test_models_of_heads_and_the_small_net_are_loaded_too(lake: Lake, fill: Fill, backbone: str) -> None:
    fill(pictures(30))
    for settings, nets in ((changed(NET, backbone="small"), 2), (changed(NET, backbone=backbone, image_px=32), 0)):
        train.run(lake, settings)
        loaded = stored.load(lake, dataset.newest_model(lake, lake.at()), CPU)
        assert (loaded.net is not None, len(loaded.fold_nets)) == (nets > 0, nets)
        assert loaded.score(pixels_of(pictures(3), loaded.image_px))[1].sum(axis=1) == pytest.approx(
            np.ones(3), abs=1e-4
        )
        assert loaded.temperature > 0
        kept = json.loads(Path(lake.root, dataset.newest_model(lake, lake.at()).path, "model.json").read_text())
        assert kept["format"] == 1  # what older versions of the program read


@pytest.fixture
def backbone(tmp_path: Path) -> str:
    from transformers import ResNetConfig, ResNetModel

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    ResNetModel(ResNetConfig(**sizes)).save_pretrained(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def test_a_backbone_that_was_tuned_needs_its_folder_no_more(lake: Lake, fill: Fill, backbone: str) -> None:
    import shutil

    fill(pictures(24))
    summary = train.run(lake, changed(NET, backbone=backbone, mode="finetune", image_px=32, epochs=1, refits=0))
    shutil.rmtree(backbone)
    model = dataset.newest_model(lake, lake.at())
    loaded = stored.load(lake, model, CPU)
    assert (model.name, loaded.facts["mode"]) == (summary["model"], "finetune")
    assert loaded.score(pixels_of(pictures(2), 32))[1].shape == (2, 2)


def test_a_training_that_was_killed_goes_on_and_ends_with_the_same_bytes(
    lake: Lake, fill: Fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fitting, "SELDOM_S", 0.0)
    other = Lake(str(tmp_path / "other"), create=True)
    fill(pictures(32))
    filler(other)(pictures(32))
    whole = train.run(other, NET)
    inputs = inputs_of(NET, lake.at(), [])
    name = f"generalist-{digest(inputs)[:12]}"
    data = training_set.load(lake, lake.at(), NET.lint, 2)
    pixels, readable = features.pixels(lake, lake.at(), data.content_ids, 12, NET.ingest)
    folds = fitting.folds_of(data, readable, NET.train)
    kept = checkpoints.Checkpoints(lake, name)
    fitter = generalist.plan(NET.train, 2).fitter(pixels, data.labels, CPU, checkpoint=kept.of)
    steps: list[int] = []

    def killed(n: int) -> None:
        steps.append(n)
        if len(steps) == 2:
            raise KeyboardInterrupt

    one = fold_nets.Fit("0.1", np.flatnonzero(folds != 1), 701, 2, watch=Margins(32))
    with threads(1), pytest.raises(KeyboardInterrupt):  # as fits side by side have: sums depend on how they are cut up
        fitter.fit(one, killed)
    assert kept.of("0.1").kept() is not None
    assert "goes on" not in capsys.readouterr().err
    summary = train.run(lake, NET)
    assert "interrupted before: it goes on from what was kept" in capsys.readouterr().err
    assert summary["accuracy_given"] == whole["accuracy_given"]
    made = [
        Path(at.root, dataset.newest_model(at, at.at()).path, "weights.safetensors").read_bytes()
        for at in (lake, other)
    ]
    assert made[0] == made[1]
    assert not Path(lake.root, "models", summary["model"], checkpoints.FOLDER).exists()


def test_models_of_before_there_were_modes_are_found_again(lake: Lake, fill: Fill) -> None:
    """What decides the outcome of the small net and of heads has the fields that it had, whatever whole nets take."""
    fill(pictures(30))
    version = lake.at()
    before = {"backbone", "image_px", "folds", "refits", "batch", "top_k", "device", "seed"}
    small, heads = changed(NET, backbone="small"), changed(NET, backbone="some/model")
    assert inputs_of(small, version, [])["train"].keys() == before | {"epochs"}
    assert inputs_of(heads, version, [])["train"].keys() == before
    for settings in (small, heads):
        meant = changed(settings, flip=False, optimizer="adamw", smoothing=0.3, mode=generalist.mode_of(settings.train))
        assert inputs_of(meant, version, []) == inputs_of(settings, version, [])
    assert inputs_of(changed(NET, mode="scratch"), version, []) == inputs_of(NET, version, [])
    for field, value in {"flip": False, "optimizer": "adamw", "smoothing": 0.3, "rate": 0.1, "epochs": 3}.items():
        assert inputs_of(changed(NET, **{field: value}), version, []) != inputs_of(NET, version, []), field
    tuned = changed(heads, mode="finetune")
    assert inputs_of(tuned, version, []) != inputs_of(changed(heads, mode="scratch"), version, [])


def test_the_verb_takes_a_mode_and_refuses_what_does_not_go_together(
    lake: Lake, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(pictures(24))
    words = ["train", "--lake", lake.root, "--backbone", "resnet:4"]
    assert cli.run([*words, "--mode", "scratch", "--folds", "2", "--epochs", "1", "--image-px", "12", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["backbone"] == "resnet:4"
    assert "fitting: " in said.err
    assert cli.run([*words, "--mode", "frozen"]) == 2
    assert "there is nothing in it to freeze" in capsys.readouterr().err
    assert cli.run([*words, "--mode", "thawed"]) == 2
    assert "unknown [train] mode 'thawed'" in capsys.readouterr().err
    assert cli.run([*words, "--score-only", "--mode", "scratch"]) == 2
    assert "leave out --backbone, --mode" in capsys.readouterr().err
    assert lake.at().job == "train"


def test_a_net_is_not_fitted_to_a_single_picture(lake: Lake, fill: Fill) -> None:
    fill(pictures(2))
    with pytest.raises(
        UserError, match="takes at least 2 labeled pictures to learn from, and there is 1 beside a fold"
    ):
        train.run(lake, NET)


def test_progress_tells_epochs_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "LOG_EVERY_S", 0.0)
    with console.progress("fitting", 4000, "pictures", 8) as advance:
        advance(1000)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("fitting: 1,000 of 4,000 pictures, epoch 3 of 8, ")
    assert said[0].endswith("/s, 0 s left")
    assert [console._duration(seconds) for seconds in (40, 720, 12600)] == ["40 s", "12 min", "3.5 h"]
