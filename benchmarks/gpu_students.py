"""Students of the generalist and of its specialists, beside the same nets without a teacher and the peer's ten lines."""

from typing import Any

import numpy as np
import torch
from gpu_data import Array
from gpu_fits import Bench, of_seed, share, ten_lines
from gpu_plan import Plan, Student
from torch import Tensor, nn

from secondlook.pipeline.learn.students import teachers
from secondlook.pipeline.learn.students.attack import fgsm, pgd
from secondlook.pipeline.learn.students.cost import cost
from secondlook.pipeline.learn.students.distill import loss_of
from secondlook.pipeline.learn.training.loop import Loss, Teach, labels_loss


def net_of(bench: Bench, student: Student, plan: Plan, seed: int) -> nn.Module:
    """The student's net, which sees the plan's pictures at its own resolution."""
    net = bench.net(student.net, student.image_px, seed)
    return net if student.image_px == plan.image_px else teachers.Resized(net, student.image_px)


def ways(plan: Plan, labels: Tensor) -> dict[str, Loss]:
    """What the main student is fitted to, side by side: three methods, standardized logits, and no teacher."""
    told: dict[str, Any] = {"temperature": plan.temperature, "soft": plan.taught}
    return {
        "soft": loss_of("soft", labels, **told),
        "standardized": loss_of("soft", labels, **told, standardize=True),
        "decoupled": loss_of("decoupled", labels, **told),
        "logits": loss_of("logits", labels, **told),
        "alone": labels_loss(labels, plan.distilled.smoothing),
    }


def measured(
    bench: Bench, plan: Plan, seed: int, labels: Tensor, net: nn.Module, teach: Teach, parts: set[str]
) -> list[dict[str, Any]]:
    """Fit and measure; a row for each net. parts: `main`, `ways`, `others`, `peer`."""
    labels = labels.to(bench.where)
    recipe = of_seed(plan.distilled, seed)
    chosen = ways(plan, labels)
    if "ways" not in parts:
        chosen = {name: chosen[name] for name in (plan.way, "alone")}
    fits = [(plan.main, name, loss) for name, loss in chosen.items()]
    fits += [(student, plan.way, chosen[plan.way]) for student in plan.others if "others" in parts]
    names = [f"student-{student.net.replace(':', '_')}-{student.image_px}-{way}-{seed}" for student, way, _ in fits]
    nets = [net_of(bench, student, plan, seed) for student, _, _ in fits]
    bench.fitted(names, nets, [loss for _, _, loss in fits], recipe, teach=teach)
    if "peer" in parts:
        file = bench.kept / f"student-peer-{seed}.safetensors"
        peer = net_of(bench, plan.main, plan, seed)
        if not file.exists():
            bench.keep(file, ten_lines(bench, peer, teach, labels, recipe, plan.temperature))
        bench.fitted([file.stem], [peer], [labels_loss(labels, 0.0)], recipe)
        fits.append((plan.main, "ten lines", chosen[plan.way]))
        nets.append(peer)
        names.append(file.stem)
    taught = bench.said(net, bench.pictures.test.pixels, plan.recipe)
    rows = [row(bench, plan, seed, None, "teacher", net, "")]
    return rows + [
        row(bench, plan, seed, student, way, one, name) | {"agrees": agreement(bench, plan, one, taught)}
        for (student, way, _), one, name in zip(fits, nets, names, strict=True)
    ]


def row(
    bench: Bench, plan: Plan, seed: int, student: Student | None, way: str, net: nn.Module, file: str
) -> dict[str, Any]:
    """What was measured of a net on the test pictures."""
    test = bench.pictures.test
    probs = bench.said(net, test.pixels, plan.distilled)
    right = probs.argmax(axis=1) == test.labels
    px = student.image_px if student else plan.image_px
    costs = cost(net.net if isinstance(net, teachers.Resized) else net, px)
    return {
        "net": student.net if student else plan.net,
        "image_px": px,
        "way": way,
        "seed": seed,
        "file": file,
        "accuracy": share(right),
        "parameters": costs.parameters,
        "multiply_adds": costs.multiply_adds,
        "attacked": attacked(bench, plan, net),
        "by_class": [round(float(right[test.labels == label].mean()), 3) for label in range(bench.n_classes)],
        "right": np.packbits(right).tobytes().hex(),
    }


def agreement(bench: Bench, plan: Plan, net: nn.Module, taught: Array) -> float:
    """Share of the test pictures for which student and teacher give the same class."""
    said = bench.said(net, bench.pictures.test.pixels, plan.distilled)
    return round(float((said.argmax(axis=1) == taught.argmax(axis=1)).mean()), 4)


def attacked(bench: Bench, plan: Plan, net: nn.Module) -> dict[str, Any]:
    """Accuracy on the first pictures as they are, and under attacks that change a pixel by up to 1 and 2 of 255."""
    test = bench.pictures.test
    rows = np.random.default_rng(0).permutation(len(test.labels))[: plan.attacked]
    pictures = bench.shown(test.pixels[rows]).to(bench.where).float()
    told = torch.from_numpy(test.labels[rows]).to(bench.where)
    found: dict[str, Any] = {"n": len(rows), "unchanged": accuracy(net, pictures, told)}
    for most in (1.0, 2.0):
        found[f"fgsm {most:g}"] = accuracy(net, fgsm(net, pictures, told, most), told)
        found[f"pgd {most:g}"] = accuracy(net, pgd(net, pictures, told, most), told)
    return found


@torch.no_grad()
def accuracy(net: nn.Module, pictures: Tensor, told: Tensor) -> float:
    """Share of right answers."""
    said = torch.cat([net(part).argmax(dim=1) for part in pictures.split(250)])  # type: ignore[no-untyped-call]
    return round(float((said == told).float().mean()), 4)
