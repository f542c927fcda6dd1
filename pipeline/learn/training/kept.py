"""All that a fit needs to go on after an epoch as if nothing had stopped it: arrays, and what JSON can say."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.learn.torch_setup import drawn_state, set_drawn_state
from secondlook.pipeline.learn.training.recipe import Recipe
from secondlook.pipeline.learn.training.steps import Stepper


@dataclass(frozen=True)
class Kept:
    """A fit between two epochs. `arrays`: tensors of the CPU by name: weights, what optimizers hold of each weight, states of
    random generators. `facts`, JSON: `epoch`, the next one; `history`, losses so far; settings; scalars of optimizers."""

    arrays: dict[str, Tensor]
    facts: dict[str, Any]


Keep = Callable[[Kept], None]


def kept(
    steppers: Sequence[Stepper], rng: torch.Generator, recipe: Recipe, epoch: int, history: Sequence[Sequence[float]]
) -> Kept:
    """What there is when `epoch` is the next one."""
    arrays = {"random/changes": rng.get_state(), "random/torch": drawn_state(rng.device)}
    scalars = []
    for number, stepper in enumerate(steppers):
        arrays |= {f"{number}/net/{name}": value for name, value in stepper.net.state_dict().items()}
        state = stepper.optimizer.state_dict()
        for weight, values in state["state"].items():
            for name, value in values.items():
                if value is not None:
                    arrays[f"{number}/optimizer/{weight}/{name}"] = value
        arrays |= {f"{number}/dropout/{i}": one.get_state() for i, one in enumerate(_generators(stepper.net))}
        scalars.append({"optimizer": state["param_groups"], "scaler": stepper.scaler.state_dict()})
    on_cpu = {name: value.detach().cpu().clone().contiguous() for name, value in arrays.items()}
    facts = {
        "epoch": epoch,
        "history": [list(one) for one in history],
        "recipe": asdict(recipe),
        "scalars": scalars,
    }
    return Kept(on_cpu, facts)


def go_on(of: Kept, steppers: Sequence[Stepper], rng: torch.Generator, recipe: Recipe) -> tuple[int, list[list[float]]]:
    """Make nets, optimizers and generators what they were; returns the next epoch and the losses so far.

    Raises UserError where the fit was another one: with another recipe, or of other nets.
    """
    if of.facts["recipe"] != asdict(recipe) or len(of.facts["scalars"]) != len(steppers):
        raise UserError(
            "what was kept of a training is of another one, with other settings or another number of nets; "
            "`secondlook gc --grace-hours 0` removes it"
        )
    rng.set_state(of.arrays["random/changes"])
    set_drawn_state(of.arrays["random/torch"], rng.device)
    for number, (stepper, scalars) in enumerate(zip(steppers, of.facts["scalars"], strict=True)):
        stepper.net.load_state_dict(_below(of.arrays, f"{number}/net/"))
        groups = scalars["optimizer"]
        stepper.optimizer.load_state_dict({"state": _held(of.arrays, number, stepper), "param_groups": groups})
        stepper.scaler.load_state_dict(scalars["scaler"])
        for i, one in enumerate(_generators(stepper.net)):
            one.set_state(of.arrays[f"{number}/dropout/{i}"])
    return of.facts["epoch"], [list(one) for one in of.facts["history"]]


def _below(arrays: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}


def _held(arrays: dict[str, Tensor], number: int, stepper: Stepper) -> dict[int, dict[str, Tensor]]:
    """What the optimizer holds of each weight, laid out in memory as the weight is: products are as fast as they were."""
    weights = [weight for part in stepper.optimizer.param_groups for weight in part["params"]]
    held: dict[int, dict[str, Tensor]] = {}
    for name, values in _below(arrays, f"{number}/optimizer/").items():
        place, _, what = name.partition("/")
        like = weights[int(place)]
        laid = torch.empty_like(like).copy_(values) if values.shape == like.shape else values.clone()
        held.setdefault(int(place), {})[what] = laid
    return held


def _generators(net: nn.Module) -> Iterator[torch.Generator]:
    """The generators that layers of the net draw from (`Dropout`, `Embeds`), each once."""
    seen = set()
    for layer in net.modules():
        rng = getattr(layer, "rng", None)
        if isinstance(rng, torch.Generator) and id(rng) not in seen:
            seen.add(id(rng))
            yield rng
