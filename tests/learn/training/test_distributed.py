"""Several processes that fit together: against one process, with real processes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.training.distributed import ALONE, Group, group
from tests.learn.training.made import CPU, RECIPE
from tests.learn.training.together import fit_in

ROOT = Path(__file__).parents[3]


def test_two_processes_fit_as_one_does(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "tests.learn.training.together", str(tmp_path)],
        cwd=ROOT, timeout=120, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    losses, nets, _ = fit_in()
    assert [one["size"] for one in told] == [2, 2]
    assert told[0]["losses"] == told[1]["losses"]
    np.testing.assert_allclose(told[0]["losses"], losses, atol=1e-5)
    assert [one["kept"] for one in told] == [RECIPE.epochs, 0]  # one of them writes
    for number, net in enumerate(nets):
        for name, value in net.state_dict().items():
            assert told[0]["weights"][number][name] == told[1]["weights"][number][name]
            np.testing.assert_allclose(told[0]["weights"][number][name], value, atol=1e-4)


@given(n=st.integers(5, 40), size=st.integers(1, 5))
def test_shares_are_all_pictures_once_and_weighed_means_are_the_mean(n: int, size: int) -> None:
    values = torch.rand(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    groups = [Group(rank, size) for rank in range(size)]
    shares = [values[one.part] for one in groups]
    assert sorted(torch.cat(shares).tolist()) == sorted(values.tolist())
    means = [one.weight(n) * share.mean() for one, share in zip(groups, shares, strict=True)]
    assert float(sum(means) / size) == pytest.approx(float(values.mean()))


def test_fewer_pictures_than_processes_are_refused() -> None:
    with pytest.raises(UserError, match="a step of 2 pictures can't be shared by 3 processes"):
        Group(2, 3).weight(2)


def test_alone_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with group(CPU) as one:
        assert one == ALONE
        assert torch.equal(one.mean(torch.ones(2)), torch.ones(2))
        net = torch.nn.Linear(1, 1)
        assert one.joined(net) is net
