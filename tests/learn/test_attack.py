"""Attacks: by hand on a linear model, within their bounds, and none stronger than it says."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.nets import family
from secondlook.pipeline.learn.students.attack import attacked, fgsm, pgd

CPU = torch.device("cpu")


class Linear(nn.Module):
    """Two classes; the first one's logit is the weighted sum of pixels."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, shown: Tensor) -> Tensor:
        first = (shown * self.weights).sum(dim=(1, 2, 3)) / 255
        return torch.stack([first, torch.zeros_like(first)], dim=1)


def linear() -> tuple[Linear, Tensor]:
    weights = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    weights[0, 0, 0, 0] = 0.0
    return Linear(weights), weights


def pictures(n: int, side: int = 4, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (n, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Module, Tensor, Tensor]:
    """A tiny net that tells dark pictures with a bright corner from others, fitted by hand."""
    rng = torch.Generator().manual_seed(3)
    shown = torch.randint(60, 190, (64, 3, 16, 16), generator=rng).float()
    labels = torch.arange(64) % 2
    shown[labels == 1, :, :4, :4] += 40
    net = family.make(family.NetSpec("resnet:8", 2, 16), 0, CPU)
    optimizer = torch.optim.AdamW(net.parameters(), 0.01)
    for _ in range(12):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(shown), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net.eval(), shown.round().to(torch.uint8), labels


def losses(net: nn.Module, shown: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return nn.functional.cross_entropy(net(shown.float()), labels, reduction="none")


def test_fgsm_moves_each_pixel_against_the_label_as_the_weights_say() -> None:
    net, weights = linear()
    middle = torch.full((2, 3, 4, 4), 100.0)
    changed = fgsm(net, middle, torch.tensor([0, 1]), 3)
    assert torch.equal(changed[0] - 100, -3 * weights[0].sign())
    assert torch.equal(changed[1] - 100, 3 * weights[0].sign())


def test_on_a_linear_model_pgd_ends_where_fgsm_does() -> None:
    net, weights = linear()
    shown, labels = pictures(8), torch.arange(8) % 2
    one, many = fgsm(net, shown, labels, 4), pgd(net, shown, labels, 4, steps=10)
    moved = (weights != 0).expand_as(one)
    assert torch.allclose(one[moved], many[moved])


@pytest.mark.parametrize("epsilon", [1, 2.5, 8])
def test_no_pixel_moves_further_than_it_may_and_none_leaves_its_range(
    trained: tuple[nn.Module, Tensor, Tensor], epsilon: float
) -> None:
    net, _, labels = trained
    shown = pictures(64, 16)
    for changed in (fgsm(net, shown, labels, epsilon), pgd(net, shown, labels, epsilon, steps=3, step=100.0)):
        assert float((changed - shown.float()).abs().max()) <= epsilon + 1e-4
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 255
        assert not torch.equal(changed, shown.float())


def test_no_epsilon_changes_nothing(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, shown, labels = trained
    for changed in (fgsm(net, shown, labels, 0), pgd(net, shown, labels, 0)):
        assert torch.equal(changed, shown.float())


def test_several_small_steps_find_more_than_one_large_one(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, shown, labels = trained
    plain, one, many = (
        losses(net, changed, labels)
        for changed in (shown, fgsm(net, shown, labels, 6), pgd(net, shown, labels, 6, steps=20))
    )
    assert float(many.mean()) >= float(one.mean()) > float(plain.mean())
    assert bool((many >= plain).all())  # nothing gets easier
    assert bool((many > one).any())


def test_of_all_steps_the_worst_picture_is_kept(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    """Steps that are far too large jump about: more of them still find no less."""
    net, shown, labels = trained
    few, more, most = (losses(net, pgd(net, shown, labels, 6, steps=steps, step=12.0), labels) for steps in (1, 4, 9))
    assert bool((more >= few).all())
    assert bool((most >= more).all())
    assert bool((most > few).any())


def test_the_same_seed_gives_the_same_pictures(trained: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, shown, labels = trained
    first, same, other = (pgd(net, shown, labels, 4, steps=2, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_attacked_pictures_are_files_again_in_whole_numbers_within_reach(
    trained: tuple[nn.Module, Tensor, Tensor],
) -> None:
    net, shown, labels = trained
    pixels = shown.permute(0, 2, 3, 1).contiguous().numpy()
    before = [weights.clone() for weights in net.parameters()]
    changed = attacked(net, pixels, labels.numpy(), partial(pgd, epsilon=5, steps=4), CPU, size=10)
    assert changed.dtype == np.uint8
    assert changed.shape == pixels.shape
    assert np.abs(changed.astype(int) - pixels).max() == 5
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
    assert all(weights.grad is None or not weights.grad.isnan().any() for weights in net.parameters())
    assert len(attacked(net, pixels[:0], labels.numpy()[:0], partial(fgsm, epsilon=5), CPU)) == 0
