"""The loop: what a step does by hand, nets side by side, number types, and the rate."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from secondlook.pipeline.learn.training.loop import Learner, Shown, ask, fit, labels_loss, rate_at
from secondlook.pipeline.learn.training.pictures import Held, in_batches, shuffled
from secondlook.pipeline.learn.training.recipe import Recipe
from secondlook.pipeline.learn.training.steps import Stepper, optimizer
from tests.learn.training.made import CPU, RECIPE, N, conv_net, fitted, pictures, plain_net, same


def test_losses_fall_and_the_classes_are_told_apart() -> None:
    pixels, labels = pictures()
    nets, losses = fitted(replace(RECIPE, epochs=12, colour=0.0), 1)
    assert len(losses[0]) == 12
    assert losses[0][-1] < 0.7 * losses[0][0]
    logits = ask(nets[0], torch.from_numpy(pixels).permute(0, 3, 1, 2), RECIPE, CPU, size=20)
    assert (logits.argmax(dim=1) == labels).float().mean() > 0.8


def test_nets_side_by_side_become_what_each_becomes_alone() -> None:
    """Of layers that draw from torch's one generator the first learner's would not be the second's: see `drawing_from`."""
    both, losses = fitted(RECIPE, 1, 2)
    for seed, net, told in zip((1, 2), both, losses, strict=True):
        alone, alone_losses = fitted(RECIPE, seed)
        assert same(alone[0], net)
        assert alone_losses[0] == told


def test_the_same_seed_gives_the_same_bytes_also_with_layers_that_draw_from_torch() -> None:
    before = torch.get_rng_state()
    nets = [fitted(RECIPE, 1, net=plain_net)[0][0] for _ in range(2)]
    assert same(*nets)
    assert torch.equal(torch.get_rng_state(), before)
    other, _ = fitted(replace(RECIPE, seed=4), 1, net=plain_net)
    assert not same(other[0], nets[0])


def test_a_step_by_hand() -> None:
    """One weight w = 2, squared loss of w · x against 0 at x = 3: w falls by the rate times Nesterov's 1.9 times 36."""
    net = nn.Linear(1, 1, bias=False)
    nn.init.constant_(net.weight, 2.0)
    stepper = Stepper(net, Recipe(rate=0.01, decay=0.0), CPU)
    stepper.step((stepper.called(torch.tensor([[3.0]])) ** 2).sum(), rate=0.5)
    assert net.weight.item() == pytest.approx(2 - 0.01 * 0.5 * 1.9 * 36, rel=1e-6)


def test_only_products_decay_unless_nothing_is_spared() -> None:
    for spare, wanted in ((True, {(2, 0.1), (4, 0.1), (1, 0.0)}), (False, {(2, 0.1), (4, 0.1), (1, 0.1)})):
        groups = optimizer(conv_net(1), Recipe(decay=0.1, spare=spare)).param_groups
        assert {(weight.ndim, group["weight_decay"]) for group in groups for weight in group["params"]} == wanted
        assert sum(len(group["params"]) for group in groups) == len(list(conv_net(1).parameters()))


def test_the_body_may_have_a_share_of_the_rate() -> None:
    """A step of both layers against the same gradient: the body moves a tenth as far."""
    net = nn.Sequential()
    net.add_module("body", nn.Linear(1, 1, bias=False))
    net.add_module("last", nn.Linear(1, 1, bias=False))
    for weight in net.parameters():
        nn.init.constant_(weight, 1.0)
    stepper = Stepper(net, Recipe(rate=0.01, decay=0.0, body=0.1), CPU)
    stepper.step(stepper.called(torch.tensor([[1.0]])).sum(), rate=1.0)
    moved = [1 - weight.item() for weight in net.parameters()]
    assert moved == pytest.approx([0.0019, 0.019], rel=1e-4)


