"""A fit that goes on from what was kept ends with the bytes of one that was never stopped."""

from dataclasses import replace

import pytest
import torch

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.training.kept import Kept
from tests.learn.training.made import RECIPE, conv_net, fitted, plain_net, same


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_going_on_after_any_epoch_gives_the_same_bytes(optimizer: str, precision: str) -> None:
    recipe = replace(
        RECIPE, epochs=3, optimizer=optimizer, precision=precision, rate=0.05 if optimizer == "sgd" else 0.002
    )
    after: list[Kept] = []
    nets, losses = fitted(recipe, 1, 2, keep=after.append)
    assert [one.facts["epoch"] for one in after] == [1, 2, 3]
    for one in after:
        again, again_losses = fitted(recipe, 3, 4, resume=one)
        assert all(same(a, b) for a, b in zip(nets, again, strict=True))
        assert again_losses == losses


def test_layers_that_draw_from_torch_go_on_too() -> None:
    after: list[Kept] = []
    nets, _ = fitted(RECIPE, 1, 3, net=plain_net, keep=after.append)
    again, _ = fitted(RECIPE, 5, 7, net=plain_net, resume=after[1])
    assert all(same(a, b) for a, b in zip(nets, again, strict=True))


def test_what_was_kept_is_no_view_of_what_is_fitted_on() -> None:
    after: list[Kept] = []
    fitted(RECIPE, 1, keep=after.append)
    assert not torch.equal(after[0].arrays["0/net/last.weight"], after[-1].arrays["0/net/last.weight"])


def test_progress_tells_of_the_pictures_of_before() -> None:
    after: list[Kept] = []
    told: list[int] = []
    fitted(RECIPE, 1, keep=after.append)
    fitted(RECIPE, 1, resume=after[2], advance=told.append)
    assert told == [3 * 48, 16, 16, 16]


@pytest.mark.parametrize("changed", [{"seed": 9}, {"rate": 0.01}, {"epochs": 9}])
def test_another_recipe_is_refused(changed: dict[str, float]) -> None:
    after: list[Kept] = []
    fitted(RECIPE, 1, keep=after.append)
    with pytest.raises(UserError, match="another one"):
        fitted(replace(RECIPE, **changed), 1, resume=after[0])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="another number of nets"):
        fitted(RECIPE, 1, 2, resume=after[0])


def test_optimizers_go_on_with_memory_laid_out_as_their_weights() -> None:
    from secondlook.pipeline.learn.training.kept import go_on
    from secondlook.pipeline.learn.training.steps import Stepper
    from tests.learn.training.made import CPU

    after: list[Kept] = []
    fitted(RECIPE, 1, keep=after.append)
    stepper = Stepper(conv_net(2), RECIPE, CPU)
    go_on(after[0], [stepper], torch.Generator(), RECIPE)
    held = [(weight, state["momentum_buffer"]) for weight, state in stepper.optimizer.state.items()]
    assert len(held) == len(list(stepper.net.parameters()))
    assert all(weight.stride() == momentum.stride() for weight, momentum in held)
