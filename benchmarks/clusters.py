"""Clusters of confused classes on made predictions, where the truth is planted: methods, criteria for their number, and 15,000 classes.

.venv/bin/python benchmarks/clusters.py --json docs/results/clusters.json

The criterion was chosen on seeds 0 and 1; what is told is of seeds 100 and up. `plain` is k-means on the columns of the covariance (or
of the confusion matrix) as they are, with the background that all classes have.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
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
from secondlook.pipeline.learn.clusters.stability import stability

SEED = 7
PER_CLASS = (20, 100)
BY_COLUMNS = ("covariance", "confusion")
CRITERIA = ("excess", "excess of left-out mistakes", "silhouette", "gap statistic")
CIFAR = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
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
    return {
        "value": round(float(np.mean(values)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "n": len(values),
    }


def methods(shape: str, per_class: int, seed: int) -> list[dict[str, Any]]:
    """What each method recovers of the planted clusters, and holds of the mistakes on other pictures."""
    ways: dict[str, Callable[[Answers, int], list[Cluster]]] = {
        "covariance": lambda a, n: find.find(find.links_of(a, "covariance"), "covariance", 0, 0, seed),
        "confusion": lambda a, n: find.find(find.links_of(a, "confusion"), "confusion", 0, 0, seed),
        "greedy": lambda a, n: find.find(find.links_of(a, "greedy"), "greedy"),
        "greedy, largest 20": lambda a, n: find.find(find.links_of(a, "greedy"), "greedy", 0, 20),
        "plain covariance, true number": lambda a, n: plain(a, "covariance", n, seed),
        "plain confusion, true number": lambda a, n: plain(a, "confusion", n, seed),
    }
    answers, truth = planted(shape, per_class, seed)
    others = mistakes(planted(shape, per_class, seed, others=True)[0])
    rows = []
    for name, way in ways.items():
        found = way(answers, len(truth))
        rand = round(agreement(found, truth, answers.n_classes), 4)
        rows.append({"method": name, "found": len(found), "rand": rand, "left_out": round(coverage(others, found), 4)})
    return rows


def criteria(shape: str, per_class: int, seed: int) -> list[dict[str, Any]]:
    """What number each criterion takes, and what its clusters have of the planted ones."""
    answers, truth = planted(shape, per_class, seed)
    rows = []
    for method in BY_COLUMNS:
        bonds = find.links_of(answers, method).bonds
        tried = numbers(int((bonds.degrees() > 0).sum()) // 2, len(truth))
        for criterion in CRITERIA:
            n = chosen_by(criterion, answers, method, tried, seed)
            rand = round(agreement(by_columns(bonds, n, 0, seed), truth, answers.n_classes), 4)
            rows.append({"method": method, "criterion": criterion, "n": n, "planted": len(truth), "rand": rand})
    return rows


def found(answers: Answers, n: int, method: str, largest: int) -> list[Cluster]:
    """Clusters of some answers."""
    return find.find(find.links_of(answers, method), method, n, largest, SEED)


def cifar10n() -> list[dict[str, Any]]:
    """Clusters of the published probabilities on CIFAR-10N, with their stability; nothing where the data are not there."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not (folder / "cifar10n-probs").exists():
        return []
    probs = np.load(folder / "cifar10n-probs" / "aggre-resnet18.npy")
    with (folder / "cifar10n" / "train.csv").open() as stream:
        labels = np.array([CIFAR.index(row["aggre"]) for row in csv.DictReader(stream)])
    rows = []
    for n in (50_000, 2_000):
        some = generator(SEED, "cifar10n").permutation(len(labels))[:n]
        answers = Answers.whole(probs[some], labels[some])
        for method in find.METHODS:
            largest = 4 if method == "greedy" else 0
            clusters = found(answers, 0, method, largest)
            again = partial(found, n=len(clusters), method=method, largest=largest)
            firm = stability(answers, clusters, again, 20, generator(SEED, "draws"))
            told = {"rand": asdict(firm.rand), "left_out": asdict(firm.coverage), "excess": asdict(firm.excess)}
            rows.append(
                {"pictures": n, "method": method, "clusters": [[CIFAR[i] for i in one] for one in clusters]} | told
            )
    return rows


