"""The generalist, the clusters that it confuses, specialists for them, and a control that spends the same on further generalists."""

from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from gpu_data import Array, Split
from gpu_fits import Bench, of_seed, share
from gpu_plan import Plan
from torch import Tensor, nn

from secondlook.pipeline.learn.clusters.answers import Answers
from secondlook.pipeline.learn.clusters.find import find, links_of
from secondlook.pipeline.learn.specialists import choice, combine
from secondlook.pipeline.learn.specialists import fit as specialists
from secondlook.pipeline.learn.specialists.fit import Specialist
from secondlook.pipeline.learn.training.loop import ask, autocast, labels_loss
from secondlook.pipeline.learn.training.recipe import Recipe


def generalist(bench: Bench, plan: Plan, seed: int, labels: Tensor, name: str = "generalist") -> nn.Module:
    """A net of the plan, fitted to labels (N,) of the training pictures."""
    recipe = of_seed(plan.recipe, seed)
    net = bench.net(plan.net, plan.image_px, seed)
    bench.fitted([f"{name}-{seed}"], [net], [labels_loss(labels.to(bench.where), recipe.smoothing)], recipe)
    return net


def clusters(probs: Array, labels: Array, plan: Plan, seed: int, method: str) -> list[tuple[int, ...]]:
    """Classes that the generalist confuses, by what it says of the pictures that are there for choices."""
    return find(links_of(Answers.whole(probs, labels), method), method, plan.clusters, plan.largest, seed)


def fitted(
    bench: Bench, plan: Plan, seed: int, net: nn.Module, members: list[tuple[int, ...]], labels: Tensor, tag: str = ""
) -> tuple[list[Specialist], float]:
    """A specialist for each cluster, and what fitting them cost, in pictures that a net alone is shown."""
    made, cost = [], 0.0
    rows = torch.from_numpy(bench.rows)
    for number, classes in enumerate(members):
        recipe = of_seed(plan.specialist, seed * 100 + number)
        file = bench.kept / f"specialist{tag}-{seed}-{number}.safetensors"
        shown = 2 * int(torch.isin(labels[rows], torch.tensor(classes)).sum()) * recipe.epochs
        cost += choice.spent(shown, taught=plan.soft > 0)
        if file.exists():
            again = bench.net(plan.net, plan.image_px, seed)
            bench.fitted([file.stem], [again], [labels_loss(labels, 0.0)], recipe)
            made.append(Specialist(again, torch.tensor(sorted(classes))))
            continue
        one = specialists.fit(
            net, classes, labels, rows, bench.n_classes, partial(bench.source, recipe),
            recipe, bench.where, soft=plan.soft, on_epoch=lambda epoch, losses: None,
        )  # fmt: skip
        bench.keep(file, one.net)
        made.append(one)
    return made, cost


def said(bench: Bench, one: Specialist, pixels: Array, recipe: Recipe) -> Tensor:
    """(n, C + 1) probabilities of its classes and the dustbin."""
    logits = ask(one.net, bench.shown(pixels), recipe, bench.where)
    return torch.softmax(specialists.narrowed(logits, one.members), dim=1)


class Together:
    """A generalist and its specialists on one set of pictures; what each says is asked once."""

    def __init__(self, bench: Bench, plan: Plan, p_g: Array, made: list[Specialist], split: Split) -> None:
        self.p_g, self.plan = torch.from_numpy(p_g).double(), plan
        self.said = [said(bench, one, split.pixels, plan.recipe).double() for one in made]
        self.members = [one.members for one in made]

    def probs(self, kept: list[int]) -> Array:
        """(n, K) of the generalist with these of the specialists."""
        members = [self.members[i] for i in kept]
        if not members:
            return self.p_g.numpy()
        asked = combine.active(self.p_g, members, self.plan.active)
        return combine.combined(self.p_g, [self.said[i] for i in kept], members, asked).probs.numpy()


