"""A process that finds clusters, makes specialists or teaches students is killed around its commit: the next run heals the lake."""

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from secondlook.jobs.lake import gc
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train import train
from secondlook.jobs.train.checkpoints import FOLDER
from secondlook.pipeline.core.config import LakeSettings, Settings
from secondlook.pipeline.core.models_config import ClusterSettings, DistillSettings, SpecialistSettings, TrainSettings
from tests.faults.dying import JOBS, die
from tests.jobs.conftest import filler

SETTINGS = Settings(
    train=TrainSettings(backbone="quick:8", image_px=16, folds=2, refits=0, epochs=2, batch=32, threads=1),
    clusters=ClusterSettings(n=2, draws=2),
    specialists=SpecialistSettings(epochs=1, confidence=0.5),
    distill=DistillSettings(students="quick:4", epochs=2),
)
Rows = dict[str, list[dict[str, Any]]]
OF_A_RUN = ("time", "path", "seq")  # when, where and after how much else it was made


def rows(lake: Lake) -> Rows:
    """What the newest version shows of models, but for what is of one run alone."""
    version = lake.at()
    tables = [name for name in ("models", "predictions", "clusters") if name in version.tables]
    return {name: [_row(row) for row in lake.latest(name, version).to_pylist()] for name in tables}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in row.items() if name not in OF_A_RUN}
    if "metrics" in told:
        told["metrics"] = {name: value for name, value in json.loads(told["metrics"]).items() if name != "seconds"}
    return told


def files(lake: Lake) -> dict[str, bytes]:
    """Weights, ONNX files and checkpoints of all attempts that left some, by model, attempt and name."""
    found = sorted(Path(lake.root, "models").rglob("*.safetensors")) + sorted(Path(lake.root, "models").rglob("*.onnx"))
    return {f"{path.parents[1].name}/{path.parent.name}/{path.name}": path.read_bytes() for path in found}


def by_model(found: dict[str, bytes]) -> dict[str, bytes]:
    """Files of models, whichever attempt they are of; who is killed after the commit leaves checkpoints, too, until `gc`."""
    parts = [(name.split("/"), data) for name, data in found.items()]
    return {f"{model}/{file}": data for (model, attempt, file), data in parts if attempt != FOLDER}


def killed(url: str, job: str, when: str) -> None:
    """The job in a process of its own, which dies."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["tests.faults.dying", "torch", "onnxruntime"])
    process = server.Process(target=die, args=(url, SETTINGS, job, when))
    process.start()
    process.join(300)
    assert process.exitcode == -signal.SIGKILL


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, picture: Callable[..., bytes]) -> Lake:
    """A lake with a generalist of four classes of 24 pictures each, six of them in the split test."""
    lake = Lake(str(tmp_path_factory.mktemp("kill") / "lake"), create=True)
    filler(lake)([
        (f"{at:03d}.png", "abcd"[at % 4], picture(at % 8 + 100 * (at // 8), 16, 16), {"split": "test" if at % 4 == at // 4 % 4 else "train"})
        for at in range(96)
    ])  # fmt: skip
    train.run(lake, SETTINGS)
    return lake


def restored(lake: Lake, kept: Path) -> Lake:
    lake.close()
    shutil.rmtree(lake.root)
    shutil.copytree(kept, lake.root)
    return Lake(lake.root)


def test_killed_around_the_commit_of_any_job_of_models(trained: Lake, tmp_path: Path) -> None:
    lake = trained
    for job, run in JOBS.items():
        kept = tmp_path / job
        shutil.copytree(lake.root, kept)
        before = rows(lake)
        killed(lake.root, job, "after")
        lake = Lake(lake.root)
        after, versions = rows(lake), len(lake.versions.all())
        assert after != before, job
        run(lake, SETTINGS)
        assert len(lake.versions.all()) == versions, f"{job} was done"
        made = by_model(files(lake))
        lake = restored(lake, kept)
        killed(lake.root, job, "before")
        lake = Lake(lake.root)
        assert rows(lake) == before, job
        run(lake, SETTINGS)
        assert rows(lake) == after, job
        gc.run(lake, LakeSettings(), grace_hours=0)
        left = files(lake)
        assert by_model(left) == made, f"{job}: the same bytes"
        assert len(left) == len(made), f"{job}: once each, and no checkpoints"
        named = set(lake.latest("models", lake.at(), ["path"])["path"].to_pylist())
        assert {os.path.dirname(f"models/{name}") for name in left} <= named