def at_scale(method: str, n: int, k: int) -> dict[str, Any]:
    """Seconds and memory of clusters of many classes, from the most probable classes of many pictures."""
    answers, truth = planted_sparse(n, k, SEED)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, busy = time.monotonic(), time.process_time()
    seen = find.links_of(answers, method)
    summed = time.monotonic()
    number = 0 if method == "greedy" else find.best(find.tried(seen.bonds, 0, SEED))
    searched = time.monotonic()
    found = find.find(seen, method, number, 0, SEED)
    ended, busy = time.monotonic(), time.process_time() - busy
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
        "cpu_seconds": round(busy, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "peak_mb_before": round(before / 1024),
    }


def grouped(rows: list[dict[str, Any]], *names: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Rows by what they have under some names, in the order in which these come."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    return groups


def spread(values: dict[str, float], percent: bool = False) -> str:
    """A mean with its interval, for the page."""
    factor, digits = (100, 1) if percent else (1, 2)
    value, low, high = (f"{factor * values[name]:.{digits}f}" for name in ("value", "low", "high"))
    return f"{value} ({low} to {high})" if values.get("n", 2) > 1 else value


def page(result: dict[str, Any]) -> str:
    """docs/results/clusters.md."""
    lines = ["# Clusters of confused classes, where the truth is planted", ""]
    lines += [
        "| planted | pictures a class | method | clusters found | adjusted Rand index | of the mistakes on other pictures, % |"
    ]
    lines += ["|---|---|---|---|---|---|"]
    for (shape, per_class, method), rows in grouped(result["methods"], "shape", "per_class", "method").items():
        found, rand, held = (mean([row[name] for row in rows]) for name in ("found", "rand", "left_out"))
        lines.append(
            f"| {shape} | {per_class} | {method} | {found['value']:.1f} of {len(SHAPES[shape][0])} | {spread(rand)} | "
            f"{spread(held, percent=True)} |"
        )
    lines += ["", "## The number of clusters", ""]
    lines += ["| method | criterion | exactly right | off by, share of the true number | adjusted Rand index |"]
    lines += ["|---|---|---|---|---|"]
    for (method, criterion), rows in grouped(result["criteria"], "method", "criterion").items():
        off = [abs(row["n"] - row["planted"]) / row["planted"] for row in rows]
        lines.append(
            f"| {method} | {criterion} | {sum(one == 0 for one in off)} of {len(off)} | {spread(mean(off))} | "
            f"{spread(mean([row['rand'] for row in rows]))} |"
        )
    lines += ["", "## CIFAR-10N, a published ResNet-18", ""]
    lines += [
        "| pictures | method | clusters | adjusted Rand index, 20 draws | of the mistakes on left-out pictures, % | beyond chance, % |"
    ]
    lines += ["|---|---|---|---|---|---|"]
    for row in result["cifar10n"]:
        rand, held, beyond = ({"value": one["mean"]} | one for one in (row["rand"], row["left_out"], row["excess"]))
        lines.append(
            f"| {row['pictures']:,} | {row['method']} | {'; '.join(' '.join(one) for one in row['clusters'])} | {spread(rand)} | "
            f"{spread(held, percent=True)} | {spread(beyond, percent=True)} |"
        )
    lines += ["", "## Many classes", ""]
    lines += [
        "| method | pictures × classes | planted | found | adjusted Rand index | of the mistakes (planted clusters) | seconds: sums and bonds, number, clusters | of the CPU | peak memory (before) |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for row in result["scale"]:
        told = ", ".join(f"{value:,.0f}" for value in row["seconds"].values())
        lines.append(
            f"| {row['method']} | {row['pictures']:,} × {row['classes']:,} | {row['planted']:,} | {row['found']:,} | {row['rand']:.3f} | "
            f"{100 * row['coverage']:.1f} % ({100 * row['of_planted']:.1f} %) | {told} | {row.get('cpu_seconds', '–')} | {row['peak_mb']:,} MB ({row['peak_mb_before']:,} MB) |"
        )
    where = result["machine"]
    return (
        "\n".join(lines)
        + NOTES
        + (
            f"\n{where['cores']} cores {where['processor']}, Python {where['python']}, commit {result['commit']}, seeds "
            f"{sorted({row['seed'] for row in result['methods']})}. Reproduce:\n`.venv/bin/python benchmarks/clusters.py --json docs/results/clusters.json`.\n"
        )
    )


NOTES = """

* `plain` is k-means on the columns of the covariance, or of the confusion matrix, as they are, and it is told the true number.
  It puts most classes into one cluster, those that nobody confuses among them, and so holds as many mistakes. secondlook's
  methods are not told the number, and look at what exceeds the background.
* Greedy clusters hold up to 8 classes: where more were planted they can't be found whole. With room for 20 they can overlap.
* Adjusted Rand index over pairs of classes; classes in no cluster are alone. Intervals: bootstrap over seeds (methods; none where
  only one seed was measured, which says nothing of how much seeds differ) and over
  shapes, pictures a class and seeds (criteria). Method and criterion were chosen on other made predictions, of seeds 0 and 1.
* Of the criteria, excess is the verb's; that of left-out mistakes takes too few clusters, the gap statistic fits no columns of
  length one. On columns of the confusion, excess and silhouette do alike. Criteria choose among the same 20 numbers, the true one among them. The verb tries each number up to 60.
* Many classes: the 20 most probable ones of each picture; three in ten classes are in no planted cluster. On one thread of a
  machine that was shared by several measurements: seconds by the clock are several times those of the CPU.
"""


def measured(part: str, shapes: Sequence[str], seeds: Sequence[int]) -> list[dict[str, Any]]:
    """The rows of a part, of every shape, number of pictures and seed."""
    measure = methods if part == "methods" else criteria
    return [
        {"shape": shape, "per_class": per_class, "seed": seed} | row
        for shape in shapes
        for per_class in PER_CLASS
        for seed in seeds
        for row in measure(shape, per_class, seed)
    ]


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parts", nargs="+", default=["methods", "criteria", "cifar10n", "scale"])
    parser.add_argument("--shapes", type=int, nargs="+", default=list(range(len(SHAPES))), metavar="NUMBER")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--scale", type=int, nargs=2, default=[1_000_000, 15_000], metavar=("PICTURES", "CLASSES"))
    parser.add_argument("--methods", nargs="+", default=list(find.METHODS), help="at scale")
    parser.add_argument("--one", help="one method at scale, in a process of its own")
    parser.add_argument("--json", type=Path, help="what is there is kept but for what is measured again")
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(at_scale(chosen.one, *chosen.scale)))
        return
    there = chosen.json is not None and chosen.json.exists()
    result: dict[str, Any] = json.loads(chosen.json.read_text()) if there else {}
    shapes = [list(SHAPES)[number] for number in chosen.shapes]
    for part in {"methods", "criteria"} & set(chosen.parts):
        kept = [row for row in result.get(part, []) if row["shape"] not in shapes or row["seed"] not in chosen.seeds]
        order = list(SHAPES)
        rows = kept + measured(part, shapes, chosen.seeds)
        result[part] = sorted(rows, key=lambda row: (order.index(row["shape"]), row["per_class"], row["seed"]))
    if "cifar10n" in chosen.parts:
        result["cifar10n"] = cifar10n() or result.get("cifar10n", [])
    for method in chosen.methods if "scale" in chosen.parts else []:
        command = [sys.executable, __file__, "--one", method, "--scale", *map(str, chosen.scale)]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        kept = [row for row in result.get("scale", []) if (row["method"], row["classes"]) != (method, told["classes"])]
        result["scale"] = sorted([*kept, told], key=lambda row: (row["classes"], row["method"]))
    result |= {"claim": "clusters", "machine": provenance.machine(), "commit": provenance.commit()}
    text = page({"methods": [], "criteria": [], "cifar10n": [], "scale": []} | result)
    print(text)
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
        chosen.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
