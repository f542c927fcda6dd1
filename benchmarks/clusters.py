"""Clusters of confused classes on made predictions, where the truth is planted: methods, criteria for their number, and 15,000 classes.

.venv/bin/python benchmarks/clusters.py --json docs/results/clusters.json

The criterion was chosen on seeds 0 and 1; what is told is of seeds 100 and up. `plain` is k-means on the columns of the covariance (or
of the confusion matrix) as they are, with the background that all classes have.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from clusters_made import SHAPES, planted, planted_sparse
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from secondlook.jobs.machine import provenance
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.learn.clusters import find
from secondlook.pipeline.learn.clusters.answers import Answers, mistakes
from secondlook.pipeline.learn.clusters.columns import by_columns, columns
from secondlook.pipeline.learn.clusters.pairs import Cluster, agreement, coverage, excess

SEED = 7
PER_CLASS = (20, 100)
BY_COLUMNS = ("covariance", "confusion")
CRITERIA = ("excess", "excess of left-out mistakes", "silhouette", "gap statistic")
REFERENCES = 3  # of the gap statistic


def numbers(most: int, truth: int) -> list[int]:
    """Numbers of clusters that criteria choose from: about 20, the planted one among them."""
    spread = np.unique(np.round(np.geomspace(2, max(most, 3), 18)).astype(int)).tolist()
    return sorted({*spread, truth, truth - 1, truth + 1} & set(range(2, most + 1)))


def chosen_by(criterion: str, answers: Answers, method: str, tried: Sequence[int], seed: int) -> int:
    """The number that a criterion takes."""
    bonds = find.links_of(answers, method).bonds
    if criterion == "excess":
        return best(tried, [excess(bonds, by_columns(bonds, n, 0, seed)) for n in tried])
    if criterion == "excess of left-out mistakes":
        return best(tried, left_out(answers, method, tried, seed))
    there = np.flatnonzero(bonds.degrees() > 0)
    within = columns(bonds.among(there))
    usable = [n for n in tried if n < len(there)]
    fits = {n: KMeans(n, n_init=4, random_state=seed).fit(within) for n in usable}
    if criterion == "silhouette":
        return best(usable, [float(silhouette_score(within, fits[n].labels_)) for n in usable])
    return gap(within, usable, [float(fits[n].inertia_) for n in usable], seed)


def best(tried: Sequence[int], values: Sequence[float]) -> int:
    """The smallest of the numbers with the largest value."""
    return tried[int(np.argmax(values))]


def left_out(answers: Answers, method: str, tried: Sequence[int], seed: int) -> list[float]:
    """Excess of the mistakes on one half of the pictures, in the clusters of the other half, both ways."""
    order = generator(seed, "halves").permutation(len(answers))
    halves = [answers.at(order[::2]), answers.at(order[1::2])]
    bonds = [find.links_of(half, method).bonds for half in halves]
    made = [mistakes(half) for half in halves]
    return [
        float(np.mean([excess(made[1 - one], by_columns(bonds[one], n, 0, seed)) for one in (0, 1)])) for n in tried
    ]


def gap(within: Any, tried: Sequence[int], inertia: Sequence[float], seed: int) -> int:
    """Tibshirani et al. 2001: the smallest number whose gap is at least that of the next, less its standard error."""
    rng = generator(seed, "gap")
    low, high = within.min(axis=0), within.max(axis=0)
    drawn = [rng.uniform(low, high, within.shape) for _ in range(REFERENCES)]
    logs = np.array(
        [[np.log(KMeans(n, n_init=1, random_state=seed).fit(one).inertia_) for one in drawn] for n in tried]
    )
    gaps = logs.mean(axis=1) - np.log(inertia)
    errors = logs.std(axis=1) * np.sqrt(1 + 1 / REFERENCES)
    for at in range(len(tried) - 1):
        if gaps[at] >= gaps[at + 1] - errors[at + 1]:
            return tried[at]
    return tried[-1]


def plain(answers: Answers, method: str, n: int, seed: int) -> list[Cluster]:
    """k-means on the columns as they are."""
    if method == "covariance":
        matrix = np.cov(answers.probs.T)
    else:
        matrix = np.zeros((answers.n_classes,) * 2)
        np.add.at(matrix, answers.labels, answers.probs)
        matrix /= matrix.sum(axis=1, keepdims=True)
    told = KMeans(n, n_init=4, random_state=seed).fit(matrix.T).labels_
    return [tuple(np.flatnonzero(told == number).tolist()) for number in range(n)]


def mean(values: Sequence[float], seed: int = SEED) -> dict[str, float]:
    """A mean with its bootstrap interval over cases."""
    drawn = generator(seed, "mean").choice(np.array(values), (2000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {"value": round(float(np.mean(values)), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def methods(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Each method on each shape: what it recovers of the planted clusters, and holds of mistakes on other pictures."""
    ways: dict[str, Callable[[Answers, int, int], list[Cluster]]] = {
        "covariance": lambda a, n, seed: find.find(find.links_of(a, "covariance"), "covariance", 0, 0, seed),
        "confusion": lambda a, n, seed: find.find(find.links_of(a, "confusion"), "confusion", 0, 0, seed),
        "greedy": lambda a, n, seed: find.find(find.links_of(a, "greedy"), "greedy"),
        "greedy, largest 20": lambda a, n, seed: find.find(find.links_of(a, "greedy"), "greedy", 0, 20),
        "plain covariance, true number": lambda a, n, seed: plain(a, "covariance", n, seed),
        "plain confusion, true number": lambda a, n, seed: plain(a, "confusion", n, seed),
    }
    rows = []
    for shape in SHAPES:
        for per_class in PER_CLASS:
            told: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ways}
            for seed in seeds:
                answers, truth = planted(shape, per_class, seed)
                others = mistakes(planted(shape, per_class, seed, others=True)[0])
                for name, way in ways.items():
                    found = way(answers, len(truth), seed)
                    rand = agreement(found, truth, answers.n_classes)
                    told[name].append((rand, coverage(others, found), len(found)))
            for name, values in told.items():
                rand, held, n = (list(one) for one in zip(*values, strict=True))
                rows.append(
                    {"shape": shape, "per_class": per_class, "method": name, "planted": len(SHAPES[shape][0])}
                    | {"rand": mean(rand), "left_out": mean(held), "found": mean(n)}
                )
    return rows


