"""What became of benchmarks/gpu.py: its JSON files and weights → docs/results/models.json, .md and .svg.

    .venv/bin/python benchmarks/models.py --runs runs/*.json --kept runs/kept --data ../shared/data --json docs/results/models.json

Students are made ONNX files, in float and in int8, and measured here, all in one run on one thread; everything else is from the JSON files.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import gpu_data
import models_frontier
import models_page
import numpy as np
from gpu_plan import PLANS

from secondlook.jobs.machine import provenance

DRAWS = 10_000
GOAL = 0.044


def bits(text: str, n: int) -> Any:
    """(n,) bool of what gpu.py packed."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8), count=n).astype(bool)


def drawn(before: Any, after: Any, rng: np.random.Generator, *, relative: bool) -> dict[str, Any]:
    """after over before - 1 (or after - before) of right answers (seeds, n): the mean over seeds, with an interval of other pictures and
    other seeds: both are drawn again."""
    seeds, n = before.shape
    found = np.empty(DRAWS)
    for draw in range(DRAWS):
        which = rng.integers(seeds, size=seeds)
        times = rng.multinomial(n, np.full(n, 1 / n))
        first, second = before[which] @ times / n, after[which] @ times / n
        found[draw] = np.mean(second / first - 1 if relative else second - first)
    first, second = before.mean(axis=1), after.mean(axis=1)
    each = second / first - 1 if relative else second - first
    low, high = np.quantile(found, (0.025, 0.975))
    return {
        "value": round(float(each.mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "by_seed": [round(float(one), 4) for one in each],
    }


def of_specialists(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Gains over the control and over the generalist, all seeds together."""
    seeds = sorted((one for run in runs for one in run.get("seeds", [])), key=lambda one: one["seed"])
    if not seeds:
        return {}
    n = seeds[0]["generalist"]["accuracy"]["n"]
    right = {
        arm: np.array([bits(one["specialists"]["right"][arm], n) for one in seeds], float)
        for arm in ("generalist", "kept", "all", "control")
    }
    rng = np.random.default_rng(0)
    cover: dict[int, dict[str, int]] = defaultdict(lambda: {"n": 0, "right_before": 0, "right_after": 0})
    for one in seeds:
        for row in one["specialists"]["by_cover"]:
            for key in ("n", "right_before", "right_after"):
                cover[row["specialists"]][key] += row[key]
    number = [one["seed"] for one in seeds]
    return {
        "relative_gain": drawn(right["control"], right["kept"], rng, relative=True) | {"seeds": number},
        "relative_gain_of_all": drawn(right["control"], right["all"], rng, relative=True) | {"seeds": number},
        "over_generalist": drawn(right["generalist"], right["kept"], rng, relative=True) | {"seeds": number},
        "all_over_generalist": drawn(right["generalist"], right["all"], rng, relative=True) | {"seeds": number},
        "control_over_generalist": drawn(right["generalist"], right["control"], rng, relative=True) | {"seeds": number},
        "accuracy": {arm: round(float(one.mean()), 4) for arm, one in right.items()},
        "conditional": {
            arm: round(float(np.mean([one["specialists"]["conditional"][arm]["value"] for one in seeds])), 4)
            for arm in ("generalist", "kept", "all", "control")
        },
        "by_cover": [{"specialists": k, **cover[k]} for k in sorted(cover)],
        "kept": [one["specialists"]["kept"] for one in seeds],
        "tried": [len(one["specialists"]["clusters"]) for one in seeds],
        "cost_in_pictures": [one["specialists"]["cost_in_pictures"] for one in seeds],
        "control": [one["specialists"]["control"] for one in seeds],
        "clusters": seeds[0]["specialists"]["clusters"],
        "n_test": n,
    }


def of_students(runs: list[dict[str, Any]], n: int) -> dict[str, Any]:
    """The main student by what it was fitted to, beside its teacher and itself without one: by seed and over all."""
    rows = [row for run in runs for row in run["students"]]
    by_way: dict[str, dict[int, Any]] = defaultdict(dict)
    main = next(row["net"] for row in rows if row["way"] == "alone")
    for row in rows:
        if row["way"] == "teacher" or (row["net"] == main and row["image_px"] == rows[0]["image_px"]):
            by_way[row["way"]][row["seed"]] = bits(row["right"], n).astype(float)
    rng = np.random.default_rng(0)
    found = {}
    for way, hits in by_way.items():
        seeds = sorted(set(hits) & set(by_way["teacher"]) & set(by_way["alone"]))
        mine, teacher, alone = (
            np.array([one[seed] for seed in seeds]) for one in (hits, by_way["teacher"], by_way["alone"])
        )
        found[way] = {
            "seeds": seeds,
            "accuracy": round(float(mine.mean()), 4),
            "below_teacher": drawn(mine, teacher, rng, relative=False),
            "over_alone": drawn(alone, mine, rng, relative=False),
        }
    return {"net": main, "ways": found}


def of_cifar(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The student and its teacher by the labels that both were fitted to, on the published labels of the test pictures."""
    rows = [row for run in runs for row in run["students"]]
    if not rows:
        return {}
    n = runs[0]["n_test"]
    rng, found = np.random.default_rng(0), {}
    hits: dict[tuple[str, str], dict[int, Any]] = defaultdict(dict)
    for row in rows:
        hits[row["labels"], row["way"]][row["seed"]] = bits(row["right"], n).astype(float)
    for way in sorted({way for _, way in hits}):
        seeds = sorted(set(hits["random1", way]) & set(hits["after", way]))
        before, after = (np.array([hits[labels, way][seed] for seed in seeds]) for labels in ("random1", "after"))
        found[way] = {
            "before": round(float(before.mean()), 4),
            "after": round(float(after.mean()), 4),
            "gain": drawn(before, after, rng, relative=False) | {"seeds": seeds},
        }
    first = {row["way"]: {key: row[key] for key in ("net", "parameters")} for row in rows}
    return {
        "n": runs[0]["n"],
        "n_test": n,
        "labels_right": runs[0]["labels"],
        "nets": first,
        "arms": found,
        "folds": runs[0].get("folds"),
    }


def main() -> None:
    """Measure, put together, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--kept", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", type=Path, required=True)
    options = parser.parse_args()
    runs = [json.loads(file.read_text()) for file in options.runs]
    tiny = [run for run in runs if run["claim"] == "tinyimagenet100"]
    plan = PLANS["tinyimagenet100"][tiny[0]["size"]]
    pictures = gpu_data.tinyimagenet100(options.data / "tinyimagenet100", plan.image_px, plan.most)
    special = of_specialists(tiny)
    number = {name: i for i, name in enumerate(pictures.classes)}
    clusters = [np.array([number[name] for name in one]) for one in special.get("clusters", [])]
    rows = [row for run in tiny for row in run["students"] if row["seed"] == 1]
    files = models_frontier.files(rows, plan, options.kept, pictures)
    report = {
        "claim": "models",
        "specialists": special,
        "main_student": of_students([run for run in tiny if run["students"]], tiny[0]["n_test"]),
        "students": models_frontier.points(files, plan, options.kept, pictures, clusters),
        "cifar10n": of_cifar([run for run in runs if run["claim"] == "cifar10n"]),
        "n": tiny[0]["n"],
        "n_test": tiny[0]["n_test"],
        "size": tiny[0]["size"],
        "goal": GOAL,
        "machine": provenance.machine(),
        "fitted_on": tiny[0]["machine"],
        "commit": provenance.commit(),
    }
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    options.json.with_suffix(".md").write_text(models_page.page(report))
    models_page.plot(report, options.json.with_suffix(".svg"))


if __name__ == "__main__":
    main()
