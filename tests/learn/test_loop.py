"""Heads are fitted by the one loop as ten plain lines of torch would fit them, to the byte."""

import copy
import math

import pytest
import torch
from torch import nn

from secondlook.pipeline.learn import loop


def in_ten_lines(
    net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor, epochs: int, batch: int, counts: torch.Tensor
) -> None:
    """AdamW for all weights, a rate that rises and falls, orders of one generator."""
    rng = torch.Generator().manual_seed(5)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    steps, step = epochs * math.ceil(len(inputs) / batch), 0
    warm = round(loop.WARM_UP * steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs), generator=rng).split(batch):  # type: ignore[no-untyped-call]
            share = (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))
            optimizer.param_groups[0]["lr"] = 0.01 * share
            each = nn.functional.cross_entropy(net(inputs[rows]), labels[rows], label_smoothing=0.1, reduction="none")
            optimizer.zero_grad()
            (each * counts[rows]).mean().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            step += 1


@pytest.mark.parametrize("n", [64, 70])
def test_as_ten_lines_of_torch(n: int) -> None:
    rng = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(n, 6, generator=rng), torch.randint(0, 4, (n,), generator=rng)
    counts = torch.rand(n, generator=rng)
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    plain = copy.deepcopy(net)
    in_ten_lines(plain, inputs, labels, 3, 16, counts)
    told: list[int] = []
    loop.fit(
        net, inputs, labels, torch.arange(n), epochs=3, batch=16, rate=0.01, decay=0.1, smoothing=0.1, seed=5,
        importance=counts, advance=told.append,
    )  # fmt: skip
    assert sum(told) == 3 * n
    for name, value in net.state_dict().items():
        assert torch.equal(value, plain.state_dict()[name]), name


@pytest.mark.parametrize("n", [1, 17])
def test_a_row_that_is_alone_in_its_batch_waits(n: int) -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    told: list[int] = []
    loop.fit(
        net, torch.randn(n, 2), torch.zeros(n, dtype=torch.int64), torch.arange(n),
        epochs=2, batch=16, rate=0.01, decay=0.1, smoothing=0.0, seed=5, advance=told.append,
    )  # fmt: skip
    assert told == ([] if n == 1 else [16, 16])
