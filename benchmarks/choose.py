"""Choosing 5,000 of 1,000,000 pictures: time, memory, near-copies, groups left out; and what the short lists of classes cover.

OMP_NUM_THREADS=1 .venv/bin/python benchmarks/choose.py --json docs/results/choose.json

Made candidates: scenes of many near-copies that a model doubts alike, among single pictures. Beside ours, in the same run: the most
doubted first, chance, and the k-center greedy core-set (Sener and Savarese 2018) in plain numpy, on as many picks as a minute
allows. Real labels: CIFAR-10N with published probabilities (`--data` says where they are).
"""

import argparse
import csv
import json
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.machine import provenance
from secondlook.labeling.acquire.balance import Groups, rates
from secondlook.labeling.acquire.beliefs import believe, chances, one_more_answer
from secondlook.labeling.acquire.budget import Limit
from secondlook.labeling.acquire.choose import Rules, choose
from secondlook.labeling.acquire.clusters import clusters, confusions, shown
from secondlook.labeling.acquire.spread import redundant
from secondlook.pipeline.audit import label_errors
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import share

SEEDS = (1, 2, 3)
DIMENSIONS, CLASSES, BUDGET = 128, 100, 5000
SCENE = 40  # pictures of a scene, alike to within COPY of each other
SHARE_IN_SCENES = 0.4
NOISE, COPY = 0.02, 0.1  # deviation of a near-copy over all dimensions; distance below which two count as near-copies
PEER_PICKS = 100
TOP = 2000  # labels of CIFAR-10N that are asked for
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
Rows = npt.NDArray[np.int64]


