"""Generalist and specialists as one model: what is put together by hand, and who is asked."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.specialists.combine import active, combined
from secondlook.pipeline.learn.specialists.fit import Specialist
from secondlook.pipeline.learn.specialists.together import Together

CPU = torch.device("cpu")


def pictures(n: int) -> Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (n, 3, 16, 16)).astype(np.uint8))


def changed(net: nn.Module, seed: int) -> nn.Module:
    other = copy.deepcopy(net)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        weight = other.get_parameter("last.weight")
        weight.add_(torch.randn(weight.shape, generator=rng))
    return other


class Counting(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.seen = net, 0

    def forward(self, shown: Tensor) -> Tensor:
        self.seen += len(shown)
        out: Tensor = self.net(shown)
        return out


def test_it_says_what_its_parts_put_together_say_and_asks_only_who_is_meant() -> None:
    generalist = changed(make(NetSpec("resnet:8", 6, 16), 1, CPU), 5).eval()
    nets = [Counting(changed(generalist, seed)).eval() for seed in (1, 2)]
    specialists = [Specialist(net, torch.tensor(classes)) for net, classes in zip(nets, [[0, 1], [1, 4]], strict=True)]
    shown = pictures(40)
    said = Together(generalist, specialists, 1).log_probs(shown)
    with torch.no_grad():
        p_g = torch.softmax(generalist(shown), 1)
        probs = [Specialist(one.net.net, one.members).log_probs(shown).exp() for one in specialists]  # type: ignore[arg-type]
    members = [one.members for one in specialists]
    asked = active(p_g, members, 1)
    assert 0 < int(asked.sum()) < 80
    assert [net.seen for net in nets] == asked.sum(0).tolist()
    expected = combined(p_g.double(), [one.double() for one in probs], members, asked).probs
    assert said.exp().numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_without_specialists_it_is_the_generalist_at_a_temperature() -> None:
    generalist = make(NetSpec("resnet:8", 6, 16), 1, CPU).eval()
    shown = pictures(4)
    with torch.no_grad():
        logits = generalist(shown)
    said = Together(generalist, [], 3, temperature=2.0).log_probs(shown)
    assert said.numpy() == pytest.approx(torch.log_softmax(logits / 2, 1).numpy(), abs=1e-6)


def test_mixed_precision_around_it_does_not_coarsen_what_is_put_together() -> None:
    rng = torch.Generator().manual_seed(1)
    p_g = torch.softmax(torch.randn(30, 9, generator=rng), 1)
    said = [torch.softmax(torch.randn(30, 4, generator=rng), 1), torch.softmax(torch.randn(30, 3, generator=rng), 1)]
    members, asked = [torch.tensor([0, 1, 2]), torch.tensor([2, 3])], torch.ones(30, 2, dtype=torch.bool)
    plain = combined(p_g, said, members, asked).probs
    with torch.autocast("cpu", torch.bfloat16):
        mixed = combined(p_g, said, members, asked).probs
    assert mixed.dtype == torch.float32
    assert mixed.numpy() == pytest.approx(plain.numpy(), abs=1e-6)
