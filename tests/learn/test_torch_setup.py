"""How many threads torch runs with."""

import os

import pytest
import torch

from secondlook.pipeline.learn.torch_setup import threads


@pytest.mark.parametrize(
    ("asked", "expected"), [("1", 1), ("", os.cpu_count()), ("0", os.cpu_count()), ("4,2", os.cpu_count())]
)
def test_the_environment_is_heeded(asked: str, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    before = torch.get_num_threads()
    with threads(0) as n:
        assert n == expected == torch.get_num_threads()
    with threads(2) as n:
        assert n == 2
    assert torch.get_num_threads() == before
