"""Generalists, specialists and students on one machine with a GPU; needs torch, numpy, pillow, transformers and safetensors alone.

    python benchmarks/gpu.py tinyimagenet100 --data ../shared/data --json tinyimagenet100.json
    python benchmarks/gpu.py cifar10n --data ../shared/data --json cifar10n.json

No lake and no Spark: the fits are those of the product (pipeline/learn), their pictures come from one zip. Without a GPU
it does the same with smaller nets (`--size cpu`, hours on two cores: `--kept` keeps each fit, so that a run that was cut short goes on, and
`--seeds` and `--parts` cut it up), and with `--tiny` in a minute what a test can look at. What becomes of the JSON: benchmarks/models.py.
"""

import argparse
import json
import sys
import tempfile
import time
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def _importable() -> None:
    """`import secondlook` where nobody installed it: its folders stand beside this one."""
    try:
        import secondlook.pipeline  # noqa: F401
    except ImportError:
        package = types.ModuleType("secondlook")
        package.__path__ = [str(ROOT)]
        sys.modules["secondlook"] = package


_importable()

import gpu_data  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from gpu_fits import Bench, share  # noqa: E402
from gpu_plan import PLANS, Plan  # noqa: E402

from secondlook.pipeline.learn.students.teachers import alone  # noqa: E402
from secondlook.pipeline.learn.torch_setup import device  # noqa: E402

PARTS = ("generalist", "specialists", "main", "ways", "others", "peer", "folds")


def tinyimagenet100(
    bench: Bench, plan: Plan, seeds: list[int], parts: set[str], choose: dict[int, Any]
) -> dict[str, Any]:
    """Generalist, clusters, specialists and their control for each seed; students of the generalist."""
    import gpu_specialists
    import gpu_students

    labels = torch.from_numpy(bench.pictures.train.labels)
    found: dict[str, Any] = {"seeds": [], "students": []}
    for seed in seeds:
        bench.rows, rest = choose[seed]
        net = gpu_specialists.generalist(bench, plan, seed, labels)
        if "specialists" in parts:
            found["seeds"].append(gpu_specialists.measured(bench, plan, seed, rest))
        if parts & {"main", "ways", "others", "peer"}:
            teach = alone(net)
            found["students"] += gpu_students.measured(bench, plan, seed, labels, net, teach, parts)
    return found


def cifar10n(bench: Bench, plan: Plan, seeds: list[int], parts: set[str], choose: dict[int, Any]) -> dict[str, Any]:
    """A generalist and its student by each kind of labels, on the published labels of the test pictures; cross-fits."""
    import gpu_specialists
    import gpu_students

    found: dict[str, Any] = {"students": [], "labels": {}}
    told = {"clean": bench.pictures.train.labels, **bench.pictures.told}
    for column in plan.columns:
        if column not in told:
            continue
        labels = torch.from_numpy(told[column])
        found["labels"][column] = round(float((told[column] == told["clean"]).mean()), 4)
        for seed in seeds:
            net = gpu_specialists.generalist(bench, plan, seed, labels, f"generalist-{column}")
            within = Bench(bench.pictures, bench.where, bench.kept / column, bench.rows)
            within.kept.mkdir(exist_ok=True)
            rows = gpu_students.measured(within, plan, seed, labels, net, alone(net), {"main"})
            rows[0]["seconds"] = bench.seconds[f"generalist-{column}-{seed}"]
            found["students"] += [one | {"labels": column} for one in rows]
    if "folds" in parts:
        found["folds"] = cross_fit(bench, plan, torch.from_numpy(told["aggre"]))
    return found


def cross_fit(bench: Bench, plan: Plan, labels: torch.Tensor, n_folds: int = 5) -> dict[str, Any]:
    """How long it takes until every training picture has a probability that was not learned from it."""
    import gpu_specialists

    everything, began, right = bench.rows, time.perf_counter(), []
    fold = np.random.default_rng(0).integers(0, n_folds, len(everything))
    for number in range(n_folds):
        bench.rows = everything[fold != number]
        held = everything[fold == number]
        net = gpu_specialists.generalist(bench, plan, 100 + number, labels, "fold")
        said = bench.said(net, bench.pictures.train.pixels[held], plan.recipe)
        right.append(said.argmax(axis=1) == bench.pictures.train.labels[held])
    bench.rows = everything
    return {
        "folds": n_folds,
        "seconds": round(time.perf_counter() - began, 1),
        "accuracy": share(np.concatenate(right)),
    }


RUNS = {"tinyimagenet100": tinyimagenet100, "cifar10n": cifar10n}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=sorted(RUNS))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="folder of the datasets")
    parser.add_argument(
        "--after", type=Path, help="cifar10n: a table file,label of what a review loop made of the labels"
    )
    parser.add_argument("--size", choices=("auto", "gpu", "cpu"), default="auto")
    parser.add_argument("--tiny", action="store_true", help="few pictures, tiny nets: to see that it runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--columns", nargs="+", help="cifar10n: kinds of labels, if not those of the plan")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--kept", type=Path, help="folder for the weights of all fits")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    began, where = time.perf_counter(), device("auto")
    size = (
        "tiny" if options.tiny else options.size if options.size != "auto" else "gpu" if where.type == "cuda" else "cpu"
    )
    plan = PLANS[options.dataset][size]
    if options.columns:
        plan = replace(plan, columns=tuple(options.columns))
    pictures = (
        gpu_data.cifar10n(options.data / "cifar10n", plan.image_px, plan.most, options.after)
        if options.dataset == "cifar10n"
        else gpu_data.tinyimagenet100(options.data / "tinyimagenet100", plan.image_px, plan.most)
    )
    seeds = options.seeds[:1] if options.tiny else options.seeds
    n = len(pictures.train.labels)
    print(f"{n:,} pictures read in {time.perf_counter() - began:.0f} s; {size}, on {where}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        kept = options.kept or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        bench = Bench(pictures, where, kept, np.arange(n))
        choose = {seed: gpu_data.halves(pictures.train.labels, plan.choice, seed) for seed in seeds}
        found = RUNS[options.dataset](bench, plan, seeds, set(options.parts), choose)
    report = {
        "claim": options.dataset,
        "size": size,
        "n": n,
        "n_test": len(pictures.test.labels),
        "classes": pictures.classes,
        "machine": torch.cuda.get_device_name() if where.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "seconds": round(time.perf_counter() - began),
        **found,
    }
    if options.json:
        options.json.write_text(json.dumps(report) + "\n")
    print(json.dumps({key: report[key] for key in ("claim", "size", "n", "machine", "seconds")}))


if __name__ == "__main__":
    main()
