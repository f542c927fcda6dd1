"""One net by several processes, started by Spark: real ones, minutes of them, so in soak; the same work alone, always."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from secondlook.jobs.train import on_spark, together
from secondlook.pipeline.core.errors import UnavailableError
from secondlook.pipeline.learn.nets.family import NetSpec
from tests.learn.training.made import RECIPE, K, fitted, pictures

SPEC = NetSpec("resnet:4", K, 8, drop=0.2)


def written(folder: Path, spec: NetSpec = SPEC) -> str:
    """A task in a folder, as the made nets are fitted."""
    pixels, labels = pictures()
    together.write_task(str(folder), spec, RECIPE, "cpu", pixels, labels.numpy())
    return str(folder)


def test_one_process_does_the_work_and_again_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    url = written(tmp_path / "task")
    together.work(url)
    found = together.read(url)
    nets, losses = fitted(RECIPE, RECIPE.seed)
    assert found.losses == losses[0]
    for name, value in nets[0].state_dict().items():
        np.testing.assert_array_equal(found.weights[name], value.numpy())
    (tmp_path / "task" / together.DONE).unlink()
    together.work(url)  # the checkpoint is of the last epoch: nothing is fitted again
    assert together.read(url).losses == losses[0]


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pyspark leaves a pipe to be closed
def test_two_processes_of_spark_fit_as_one_does(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    spec = NetSpec("vit:tiny", K, 8)  # of the family's nets the one without batch statistics
    one, two = written(tmp_path / "one", spec), written(tmp_path / "two", spec)
    together.work(one)
    found = on_spark.fitted(spark, two, 2, local=True, gpu=False)
    np.testing.assert_allclose(found.losses, together.read(one).losses, atol=1e-5)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # as above
def test_a_failure_of_the_processes_is_told(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="the processes that fit a net together failed: "):
        on_spark.fitted(spark, str(tmp_path / "nothing"), 2, local=True, gpu=False)