def test_frozen_weights_stay() -> None:
    net = conv_net(1)
    for weight in net.features.parameters():  # type: ignore[union-attr]
        weight.requires_grad_(False)
    before = [weight.clone() for weight in net.features.parameters()]  # type: ignore[union-attr]
    pixels, labels = pictures()
    held = Held(pixels, shuffled(torch.arange(N), 1), 16, CPU)
    fit([Learner(net, labels_loss(labels, 0.0))], held, replace(RECIPE, epochs=1), CPU)
    for now, then in zip(net.features.parameters(), before, strict=True):  # type: ignore[union-attr]
        assert torch.equal(now, then)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_other_number_types_end_near_the_losses_of_float32(precision: str) -> None:
    recipe = replace(RECIPE, epochs=3, cut=0.0)
    _, exact = fitted(recipe, 1)
    nets, rough = fitted(replace(recipe, precision=precision), 1)
    assert rough[0] != exact[0]
    assert rough[0] == pytest.approx(exact[0], abs=0.1)
    assert {value.dtype for value in nets[0].parameters()} == {torch.float32}


def test_float16_skips_a_step_whose_gradient_overflows_and_halves_the_scale() -> None:
    net = nn.Linear(1, 1, bias=False)
    stepper = Stepper(net, Recipe(rate=0.1, precision="float16"), CPU)
    before, scale = net.weight.item(), stepper.scaler.get_scale()
    stepper.step(net(torch.ones(1, 1)).sum() * 1e38, rate=1.0)
    assert net.weight.item() == before
    assert stepper.scaler.get_scale() == scale / 2
    stepper.step(net(torch.ones(1, 1)).sum(), rate=1.0)
    assert net.weight.item() != before


def test_what_a_teacher_says_reaches_the_loss_of_the_same_pictures() -> None:
    pixels, labels = pictures()
    seen: list[tuple[Shown, Tensor]] = []

    def loss(logits: Tensor, shown: Shown) -> Tensor:
        seen.append((shown, logits))
        return nn.functional.cross_entropy(logits, labels[shown.rows])

    held = Held(pixels, shuffled(torch.arange(N), 1), 16, CPU)
    fit([Learner(conv_net(1), loss)], held, replace(RECIPE, epochs=1), CPU, teach=lambda shown: {"mean": shown.float().mean(dim=(1, 2, 3))})  # fmt: skip
    assert len(seen) == 3
    for shown, logits in seen:
        assert torch.equal(shown.said["mean"], shown.pictures.float().mean(dim=(1, 2, 3)))
        assert logits.dtype == torch.float32


def test_every_row_comes_once_an_epoch_and_each_epoch_in_another_order() -> None:
    pixels, _ = pictures()
    held = Held(pixels, shuffled(torch.arange(N), 5), 16, CPU)
    orders = []
    for epoch in range(2):
        rows, shown = zip(*held.batches(epoch), strict=True)
        orders.append(torch.cat(rows))
        assert torch.equal(torch.cat(shown).permute(0, 2, 3, 1), torch.from_numpy(pixels)[orders[-1]])
        assert sorted(orders[-1].tolist()) == list(range(N))
    assert not torch.equal(*orders)


@pytest.mark.parametrize(("n", "sizes"), [(10, [4, 4]), (8, [4, 4]), (3, [3]), (4, [4])])
def test_whole_batches_only_unless_there_is_less_than_one(n: int, sizes: list[int]) -> None:
    assert [len(part) for part in in_batches(torch.arange(n), 4)] == sizes
    held = Held(pictures(n)[0], shuffled(torch.arange(n), 1), 4, CPU)
    assert held.steps == len(sizes) == len(list(held.batches(0)))


def test_the_rate_rises_evenly_and_falls_to_nothing() -> None:
    rates = [rate_at(step, 100, 0.2) for step in range(100)]
    assert rates[:20] == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert rates[60] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.001
    assert rates[20:] == sorted(rates[20:], reverse=True)


@pytest.mark.soak
def test_a_compiled_net_learns_the_same() -> None:
    """Minutes of a compiler: on a GPU, and here in soak."""
    _, plain = fitted(replace(RECIPE, epochs=2), 1)
    nets, compiled = fitted(replace(RECIPE, epochs=2, compile=True), 1)
    assert compiled[0] == pytest.approx(plain[0], abs=1e-3)
    assert set(nets[0].state_dict()) == set(conv_net(1).state_dict())
