"""The head of 15,000 classes: what a step costs in seconds and memory, and what a softmax over some of them loses.

    python benchmarks/many_classes.py cost --json docs/results/many-classes.json
    python benchmarks/many_classes.py accuracy --seed 1 --json docs/results/many-classes.json

Cost: one step (forward, backward, optimizer) of the last layer alone, from 512 wide embeddings, beside a step of a small
net's body. Memory: how far the peak of a process of its own rises. Accuracy: a linear head on made vectors of 15,000
classes in 500 families, in whose midst classes are hard to tell apart; each seed makes its own data, of which the test
vectors were never learned from. The plain head of the same run is the peer. All have one optimizer and one rate, which
was tuned for none of them. Runs of several seeds are gathered in one file.
"""

import argparse
import io
import json
import math
import os
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from secondlook.jobs.machine import provenance
from secondlook.pipeline.core.statistics import wilson
from secondlook.pipeline.learn.nets.family import NetSpec, make
from secondlook.pipeline.learn.training.loop import Loss, Shown, labels_loss
from secondlook.pipeline.learn.training.many_classes import sampled_loss
from secondlook.pipeline.learn.training.recipe import Recipe
from secondlook.pipeline.learn.training.steps import Stepper, autocast, rate_at

CPU = torch.device("cpu")
CLASSES, FAMILIES = 15_000, 500
WIDE, BATCHES, DRAWN = 512, (128, 512), (256, 1024)
BODY = NetSpec("mobilenet-v1:0.25", 10, 32)
# Made vectors: how far families lie apart, classes in a family, and pictures of a class, in each of so many dimensions.
DIMENSIONS, APART, CLASS, NOISE = 64, 1.0, 0.6, 0.55
EACH, EPOCHS, BATCH, LONGER = 2, 3, 256, 4


def kinds(last: nn.Linear, labels: Tensor, seed: int) -> dict[str, Loss]:
    """Losses on what comes before the last layer, by name."""
    whole = labels_loss(labels, 0.0)
    shares = torch.full((CLASSES,), 1 / CLASSES)
    found: dict[str, Loss] = {"plain": lambda seen, shown: whole(last(seen), shown)}
    for n in DRAWN:
        found[f"{n:,} drawn"] = sampled_loss(last, labels, n, shares, torch.Generator().manual_seed(seed))
    return found


def step_of(kind: str, batch: int) -> Callable[[], None]:
    """One step of a head from made embeddings, and what they change: the body of the net gets its gradient, too."""
    rng = torch.Generator().manual_seed(0)
    last, labels = nn.Linear(WIDE, CLASSES), torch.randint(0, CLASSES, (batch,), generator=rng)
    seen = torch.randn(batch, WIDE, generator=rng).requires_grad_()
    recipe = Recipe(precision="bfloat16" if kind == "plain, bfloat16" else "float32")
    stepper, loss = Stepper(last, recipe, CPU), kinds(last, labels, 0)[kind.partition(", bf")[0]]
    shown = Shown(torch.arange(batch), seen)

    def step() -> None:
        with autocast(recipe, CPU):
            value = loss(seen, shown)
        stepper.step(value.float(), 1.0)

    return step


def body_step(batch: int) -> Callable[[], None]:
    """One step of a small net without a head to speak of."""
    rng = torch.Generator().manual_seed(0)
    net = make(BODY, 1, CPU).train()
    stepper = Stepper(net, Recipe(), CPU)
    pictures = torch.randint(0, 256, (batch, 3, BODY.image_px, BODY.image_px), generator=rng, dtype=torch.uint8)
    return lambda: stepper.step(stepper.called(pictures).square().mean(), 1.0)


def timed(made: Callable[[], Callable[[], None]], repeats: int) -> dict[str, float]:
    """Median and quartiles of the seconds of a step, and how far the peak of memory rose in a process of its own."""
    into, out = os.pipe()
    child = os.fork()
    if not child:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        step = made()
        step()
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75])
        rise = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        told = {"seconds": middle, "low": low, "high": high, "peak_mib": rise, "n": repeats}
        os.write(out, json.dumps({name: round(float(value), 4) for name, value in told.items()}).encode())
        os._exit(0)
    os.close(out)
    with open(into, "rb") as stream:
        found: dict[str, float] = json.loads(stream.read())
    os.waitpid(child, 0)
    return found


def cost(repeats: int) -> list[dict[str, Any]]:
    """All that is compared, at each size of a batch."""
    rows: list[dict[str, Any]] = []
    for batch in BATCHES:
        heads = ("plain", "plain, bfloat16", *(f"{n:,} drawn" for n in DRAWN))
        made = {kind: partial(step_of, kind, batch) for kind in heads} | {
            f"body of {BODY.name}": partial(body_step, batch)
        }
        rows += [{"batch": batch, "head": kind} | timed(one, repeats) for kind, one in made.items()]
    return rows