def measured(bench: Bench, plan: Plan, seed: int, choose: Array) -> dict[str, Any]:
    """All of it for one seed. `choose`: rows of the training pictures that choices are made on."""
    train, test = bench.pictures.train, bench.pictures.test
    labels = torch.from_numpy(train.labels)
    held = train.part(choose)
    net = generalist(bench, plan, seed, labels)
    p_choice, p_test = (bench.said(net, part.pixels, plan.recipe) for part in (held, test))
    rng = np.random.default_rng(seed)
    result: dict[str, Any] = {
        "seed": seed,
        "generalist": {
            "net": plan.net,
            "accuracy": share(p_test.argmax(axis=1) == test.labels),
            "seconds": bench.seconds[f"generalist-{seed}"],
            "parameters": sum(weight.numel() for weight in net.parameters()),
        },
        "clusters": {
            method: [
                [bench.pictures.classes[i] for i in one] for one in clusters(p_choice, held.labels, plan, seed, method)
            ]
            for method in methods()
        },
    }
    members = clusters(p_choice, held.labels, plan, seed, plan.method)
    made, cost = fitted(bench, plan, seed, net, members, labels)
    on_choice, on_test = (Together(bench, plan, p, made, split) for p, split in ((p_choice, held), (p_test, test)))
    tried = choice.chosen(held.labels, lambda kept: on_choice.probs(list(kept)).argmax(axis=1), len(made), 0.9)
    kept = [one.specialist for one in tried if one.kept]
    inside = [np.array(one.members) for one in made]
    nets, epochs = choice.control(cost, len(bench.rows), plan.recipe.epochs)
    others = of_other_seeds(bench, seed) if abs(epochs - plan.recipe.epochs) <= 1 else []
    if len(others) >= nets:
        epochs, beside = plan.recipe.epochs, [loaded(bench, plan, other) for other in others[:nets]]
    else:
        beside = [further(bench, plan, seed, number, epochs, labels) for number in range(nets)]
    control = np.mean([p_test, *beside], axis=0)
    before = p_test.argmax(axis=1) == test.labels
    arms = {"kept": on_test.probs(kept), "all": on_test.probs(list(range(len(made)))), "control": control}
    right = {name: probs.argmax(axis=1) == test.labels for name, probs in arms.items()}
    result["specialists"] = {
        "clusters": [[bench.pictures.classes[i] for i in one] for one in members],
        "tried": [asdict(one) for one in tried],
        "kept": len(kept),
        "cost_in_pictures": round(cost),
        "control": {"nets": nets, "epochs": epochs, "cost_in_pictures": nets * epochs * len(bench.rows)},
        "accuracy": {name: share(one) for name, one in right.items()},
        "conditional": {
            name: share(choice.conditional(probs, test.labels, inside)[0])
            for name, probs in {"generalist": p_test, **arms}.items()
        },
        "gain_over_generalist": {name: asdict(choice.gain(before, one, rng)) for name, one in right.items()},
        "gain_over_control": {
            name: asdict(choice.gain(right["control"], right[name], rng)) for name in ("kept", "all")
        },
        "by_cover": [asdict(one) for one in choice.by_cover(test.labels, before, right["all"], inside)],
        "right": {name: np.packbits(one).tobytes().hex() for name, one in {"generalist": before, **right}.items()},
    }
    return result


def further(bench: Bench, plan: Plan, seed: int, number: int, epochs: int, labels: Tensor) -> Array:
    """(n, K) of the test pictures by a further generalist of so many epochs."""
    again = replace(plan, recipe=replace(plan.recipe, epochs=epochs))
    net = generalist(bench, again, seed * 1000 + number, labels, "further")
    return bench.said(net, bench.pictures.test.pixels, plan.recipe)


def of_other_seeds(bench: Bench, seed: int) -> list[int]:
    """Seeds whose generalists are there: they are further generalists as good as any, fitted on as many pictures."""
    there = sorted(int(file.stem.partition("-")[2]) for file in bench.kept.glob("generalist-[0-9].safetensors"))
    return [one for one in there if one != seed]


def loaded(bench: Bench, plan: Plan, seed: int) -> Array:
    """(n, K) of the test pictures by the generalist of a seed that was fitted before."""
    net = bench.net(plan.net, plan.image_px, seed)
    bench.restore(f"generalist-{seed}", net)
    return bench.said(net, bench.pictures.test.pixels, plan.recipe)


def methods() -> list[str]:
    """Ways to find clusters that this machine has what it takes for."""
    try:
        import sklearn  # noqa: F401 — a bare machine has none
    except ImportError:
        return ["greedy"]
    return ["greedy", "covariance", "confusion"]


def teacher(bench: Bench, plan: Plan, net: nn.Module, made: list[Specialist]) -> Any:
    """Pictures on the device → probabilities (n, K) of the generalist with its specialists."""

    def ask_all(pictures: Tensor) -> Tensor:
        with autocast(plan.recipe, bench.where):
            p_g = torch.softmax(net(pictures).float(), dim=1)
            told = [one.log_probs(pictures).exp() for one in made]
        members = [one.members for one in made]
        return combine.combined(p_g, told, members, combine.active(p_g, members, plan.active)).probs

    return ask_all
