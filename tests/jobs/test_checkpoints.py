"""Checkpoints in the lake: whole or not at all, and a killed training ends as if nothing had happened."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from secondlook.jobs.lake import maintenance
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.train.checkpoints import Checkpoint, Checkpoints
from secondlook.pipeline.learn.training.kept import Kept
from tests.jobs.killed_fit import SLOW
from tests.learn.training.made import RECIPE, fitted, same

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkpoint(lake: Lake) -> Checkpoint:
    return Checkpoints(lake, "generalist-1").of("whole")


def kill_after_some_epochs(lake: Lake, checkpoint: Checkpoint, rng: random.Random) -> None:
    """Start the fit in a process of its own; SIGKILL it at a random moment after its first checkpoint is there."""
    process = subprocess.Popen([sys.executable, "-m", "tests.jobs.killed_fit", lake.root], cwd=ROOT)
    try:
        while checkpoint.kept() is None:
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 1.0))
    finally:
        process.kill()
        assert process.wait() == -signal.SIGKILL


def test_a_killed_fit_goes_on_and_ends_with_the_same_bytes(lake: Lake, checkpoint: Checkpoint) -> None:
    kill_after_some_epochs(lake, checkpoint, random.Random())  # noqa: S311 — any moment must do
    there = checkpoint.kept()
    assert there is not None
    assert 0 < there.facts["epoch"] < SLOW.epochs
    torch.set_num_threads(1)
    again, losses = fitted(SLOW, 3, 4, resume=there, keep=checkpoint.keep)
    undisturbed, undisturbed_losses = fitted(SLOW, 1, 2)
    assert losses == undisturbed_losses
    assert all(same(a, b) for a, b in zip(again, undisturbed, strict=True))
    left = list(Path(checkpoint.path).parent.iterdir())
    assert [file.name for file in left if file.suffix == ".safetensors"] == ["whole.safetensors"]


@pytest.mark.soak
def test_killed_again_and_again(lake: Lake, checkpoint: Checkpoint, record: Any) -> None:
    rng = random.Random(7)  # noqa: S311
    kills = 10
    for _ in range(kills):
        Checkpoints(lake, "generalist-1").remove()
        kill_after_some_epochs(lake, checkpoint, rng)
        ended = checkpoint.kept()
        again, losses = fitted(SLOW, 3, 4, resume=ended)
        undisturbed, undisturbed_losses = fitted(SLOW, 1, 2)
        assert losses == undisturbed_losses
        assert all(same(a, b) for a, b in zip(again, undisturbed, strict=True))
    record("kills_of_training", n=kills, wrong=0)


def test_what_is_kept_comes_back_as_it_was(checkpoint: Checkpoint) -> None:
    assert checkpoint.kept() is None
    kept: list[Kept] = []
    fitted(RECIPE, 1, keep=kept.append)
    for one in kept[:2]:
        checkpoint.keep(one)
    back = checkpoint.kept()
    assert back is not None
    assert back.facts == kept[1].facts
    assert back.arrays.keys() == kept[1].arrays.keys()
    for name, value in back.arrays.items():
        assert torch.equal(value, kept[1].arrays[name])
        assert value.dtype == kept[1].arrays[name].dtype
    assert [file.name for file in Path(checkpoint.path).parent.iterdir()] == ["whole.safetensors"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_torn_file_is_as_none(checkpoint: Checkpoint, share: float) -> None:
    kept: list[Kept] = []
    fitted(RECIPE, 1, keep=kept.append)
    checkpoint.keep(kept[0])
    file = Path(checkpoint.path)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert checkpoint.kept() is None


def test_who_dies_while_writing_leaves_what_was_there(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Kept] = []
    fitted(RECIPE, 1, keep=kept.append)
    checkpoint.keep(kept[0])

    def died(*paths: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", died)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.keep(kept[1])
    back = checkpoint.kept()
    assert back is not None
    assert back.facts == kept[0].facts


def test_gone_once_the_model_is_committed_or_swept(lake: Lake, checkpoint: Checkpoint) -> None:
    kept: list[Kept] = []
    fitted(RECIPE, 1, keep=kept.append)
    checkpoint.keep(kept[0])
    assert maintenance.sweep_weights(lake, [], grace_hours=24, dry_run=False)["files"] == 0
    assert maintenance.sweep_weights(lake, [], grace_hours=0, dry_run=False)["files"] == 1
    assert checkpoint.kept() is None
    checkpoint.keep(kept[0])
    checkpoints = Checkpoints(lake, "generalist-1")
    checkpoints.remove()
    checkpoints.remove()
    assert checkpoint.kept() is None
    assert checkpoints.of("whole").kept() is None