def made(n: int, seed: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64], Groups, Rows]:
    """n candidates: vectors, values, groups, and the scene of each (its own number for a single picture).

    Pictures of a class lie about its center. A scene shares its value up to noise, and a tenth of the pictures, group b, is doubted half as much.
    """
    rng = generator(seed, "choose", "made")
    in_scenes = int(n * SHARE_IN_SCENES)
    scene = np.concatenate(
        [np.repeat(np.arange(in_scenes // SCENE), SCENE), np.arange(n)[: n - in_scenes // SCENE * SCENE] + n]
    )
    _, scene = np.unique(scene, return_inverse=True)
    count = int(scene.max()) + 1
    centers = rng.standard_normal((CLASSES, DIMENSIONS), np.float32)
    of_class = rng.integers(0, CLASSES, count)
    place = centers[of_class] + 0.5 * rng.standard_normal((count, DIMENSIONS), np.float32)
    place /= np.linalg.norm(place, axis=1, keepdims=True)
    vectors = place[scene]
    noise = rng.standard_normal((n, DIMENSIONS), np.float32) * np.float32(NOISE / np.sqrt(DIMENSIONS))
    vectors += noise
    group = (rng.random(n) < 0.1).astype(np.int64)
    doubt = rng.beta(0.4, 4.0, count)[scene] * rng.uniform(0.9, 1.1, n)
    return vectors, np.where(group == 1, 0.5, 1.0) * doubt, Groups(["group"], [["a", "b"]], group[:, None]), scene


def k_center(vectors: npt.NDArray[np.float32], n: int) -> Rows:
    """Core-set by the farthest-first greedy of Sener and Savarese (2018): each pick is farthest from all picked before."""
    lengths = np.square(vectors).sum(axis=1)
    picked = [0]
    nearest = np.full(len(vectors), np.inf, np.float32)
    for _ in range(n - 1):
        last = vectors[picked[-1]]
        nearest = np.minimum(nearest, lengths + lengths[picked[-1]] - 2 * (vectors @ last))
        picked.append(int(np.argmax(nearest)))
    return np.array(picked, np.int64)


def timed(function: Callable[[], Rows], *, memory: bool) -> tuple[Rows, float, float]:
    """What a function gives, the seconds that it took, and (`memory`, by a second run) the most MB that it held beside what was there."""
    start = time.perf_counter()
    found = function()
    seconds = time.perf_counter() - start
    if not memory:
        return found, seconds, float("nan")
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found, seconds, peak / 2**20


def arms(n: int, budget: int, seed: int, *, memory: bool) -> dict[str, dict[str, Any]]:
    """Each way of choosing, on the same candidates."""
    vectors, value, groups, scene = made(n, seed)
    even = np.ones(n)

    def ours(rules: Rules, its: Groups | None) -> Callable[[], Rows]:
        def run() -> Rows:
            rng = generator(seed, "choose")
            return choose(value, even, Limit(budget), rules, rng, groups=its, vectors=lambda rows: vectors[rows]).best

        return run

    ways: dict[str, Callable[[], Rows]] = {
        "ours": ours(Rules(0.0), None),
        "ours, balanced": ours(Rules(0.0), groups),
        "most doubted first": lambda: np.argsort(-value)[:budget],
        "chance": lambda: generator(seed, "chance").choice(n, budget, replace=False),
    }
    best = float(np.sort(value)[-budget:].sum())
    told = {}
    for name, way in ways.items():
        rows, seconds, mb = timed(way, memory=memory)
        told[name] = {
            "seconds": round(seconds, 2),
            "peak_mb": round(mb, 1),
            "value": round(float(value[rows].sum()) / best, 4),
            "near_copies": round(redundant(vectors, rows, COPY), 4),
            "scenes": len(np.unique(scene[rows])),
            "group_b": rates(groups, rows, rows)["group"]["b"]["kept"],
        }
    start = time.perf_counter()
    k_center(vectors, PEER_PICKS)
    told["k-center"] = {"seconds_for": PEER_PICKS, "seconds": round(time.perf_counter() - start, 2)}
    told["k-center"]["seconds_for_budget"] = round(told["k-center"]["seconds"] / PEER_PICKS * budget, 1)
    small = generator(seed, "choose", "subset").choice(n, min(n, 20_000), replace=False)
    rows = small[k_center(vectors[small], min(1000, budget))]
    told["k-center"] |= {
        "value": round(float(value[rows].sum()) / float(np.sort(value[small])[-len(rows) :].sum()), 4),
        "near_copies": round(redundant(vectors, rows, COPY), 4),
    }
    return told


def real(data: Path, label_set: str, top: int) -> dict[str, Any]:
    """CIFAR-10N: what the `top` most worth asking are, and whether the classes shown first hold the right one."""
    with (data / "cifar10n" / "train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    place = {name: index for index, name in enumerate(CIFAR)}
    given, clean = (np.array([place[row[column]] for row in rows]) for column in (label_set, "clean"))
    probs = np.load(data / "cifar10n-probs" / f"{label_set}-resnet18.npy")
    wrong, p_error = given != clean, label_errors(given, probs).p_error.astype(np.float64)
    order = np.argsort(-probs, axis=1)[:, :6].astype(np.int32)
    p = np.take_along_axis(probs, order, axis=1).astype(np.float32)
    chance = chances(p_error)
    beliefs = believe(order, p, given.astype(np.int32), chance, len(CIFAR))
    nobody = np.zeros(0, np.int64)
    gain = one_more_answer(beliefs, nobody, nobody, len(CIFAR))
    worth = np.argsort(-gain)[:top]
    told: dict[str, Any] = {
        "n": len(given),
        "wrong": round(float(wrong.mean()), 4),
        "wrong_as_found": round(float(chance.mean()), 4),
        "brier": {
            "p_error": round(float(np.mean((p_error - wrong) ** 2)), 4),
            "chance": round(float(np.mean((chance - wrong) ** 2)), 4),
        },
        "expected_fixed": round(float(gain[worth].sum())),
        "options": {},
    }
    for name, rows_ in (("active", worth), ("p_error", np.argsort(-p_error)[:top])):
        found = share(int(wrong[rows_].sum()), top)
        told[f"wrong_among_{name}"] = [round(one, 4) for one in (found.value, found.interval.low, found.interval.high)]
    for options in (4, 6, 8):
        cluster = clusters(confusions(order, p, len(CIFAR)), options // 2)
        pair = shown(beliefs, cluster)
        size = np.bincount(cluster)
        n_shown = size[pair[:, 0]] + np.where(pair[:, 0] == pair[:, 1], 0, size[pair[:, 1]])
        held = (pair == cluster[clean][:, None]).any(axis=1)
        told["options"][str(options)] = {
            "shown": round(float(n_shown.mean()), 2),
            "hold_the_right_one": round(float(held.mean()), 4),
            "of_those_asked": round(float(held[worth].mean()), 4),
        }
    return told


def page(result: dict[str, Any]) -> str:
    """The figures in words."""
    parts = [HEAD.format(seeds=", ".join(map(str, SEEDS)))]
    for name, figures in result["figures"]["made"].items():
        lines = []
        for arm, one in figures.items():
            if arm == "k-center":
                lines.append(
                    f"| k-center greedy | {one['seconds_for_budget'][0]:,.0f} (from {PEER_PICKS} picks) | | {one['value'][0]:.3f} * | {one['near_copies'][0]:.1%} * | | |"
                )
                continue
            span = {key: f"{low:,g}–{high:,g}" if low != high else f"{low:,g}" for key, (_, low, high) in one.items()}
            lines.append(
                f"| {arm} | {one['seconds'][0]:.2g} ({span['seconds']}) | {one['peak_mb'][0]:,.0f} | {one['value'][0]:.3f} | "
                f"{one['near_copies'][0]:.1%} | {one['scenes'][0]:,.0f} | {one['group_b'][0]:.2f} |"
            )
        ratio = figures["k-center"]["seconds_for_budget"][0] / figures["ours"]["seconds"][0]
        parts.append(
            f"## {name}\n\n{TABLE}{chr(10).join(lines)}\n\nk-center takes **{ratio:,.0f} times** as long as ours.\n"
        )
    for name, one in result["figures"].get("real", {}).items():
        parts.append(_real(name, one))
    parts.append(TAIL.format(machine=json.dumps(result["machine"]), commit=result["commit"]))
    return "\n".join(parts)


HEAD = f"""# Choosing a batch: time, memory, near-copies, groups

Made candidates ({DIMENSIONS} dimensions, {CLASSES} classes): {SHARE_IN_SCENES:.0%} of the pictures are in scenes of {SCENE} near-copies that share their doubt; a tenth is of group b, which
the model doubts half as much. Mean over seeds {{seeds}}, with the span of the seconds. *Value* is the sum of what the picks are worth, over that of the most doubted;
*near-copies* is the share of picks with another pick nearer than {COPY}; *group b*: its rate of selection over that of all, 1 is as often as chance.
Memory is what a call holds at most beside its arguments (first seed). Other work shared the two cores, so compare seconds within the table; their span shows it.
"""
TABLE = "| chosen by | seconds | peak MB | value | near-copies | scenes | group b |\n|---|---|---|---|---|---|---|\n"
TAIL = f"""On `aggre` half as many wrong labels are found as there are: mistakes that a majority of three people make look right to a model that learned from them. What is
expected of answers is too little there, and the order is hardly touched.

\\* k-center on 20,000 of the candidates, 1,000 picks: it looks at places alone, so it takes what is odd, not what is doubted. Its seconds are those of
{PEER_PICKS} picks on all candidates, times budget / {PEER_PICKS}, as each pick costs the same.

`OMP_NUM_THREADS=1 .venv/bin/python benchmarks/choose.py --json docs/results/choose.json`; machine {{machine}}, commit {{commit}}.
"""


def _real(name: str, one: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {options} | {o['shown']:.1f} | {o['hold_the_right_one']:.1%} | {o['of_those_asked']:.1%} |"
        for options, o in one["options"].items()
    )
    active, p_error = one["wrong_among_active"], one["wrong_among_p_error"]
    return f"""## CIFAR-10N `{name}`, published ResNet-18 probabilities, n = {one["n"]:,}

* Wrong labels: {one["wrong"]:.1%}; found without truth by expectation maximization over p_error: {one["wrong_as_found"]:.1%}. Brier score of the chance that a
  label is wrong: {one["brier"]["chance"]:.4f}, of p_error as it is {one["brier"]["p_error"]:.4f}.
* Of the {TOP:,} labels most worth asking, {active[0]:.1%} are wrong ({active[1]:.1%}–{active[2]:.1%}); of the {TOP:,} with the largest p_error {p_error[0]:.1%} ({p_error[1]:.1%}–{p_error[2]:.1%}).
  The sum of what was expected of them: {one["expected_fixed"]:,} wrong labels fewer.

| [review] options | classes shown | hold the right one | of those asked |
|---|---|---|---|
{rows}
"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--n", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"made": {}}
    for n in arguments.n:
        budget = BUDGET if n >= 1_000_000 else BUDGET // 10
        runs = [arms(n, budget, seed, memory=at == 0) for at, seed in enumerate(arguments.seeds)]
        figures["made"][f"{budget:,} of {n:,}"] = {
            arm: {
                key: [round(float(np.nanmean(values)), 4), float(np.nanmin(values)), float(np.nanmax(values))]
                for key in runs[0][arm]
                for values in [[run[arm][key] for run in runs]]
            }
            for arm in runs[0]
        }
    if (arguments.data / "cifar10n").exists():
        figures["real"] = {name: real(arguments.data, name, TOP) for name in ("aggre", "worse")}
    result = {
        "claim": "choose",
        "figures": figures,
        "seeds": arguments.seeds,
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    text = page(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
