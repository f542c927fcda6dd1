"""The area under the margin: by hand, and on labels that were made wrong."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from secondlook.pipeline.learn import loop
from secondlook.pipeline.learn.dynamics import Margins, on_scale_of


def test_margins_by_hand() -> None:
    margins = Margins(4)
    margins(torch.tensor([2, 0]), torch.tensor([[1.0, 3.0, 2.0], [5.0, 0.0, 4.5]]), torch.tensor([1, 1]))
    margins(torch.tensor([2]), torch.tensor([[-6.0, -1.0, -4.0]]), torch.tensor([1]))
    assert margins.area() == pytest.approx([-5.0, np.nan, 2.0, np.nan], nan_ok=True)


def test_margins_of_several_fits_add_up() -> None:
    first, second = Margins(3), Margins(3)
    first(torch.tensor([0, 1]), torch.tensor([[2.0, 0.0], [1.0, 0.0]]), torch.tensor([0, 0]))
    second(torch.tensor([0, 2]), torch.tensor([[4.0, 0.0], [0.0, 7.0]]), torch.tensor([0, 0]))
    assert (first + second).area() == pytest.approx([3.0, 1.0, -7.0])
    assert first.area() == pytest.approx([2.0, 1.0, np.nan], nan_ok=True)


def test_on_scale_of_keeps_the_order_and_takes_the_distribution() -> None:
    rng = np.random.default_rng(0)
    values, reference = rng.normal(size=50).astype(np.float32), rng.exponential(size=50).astype(np.float32)
    moved = on_scale_of(values, reference)
    assert (np.argsort(moved) == np.argsort(values)).all()
    assert (np.sort(moved) == np.sort(reference)).all()


def test_on_scale_of_leaves_out_what_is_not_there() -> None:
    values = np.array([1.0, np.nan, 3.0, 2.0], np.float32)
    reference = np.array([10.0, 20.0, np.nan, 40.0], np.float32)
    assert on_scale_of(values, reference) == pytest.approx([10.0, np.nan, np.nan, 40.0], nan_ok=True)


def noisy(n: int = 400) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Points around four centres, their labels, and which of these are wrong."""
    rng = np.random.default_rng(3)
    clean, wrong = np.arange(n) % 4, rng.random(n) < 0.15
    points = rng.normal(0, 2.0, (4, 6))[clean] + rng.normal(0, 1.0, (n, 6))
    return points.astype(np.float32), np.where(wrong, (clean + 1) % 4, clean), wrong


def test_a_net_resists_wrong_labels_that_it_is_told() -> None:
    points, labels, wrong = noisy()
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 4))
    margins, seen = Margins(len(labels)), []

    def watch(rows: torch.Tensor, logits: torch.Tensor, told: torch.Tensor) -> None:
        seen.append(rows)
        assert (told == torch.from_numpy(labels)[rows]).all()
        margins(rows, logits, told)

    loop.fit(
        net, torch.from_numpy(points), torch.from_numpy(labels), torch.arange(300), epochs=10, batch=32, rate=1e-2,
        decay=1e-2, smoothing=0.1, seed=1, watch=watch,
    )  # fmt: skip
    area = margins.area()
    assert np.isnan(area[300:]).all()
    assert np.median(area[:300][wrong[:300]]) < np.median(area[:300][~wrong[:300]]) - 1.5
    steps = 10 * 10
    assert len(seen) == steps - round(loop.WARM_UP * steps)
