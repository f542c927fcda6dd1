"""Channels that are cut out: fewer weights and multiply-adds, and where they were zero the same answers as before."""

import copy

import pytest
import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.students.cost import cost
from secondlook.pipeline.learn.students.prune import groups, pruned, shaped, sparse, zeroed
from tests.learn.students.made import SIDE, digits, learned, made, shown

NETS = ("quick:16", "resnet-2:16", "mobilenet-v1:0.5", "squeezenet:0.5", "short")


@pytest.mark.parametrize(("name", "by"), [*((name, "l1") for name in NETS), ("resnet-2:16", "scale")])
def test_what_is_cut_out_first_is_what_does_nothing(name: str, by: str) -> None:
    """Half of the channels of each layer give zeros: without them the net answers as it did."""
    net = made(name)
    with torch.no_grad():
        net.train()(shown(digits()[0][:40]))
    net.eval()
    state = net.state_dict()
    for channels in groups(net, SIDE):
        n = len(state[channels.makers[0]])
        silent = torch.randperm(n, generator=torch.Generator().manual_seed(n))[: n // 2]
        for key, axis in channels.indexed:
            if axis == 0 and not key.endswith(("running_mean", "running_var")):
                state[key][silent] = 0
    smaller = pruned(net, 0.5, SIDE, by).eval()
    pictures = shown(digits()[0][:20])
    with torch.no_grad():
        assert torch.allclose(smaller(pictures), net(pictures), atol=1e-4)
    before, after = cost(net, SIDE), cost(smaller, SIDE)
    assert after.parameters < 0.8 * before.parameters
    assert after.multiply_adds < 0.8 * before.multiply_adds


def test_by_hand() -> None:
    """Of 16 filters the 8 with the least absolute weights go, with their places in all that comes after."""
    first, last = nn.Conv2d(3, 16, 3, bias=False), nn.Conv2d(16, 5, 1)
    body = nn.Sequential(first, nn.BatchNorm2d(16), nn.ReLU(), last)
    net = nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2))
    order = torch.randperm(16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        first.weight.copy_((1.0 + order).view(16, 1, 1, 1) * torch.ones(16, 3, 3, 3) * (-1) ** torch.arange(3))
        last.weight.copy_(torch.arange(16).view(1, 16, 1, 1) * torch.ones(5, 16, 1, 1))
    smaller = pruned(net, 0.5, 8)
    kept = [place for place in range(16) if order[place] >= 8]
    state = smaller.state_dict()
    assert state["0.3.weight"][0, :, 0, 0].tolist() == kept
    assert state["0.0.weight"][:, 0, 0, 0].tolist() == [1.0 + int(order[place]) for place in kept]
    assert state["0.1.running_var"].shape == (8,)
    assert state["0.3.weight"].shape == (5, 8, 1, 1)  # fewer than 8 channels are left alone


@pytest.mark.parametrize("name", ["mobilenet-v1:0.5", "short"])
def test_a_pruned_net_learns_and_is_made_again_by_its_name_and_weights(name: str) -> None:
    smaller = pruned(made(name), 0.6, SIDE)
    pictures = shown(digits()[0][:20])
    smaller(pictures).sum().backward()
    assert all(one.grad is not None and one.grad.shape == one.shape for one in smaller.parameters())
    again = shaped(made(name, seed=2), smaller.state_dict()).eval()
    with torch.no_grad():
        assert torch.equal(again(pictures), smaller.eval()(pictures))


def test_ways_around_keep_their_channels() -> None:
    net = made("resnet-2:16")
    cut = {key for channels in groups(net, SIDE) for key in channels.makers}
    assert cut == {f"features.{block}.body.0.0.weight" for block in range(1, 7)}
    assert pruned(net, 0.9, SIDE).last.in_features == 64  # type: ignore[union-attr]


def test_ways_around_that_are_added_in_place_keep_theirs_too() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.inner, self.last = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 1)

        def forward(self, x: Tensor) -> Tensor:
            there = self.first(x)
            out: Tensor = self.last(self.inner(there).relu_())
            out += there
            return out.mean(dim=(2, 3))

    assert [channels.makers for channels in groups(Around(), 4)] == [["inner.weight"]]


def test_channels_left_are_a_multiple_of_eight_and_never_more() -> None:
    for share in (0.0, 0.1, 0.6, 0.99):
        smaller = pruned(made("quick:24"), share, SIDE)
        for old, new in zip(made("quick:24").modules(), smaller.modules(), strict=True):
            if isinstance(old, nn.Conv2d) and isinstance(new, nn.Conv2d):
                assert new.out_channels % 8 == 0
                assert min(old.out_channels, (1 - share) * old.out_channels - 1) <= new.out_channels <= old.out_channels


def test_the_net_itself_is_left_as_it_was() -> None:
    net = made("quick:16").train()
    before = copy.deepcopy(net.state_dict())
    pruned(net, 0.5, SIDE)
    zeroed(net, 0.5)
    assert net.training
    assert all(torch.equal(before[key], one) for key, one in net.state_dict().items())


@pytest.mark.parametrize(
    ("share", "by", "said"),
    [(1.0, "l1", "from 0 to below 1, got 1"), (-0.1, "l1", "got -0.1"), (0.5, "l3", "l1, scale")],
)
def test_what_can_not_be_is_refused(share: float, by: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        pruned(made("quick:16"), share, SIDE, by)


def test_a_net_without_inner_channels_is_refused() -> None:
    with pytest.raises(UserError, match="can't be pruned"):
        pruned(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 4)), 0.5, SIDE)


def test_zeros_save_nothing_but_compressed_bytes() -> None:
    net = learned("resnet:8")
    thin = zeroed(net, 0.8)
    weights = [one.weight for one in thin.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    n = sum(one.numel() for one in weights)
    assert sum(int((one == 0).sum()) for one in weights) == round(0.8 * n)
    left, all_of_them = (
        torch.cat(
            [one.weight.detach().abs().flatten() for one in each.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
        )
        for each in (thin, net)
    )
    assert left[left > 0].min() >= all_of_them.quantile(0.8)
    assert cost(thin, SIDE) == cost(net, SIDE)
    before, after = sparse(net), sparse(thin)
    assert after.nonzero == before.nonzero - round(0.8 * n)
    assert after.parameters == before.parameters
    assert after.compressed_bytes < 0.5 * before.compressed_bytes


def test_no_share_changes_nothing() -> None:
    net = learned("resnet:8")
    assert all(torch.equal(one, net.state_dict()[key]) for key, one in zeroed(net, 0.0).state_dict().items())