def criteria(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """What number each criterion takes, and what its clusters have of the planted ones."""
    told: dict[tuple[str, str], list[tuple[float, float]]] = {(m, c): [] for m in BY_COLUMNS for c in CRITERIA}
    for shape in SHAPES:
        for per_class in PER_CLASS:
            for seed in seeds:
                answers, truth = planted(shape, per_class, seed)
                for (method, criterion), values in told.items():
                    bonds = find.links_of(answers, method).bonds
                    tried = numbers(int((bonds.degrees() > 0).sum()) // 2, len(truth))
                    n = chosen_by(criterion, answers, method, tried, seed)
                    found = by_columns(bonds, n, 0, seed)
                    off = abs(n - len(truth)) / len(truth)
                    values.append((off, agreement(found, truth, answers.n_classes)))
    return [
        {"method": method, "criterion": criterion, "cases": len(values)}
        | {"off": mean([off for off, _ in values]), "rand": mean([rand for _, rand in values])}
        | {"exact": sum(off == 0 for off, _ in values)}
        for (method, criterion), values in told.items()
    ]


def at_scale(method: str, n: int, k: int) -> dict[str, Any]:
    """Seconds and memory of clusters of many classes, from the most probable classes of many pictures."""
    answers, truth = planted_sparse(n, k, SEED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    seen = find.links_of(answers, method)
    summed = time.monotonic()
    number = 0 if method == "greedy" else find.best(find.tried(seen.bonds, 0, SEED))
    searched = time.monotonic()
    found = find.find(seen, method, number, 0, SEED)
    ended = time.monotonic()
    made = mistakes(answers)
    return {
        "method": method,
        "pictures": n,
        "classes": k,
        "planted": len(truth),
        "found": len(found),
        "rand": round(agreement(found, truth, k), 4),
        "coverage": round(coverage(made, found), 4),
        "of_planted": round(coverage(made, truth), 4),
        "bonds": len(seen.bonds.weights) // 2,
        "seconds": {
            "sums and bonds": round(summed - start, 1),
            "number": round(searched - summed, 1),
            "clusters": round(ended - searched, 1),
        },
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_mb_before": round(before / 1024),
    }


def spread(values: dict[str, float], percent: bool = False) -> str:
    """A mean with its interval, for the page."""
    factor, digits = (100, 1) if percent else (1, 2)
    value, low, high = (f"{factor * values[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def page(result: dict[str, Any]) -> str:
    """docs/results/clusters.md."""
    lines = ["# Clusters of confused classes, where the truth is planted", ""]
    lines += [
        "| planted | pictures a class | method | clusters found | adjusted Rand index | of the mistakes on other pictures, % |"
    ]
    lines += ["|---|---|---|---|---|---|"]
    for row in result["methods"]:
        lines.append(
            f"| {row['shape']} | {row['per_class']} | {row['method']} | {row['found']['value']:.1f} of {row['planted']} | "
            f"{spread(row['rand'])} | {spread(row['left_out'], percent=True)} |"
        )
    lines += ["", "## The number of clusters", ""]
    lines += ["| method | criterion | cases | exactly right | off by, share of the true number | adjusted Rand index |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in result["criteria"]:
        lines.append(
            f"| {row['method']} | {row['criterion']} | {row['cases']} | {row['exact']} | {spread(row['off'])} | {spread(row['rand'])} |"
        )
    lines += ["", "## Many classes", ""]
    lines += [
        "| method | pictures × classes | planted | found | adjusted Rand index | of the mistakes (planted clusters: ) | seconds: sums and bonds, number, clusters | peak memory (before) |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for row in result["scale"]:
        told = ", ".join(f"{value:,.0f}" for value in row["seconds"].values())
        lines.append(
            f"| {row['method']} | {row['pictures']:,} × {row['classes']:,} | {row['planted']:,} | {row['found']:,} | {row['rand']:.3f} | "
            f"{100 * row['coverage']:.1f} % ({100 * row['of_planted']:.1f} %) | {told} | {row['peak_mb']:,} MB ({row['peak_mb_before']:,} MB) |"
        )
    where = result["machine"]
    return (
        "\n".join(lines)
        + NOTES
        + (
            f"\n{where['cores']} cores {where['processor']}, Python {where['python']}, commit {result['commit']}, seeds "
            f"{result['seeds']}. Reproduce:\n`.venv/bin/python benchmarks/clusters.py --json docs/results/clusters.json`.\n"
        )
    )


NOTES = """

"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", nargs="+", default=["methods", "criteria", "scale"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--scale", type=int, nargs=2, default=[1_000_000, 15_000], metavar=("PICTURES", "CLASSES"))
    parser.add_argument("--one", help="one method at scale, in a process of its own")
    parser.add_argument("--json", type=Path, help="parts that are not measured now are kept as they are there")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(at_scale(chosen.one, *chosen.scale)))
        return
    there = chosen.json is not None and chosen.json.exists()
    result: dict[str, Any] = json.loads(chosen.json.read_text()) if there else {}
    result |= {"methods": [], "criteria": [], "scale": []} if not there else {}
    result |= {
        "claim": "clusters",
        "seeds": chosen.seeds,
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    if "methods" in chosen.parts:
        result["methods"] = methods(chosen.seeds)
    if "criteria" in chosen.parts:
        result["criteria"] = criteria(chosen.seeds)
    if "scale" in chosen.parts:
        result["scale"] = []
        for method in find.METHODS:
            command = [sys.executable, __file__, "--one", method, "--scale", *map(str, chosen.scale)]
            told = subprocess.run(command, check=True, capture_output=True, text=True)
            result["scale"].append(json.loads(told.stdout))
    text = page(result)
    print(text)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
        chosen.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