def made_vectors(seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Vectors (n, D) and labels to learn from, and one test vector of each class with its label."""
    rng = torch.Generator().manual_seed(seed)
    families = torch.randn(FAMILIES, DIMENSIONS, generator=rng) * APART
    centers = families.repeat(CLASSES // FAMILIES, 1) + torch.randn(CLASSES, DIMENSIONS, generator=rng) * CLASS
    labels, tests = torch.arange(CLASSES).repeat(EACH), torch.arange(CLASSES)
    vectors, held = (centers[one] + torch.randn(len(one), DIMENSIONS, generator=rng) * NOISE for one in (labels, tests))
    return vectors, labels, held, tests


def learned(data: tuple[Tensor, Tensor, Tensor, Tensor], kind: str, epochs: int, seed: int) -> dict[str, Any]:
    """A head fitted to made vectors, and the share of test vectors that it tells right among all classes."""
    vectors, labels, held, tests = data
    last = nn.Linear(DIMENSIONS, CLASSES)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    loss = kinds(last, labels, seed)[kind]
    stepper = Stepper(last, replace(Recipe(), optimizer="adamw", rate=0.03, decay=0.0), CPU)
    steps, step, start = epochs * (len(labels) // BATCH), 0, time.perf_counter()
    rng = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels), generator=rng).split(BATCH)[: len(labels) // BATCH]:  # type: ignore[no-untyped-call]
            stepper.step(loss(vectors[rows], Shown(rows, vectors[rows])), rate_at(step, steps, 0.1))
            step += 1
    seconds = time.perf_counter() - start
    with torch.inference_mode():
        said = torch.cat([last(part).argmax(dim=1) for part in held.split(500)])  # type: ignore[no-untyped-call]
    right = int((said == tests).sum())
    interval = wilson(right, len(tests))
    return {
        "seed": seed,
        "head": kind,
        "epochs": epochs,
        "seconds": round(seconds, 1),
        "accuracy": round(right / len(tests), 4),
        "interval": [round(interval.low, 4), round(interval.high, 4)],
        "n": len(tests),
    }


def accuracy(seed: int) -> list[dict[str, Any]]:
    """Heads of as many steps each, and the sampled one with more steps, since each takes less time."""
    data = made_vectors(seed)
    plan = [("plain", EPOCHS), *((f"{n:,} drawn", EPOCHS) for n in DRAWN), (f"{DRAWN[-1]:,} drawn", LONGER * EPOCHS)]
    return [learned(data, kind, epochs, seed) for kind, epochs in plan]


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    out = io.StringIO()
    machine = report["machine"]
    out.write(
        f"# The head of {CLASSES:,} classes\n\n{machine['cores']} cores ({machine['processor']}), "
        f"{machine['memory_gib']} GiB, one thread, commit {report['commit']}, while other work ran on the same cores.\n\n"
        f"## What a step costs\n\nForward, backward and optimizer of the last layer ({WIDE} → {CLASSES:,}, "
        f"{WIDE * CLASSES / 1e6:.1f} M weights) alone, median of {report['cost'][0]['n']:.0f} steps with quartiles; peak: how "
        "far the memory of a process of its own rises.\n\n"
        "| pictures a step | head | seconds a step | quartiles | peak, MiB |\n|---|---|---|---|---|\n"
    )
    for row in report["cost"]:
        out.write(
            f"| {row['batch']} | {row['head']} | {row['seconds']:.3f} | {row['low']:.3f} to {row['high']:.3f} "
            f"| {row['peak_mib']:,.0f} |\n"
        )
    seeds = sorted({run["seed"] for run in report["accuracy"]})
    out.write(
        f"\n## What it loses\n\nA linear head on made vectors: {CLASSES:,} classes in {FAMILIES} families, {EACH} vectors of "
        f"each to learn from, one of each to test on ({CLASSES:,} for a seed), seeds {', '.join(map(str, seeds))}. Tests are "
        "by all classes. The difference to the plain head of the same seed, its mean and its t interval of 95 % over seeds.\n\n"
        "| head | passes | seconds | test accuracy | difference, points |\n|---|---|---|---|---|\n"
    )
    for (head, epochs), runs in _by_head(report["accuracy"]).items():
        plain = {run["seed"]: run["accuracy"] for run in report["accuracy"] if run["head"] == "plain"}
        apart = [100 * (run["accuracy"] - plain[run["seed"]]) for run in runs]
        mean = sum(run["accuracy"] for run in runs) / len(runs)
        told = "" if head == "plain" else _interval(apart)
        seconds = sum(run["seconds"] for run in runs) / len(runs)
        out.write(f"| {head} | {epochs} | {seconds:.1f} | {100 * mean:.2f} % | {told} |\n")
    out.write(f"\n{__doc__.split(chr(10) * 2)[1]}\n")
    return out.getvalue()


def _by_head(runs: list[dict[str, Any]]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for run in runs:
        found.setdefault((run["head"], run["epochs"]), []).append(run)
    return found


def _interval(values: list[float]) -> str:
    from scipy.stats import t

    mean = sum(values) / len(values)
    if len(values) < 2:
        return f"{mean:+.2f}"
    width = float(t.ppf(0.975, len(values) - 1)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return f"{mean:+.2f} ({mean - width:+.2f} to {mean + width:+.2f})"


def main() -> None:
    """Run one part, and write it beside the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["cost", "accuracy"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, required=True)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    report = json.loads(wanted.json.read_text()) if wanted.json.exists() else {"cost": [], "accuracy": []}
    if wanted.part == "cost":
        report["cost"] = cost(wanted.repeats)
    else:
        others = [run for run in report["accuracy"] if run["seed"] != wanted.seed]
        report["accuracy"] = others + accuracy(wanted.seed)
    report |= {"machine": provenance.machine(), "commit": provenance.commit()}
    wanted.json.write_text(json.dumps(report, indent=1) + "\n")
    if report["cost"] and report["accuracy"]:
        wanted.json.with_suffix(".md").write_text(page(report))


if __name__ == "__main__":
    main()
