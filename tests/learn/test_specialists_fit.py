"""A specialist: it begins as the generalist, sees half of its own, and speaks in the data's shares."""

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.specialists import fit
from secondlook.pipeline.learn.training.loop import Shown
from secondlook.pipeline.learn.training.pictures import Held, Order
from secondlook.pipeline.learn.training.recipe import Recipe

CPU = torch.device("cpu")
PLAIN = Recipe(epochs=2, batch=16, rate=0.05, smoothing=0.0, flip=False, shift=0.0)


class Bias(nn.Module):
    """Says the same of every picture: all that it can learn are shares of classes."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n_classes))

    def forward(self, shown: Tensor) -> Tensor:
        return self.logits.expand(len(shown), -1)


def data(n: int, n_classes: int) -> tuple[npt.NDArray[np.uint8], Tensor]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 16, 16, 3)).astype(np.uint8), torch.from_numpy(rng.integers(0, n_classes, n))


def test_it_begins_as_exactly_the_generalist() -> None:
    net = make(NetSpec("resnet:8", 6, 16), 1, CPU).eval()
    pixels, _ = data(5, 6)
    pictures = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    probs = torch.softmax(net(pictures), 1)
    said = fit.Specialist(net, torch.tensor([1, 4])).log_probs(pictures).exp()
    expected = torch.cat([probs[:, [1, 4]], probs[:, [0, 2, 3, 5]].sum(1, keepdim=True)], 1)
    assert said.detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-6)


@pytest.mark.parametrize(("share", "others"), [(0.5, 30), (0.75, 10), (0.25, 90)])
def test_an_epoch_shows_all_of_the_cluster_and_its_share_of_the_rest(share: float, others: int) -> None:
    inside, outside = torch.arange(30), torch.arange(30, 100)
    order = fit.mixed_order(inside, outside, share, seed=3)
    for epoch in range(3):
        rows = order(epoch)
        assert sorted(rows[rows < 30].tolist()) == list(range(30))
        assert int((rows >= 30).sum()) == others
        assert rows.tolist() == fit.mixed_order(inside, outside, share, seed=3)(epoch).tolist()
        assert rows.tolist() != fit.mixed_order(inside, outside, share, seed=4)(epoch).tolist()
        assert rows.tolist() != sorted(rows.tolist())


def test_no_picture_of_the_rest_comes_again_before_all_came() -> None:
    order = fit.mixed_order(torch.arange(30), torch.arange(30, 100), 0.5, seed=3)
    shown = torch.cat([rows[rows >= 30] for rows in (order(epoch) for epoch in range(7))]).tolist()
    assert set(Counter(shown).values()) == {3}  # 7 × 30 draws of 70
    first = torch.cat([rows[rows >= 30] for rows in (order(epoch) for epoch in range(2))]).tolist()
    assert len(set(first)) == 60


def test_a_specialist_speaks_in_the_datas_shares_though_it_was_shown_half_and_half() -> None:
    labels = torch.tensor([0] * 10 + [1] * 30 + [2] * 200 + [3] * 160)
    pixels = np.zeros((400, 4, 4, 3), np.uint8)
    recipe = Recipe(epochs=60, batch=80, rate=1.0, decay=0.0, smoothing=0.0, flip=False, shift=0.0)
    found = fit.fit(
        Bias(4), [0, 1], labels, torch.arange(400), 4, lambda order: Held(pixels, order, 80, CPU), recipe, CPU, soft=0.0
    )
    said = found.log_probs(torch.zeros(1, 3, 4, 4)).exp()[0]
    assert said.tolist() == pytest.approx([0.025, 0.075, 0.9], abs=0.004)


def test_what_a_specialist_is_sure_of_it_says_as_the_generalist_does() -> None:
    # Each picture says its class, so that nets end at what they are told: with smoothing 0.1 over 10 classes.
    labels = torch.arange(10).repeat(30)
    pixels = np.repeat(labels.numpy().astype(np.uint8)[:, None, None, None], 3, axis=3)

    class Told(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.zeros(10, 10))

        def forward(self, shown: Tensor) -> Tensor:
            return self.logits[shown[:, 0, 0, 0].long()]

    recipe = Recipe(epochs=200, batch=60, rate=5.0, decay=0.0, smoothing=0.1, flip=False, shift=0.0)
    found = fit.fit(
        Told(), [0, 1], labels, torch.arange(300), 10, lambda order: Held(pixels, order, 60, CPU), recipe, CPU, soft=0.0
    )
    said = found.probs(torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 1, 1)).detach().numpy()
    assert said[0] == pytest.approx([0.91, 0.01, 0.08], abs=0.004)
    assert said[1] == pytest.approx([0.01, 0.91, 0.08], abs=0.004)
    assert said[2:] == pytest.approx(np.tile([0.01, 0.01, 0.98], (8, 1)), abs=0.004)
    assert said[:, :2].sum(1).mean() == pytest.approx(0.2, abs=0.004)  # the cluster's share


def test_the_loss_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(2)
    logits, theirs, labels = rng.normal(size=(7, 5)), rng.normal(size=(7, 5)), rng.integers(0, 5, 7)
    shift, smoothing, soft, members, rest = 0.7, 0.1, 0.3, [1, 3], [0, 2, 4]
    total = 0.0
    for ours, taught, label in zip(logits, theirs, labels, strict=True):
        weight = np.exp(ours)
        own = np.array([weight[1], weight[3], weight[rest].sum() * math.exp(shift)])
        own /= own.sum()
        target = np.full(5, smoothing / 5)
        target[label] += 1 - smoothing
        moved = np.array([target[1], target[3], target[rest].sum() * math.exp(shift)])
        total -= float((moved / moved.sum() * np.log(own)).sum())
        if label not in members:
            p, q = np.exp(taught[rest]) / np.exp(taught[rest]).sum(), weight[rest] / weight[rest].sum()
            total += soft * float((p * np.log(p / q)).sum())
    loss = fit.specialist_loss(
        torch.tensor(members), torch.from_numpy(labels), 5, shift, smoothing=smoothing, soft=soft
    )
    shown = Shown(torch.arange(7), torch.zeros(7, 3, 1, 1), {fit.GENERALIST: torch.from_numpy(theirs)})
    assert float(loss(torch.from_numpy(logits), shown)) == pytest.approx(total / 7, rel=1e-6)


def fitted(soft: float, seed: int = 7) -> tuple[nn.Module, fit.Specialist, npt.NDArray[np.uint8]]:
    pixels, labels = data(90, 4)
    net = make(NetSpec("resnet:8", 4, 16), 1, CPU)
    recipe = Recipe(epochs=3, batch=16, rate=0.05, seed=seed)

    def held(order: Order) -> Held:
        return Held(pixels, order, 16, CPU)

    return net, fit.fit(net, [2, 0], labels, torch.arange(90), 4, held, recipe, CPU, soft=soft), pixels


def test_the_generalist_stays_as_it_is_and_the_same_seed_gives_the_same_bytes() -> None:
    net, first, _ = fitted(0.5)
    fresh = make(NetSpec("resnet:8", 4, 16), 1, CPU).state_dict()
    assert all(torch.equal(value, fresh[name]) for name, value in net.state_dict().items())
    _, again, _ = fitted(0.5)
    _, other, _ = fitted(0.5, seed=8)
    weights = first.net.state_dict()
    assert all(torch.equal(value, again.net.state_dict()[name]) for name, value in weights.items())
    assert not torch.equal(weights["last.weight"], other.net.state_dict()["last.weight"])
    assert not torch.equal(weights["last.weight"], fresh["last.weight"])
    assert first.members.tolist() == [0, 2]


def test_soft_targets_hold_what_the_generalist_knows_of_the_rest() -> None:
    labels = torch.tensor([0] * 40 + [1] * 40 + [2] * 200 + [3] * 120)
    pixels = np.zeros((400, 4, 4, 3), np.uint8)
    recipe = Recipe(epochs=40, batch=80, rate=0.5, decay=0.0, smoothing=0.0, flip=False, shift=0.0)
    net = Bias(4)
    with torch.no_grad():
        net.logits.add_(torch.tensor([0.0, 0.0, -1.0, -3.0]))
    odds = []
    for soft in (0.0, 1.0):
        found = fit.fit(
            net,
            [0, 1],
            labels,
            torch.arange(400),
            4,
            lambda order: Held(pixels, order, 80, CPU),
            recipe,
            CPU,
            soft=soft,
        )
        logits = found.net(torch.zeros(1, 3, 4, 4))[0].detach()
        odds.append(float(logits[2] - logits[3]))
        assert found.log_probs(torch.zeros(1, 3, 4, 4))[0, 2].exp().item() == pytest.approx(0.8, abs=0.01)
    assert odds[0] > 2.7  # the dustbin grew where it was large already
    assert odds[1] == pytest.approx(2.0, abs=0.1)


def test_a_cluster_of_all_classes_has_nothing_beside_it() -> None:
    assert fit.shares(10, 0, 0.5) == (0, 0.0)
    assert sorted(fit.mixed_order(torch.arange(5), torch.arange(0), 0.5, 1)(0).tolist()) == [0, 1, 2, 3, 4]
