"""The softmax over some of the classes: exact where all are drawn, and with the same optimum where few are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.nets.layers import Classifier
from secondlook.pipeline.learn.training.kept import Kept
from secondlook.pipeline.learn.training.loop import Learner, Shown, ask, fit
from secondlook.pipeline.learn.training.many_classes import inclusion, sampled, sampled_loss
from secondlook.pipeline.learn.training.pictures import Held, shuffled
from tests.learn.training.made import CPU, RECIPE, SIDE, K, N, pictures, same

ZIPF = (1 / torch.arange(1, 61)) / (1 / torch.arange(1, 61)).sum()
SHARES = torch.tensor([0.5, 0.2, 0.1, 0.1, 0.06, 0.04])


def shown(rows: int) -> Shown:
    return Shown(torch.arange(rows), torch.zeros(rows, 1))


def net(seed: int) -> Classifier:
    made = make(NetSpec("resnet:4", K, SIDE, drop=0.2), seed, CPU)
    assert isinstance(made, Classifier)
    return made


@pytest.mark.parametrize("n", [5, 20, 50, 60])
def test_classes_are_drawn_as_often_as_is_said(n: int) -> None:
    said = inclusion(ZIPF, n)
    assert float(said.sum()) == pytest.approx(n, abs=1e-4)
    waited = torch.empty(5000, 60).exponential_(generator=torch.Generator().manual_seed(0)) / ZIPF
    which = waited.topk(n, largest=False).indices.flatten()
    drawn = torch.bincount(which, minlength=60) / 5000
    np.testing.assert_allclose(said, drawn, atol=0.03)


def test_of_equal_shares_each_is_as_probable_as_it_should_be() -> None:
    np.testing.assert_allclose(inclusion(torch.full((1000,), 1e-3), 50), 0.05, rtol=1e-5)


def test_with_all_classes_drawn_it_is_the_plain_cross_entropy() -> None:
    rng = torch.Generator().manual_seed(1)
    last, seen = nn.Linear(4, 6), torch.randn(9, 4, generator=rng)
    labels = torch.randint(0, 6, (9,), generator=rng)
    found = sampled_loss(last, labels, 6, SHARES, rng)(seen, shown(9))
    torch.testing.assert_close(found, nn.functional.cross_entropy(last(seen), labels))


def test_the_same_probabilities_are_learned_though_frequent_classes_are_drawn_more_often() -> None:
    """A net that sees nothing learns the shares of the classes, by its biases alone; without the correction it would not."""
    rng = torch.Generator().manual_seed(2)
    last = nn.Linear(1, 60)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    labels = torch.multinomial(ZIPF.flip(0), 1500, replacement=True, generator=rng)
    loss = sampled_loss(last, labels, 30, ZIPF, rng)
    optimizer = torch.optim.Adam(last.parameters(), lr=0.05)
    total, steps = torch.zeros(60), 0
    for step in range(300):
        optimizer.zero_grad()
        loss(torch.zeros(1500, 1), shown(1500)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if step >= 150:
            total, steps = total + last.bias.detach(), steps + 1
    learned = torch.softmax(total / steps, dim=0)
    there = torch.bincount(labels, minlength=60) / 1500
    assert float((learned - there).abs().sum()) / 2 < 0.07  # total variation: 0.04, and 0.12 without the correction


def test_a_net_learns_by_some_of_its_classes_and_goes_on_with_the_same_bytes() -> None:
    pixels, labels = pictures()
    recipe = replace(RECIPE, epochs=10, colour=0.0)
    held = Held(pixels, shuffled(torch.arange(N), 1), 16, CPU)
    nets, kept = [net(1), net(2)], list[Kept]()
    learners: list[Learner] = [sampled(one, labels, 1, seed=5) for one in nets]
    losses = fit(learners[:1], held, recipe, CPU, keep=kept.append)
    assert losses[0][-1] < 0.7 * losses[0][0]
    logits = ask(nets[0], torch.from_numpy(pixels).permute(0, 3, 1, 2), recipe, CPU)
    assert (logits.argmax(dim=1) == labels).float().mean() > 0.8
    assert fit(learners[1:], held, recipe, CPU, resume=kept[4]) == losses
    assert same(*nets)
