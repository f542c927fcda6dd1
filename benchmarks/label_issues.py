"""How fast the label audit is beside cleanlab's, and what the command costs. One run measures all of it.

.venv/bin/python benchmarks/label_issues.py --json docs/results/label_issues.json

Claims: on 1,000,000 x 100 float32 the kernel is at least 4 times as fast as cleanlab's `find_label_issues` with its
defaults (and with the best of the numbers of processes that are tried); the command stays below 300 MB.
The page is written beside the JSON.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit import label_errors

SEED, REPEATS, PEER_REPEATS, WRONG = 7, 5, 2, 0.10

# Linux counts the memory of a process that starts another into the other's peak, so the command is started by a small one.
LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
print(json.dumps({"seconds": time.perf_counter() - start,
    "peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6, "summary": json.loads(done.stdout)}))
"""


def made(n: int, k: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Labels (n,), a tenth of them random, and float32 probabilities (n, k) that mostly know the true class."""
    rng = np.random.default_rng(SEED)
    probs = rng.standard_exponential((n, k), dtype=np.float32) ** 3
    true = rng.integers(0, k, n)
    probs[np.arange(n), true] += probs.sum(axis=1) * 3 * rng.random(n, dtype=np.float32)
    probs /= probs.sum(axis=1, keepdims=True)
    return np.where(rng.random(n) < WRONG, rng.integers(0, k, n), true), probs


def seconds(work: Callable[[], Any], repeats: int) -> tuple[list[float], Any]:
    """Seconds of each repeat, and what the last one answered."""
    taken, answer = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        answer = work()
        taken.append(time.perf_counter() - start)
    return taken, answer


def command(folder: Path, probs: str) -> dict[str, Any]:
    """Whole seconds and peak resident memory (MB of 10^6 bytes) of one run of the command, imports included."""
    words = [str(Path(sys.executable).parent / "secondlook")]
    words += ["label-issues", "--labels", str(folder / "labels.csv"), "--probs", str(folder / probs)]
    words += ["--out", str(folder / "issues.csv"), "--json"]
    done = subprocess.run([sys.executable, "-c", LAUNCHER, *words], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def measure(n: int, k: int) -> dict[str, Any]:
    """All figures of one size."""
    from cleanlab.filter import find_label_issues

    labels, probs = made(n, k)
    label_errors(labels[:1000], probs[:1000])
    ours, found = seconds(lambda: label_errors(labels, probs), REPEATS)
    peers = {}
    for name, options in (("default", {}), ("n_jobs=1", {"n_jobs": 1}), ("n_jobs=2", {"n_jobs": 2})):
        peers[name], mask = seconds(lambda options=options: find_label_issues(labels, probs, **options), PEER_REPEATS)  # type: ignore[misc]
    best = min(peers, key=lambda name: min(peers[name]))
    figures: dict[str, Any] = {
        "n": n,
        "classes": k,
        "dtype": "float32",
        "kernel_s": [round(s, 4) for s in ours],
        "kernel_flagged": int(found.flagged.sum()),
        "cleanlab_s": {name: [round(s, 3) for s in taken] for name, taken in peers.items()},
        "cleanlab_flagged": int(mask.sum()),
        # the slowest of ours beside the fastest of theirs would be a bound; medians are the claim
        "ratio_default": round(statistics.median(peers["default"]) / statistics.median(ours), 1),
        "best_of_cleanlab": best,
        "ratio_best": round(min(peers[best]) / statistics.median(ours), 1),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "c.npy", probs)
        np.save(folder / "f.npy", np.asfortranarray(probs))
        with (folder / "labels.csv").open("w") as stream:
            stream.write("label\n")
            stream.writelines(f"class {label:03d}\n" for label in labels)
        for order, file in (("C", "c.npy"), ("Fortran", "f.npy")):
            runs = [command(folder, file) for _ in range(3)]
            assert runs[0]["summary"]["flagged"] == figures["kernel_flagged"]
            figures[f"command_{order}"] = {
                "seconds": [round(run["seconds"], 2) for run in runs],
                "peak_mb": round(max(run["peak_mb"] for run in runs), 1),
            }
    return figures


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    f, where = result["figures"], result["machine"]
    rows = [("this kernel, one thread", f["kernel_s"]), *((f"cleanlab {n}", s) for n, s in f["cleanlab_s"].items())]
    table = "\n".join(
        f"| {name} | {statistics.median(s):.3f} | {min(s):.3f} – {max(s):.3f} | {len(s)} |" for name, s in rows
    )
    orders = "\n".join(
        f"| {order} | {statistics.median(f[f'command_{order}']['seconds']):.2f} | {f[f'command_{order}']['peak_mb']:.0f} |"
        for order in ("C", "Fortran")
    )
    return f"""# Speed of the label audit

{f["n"]:,} rows x {f["classes"]} classes of float32, made from seed {result["seed"]}; both kernels get the same arrays in memory, in
one run. cleanlab {result["cleanlab"]} `find_label_issues`, its defaults and with 1 and 2 processes.

| | median s | range | runs |
|---|---|---|---|
{table}

**{f["ratio_default"]} times as fast** as cleanlab's defaults, {f["ratio_best"]} times as its fastest run ({f["best_of_cleanlab"]}). The two
don't compute the same: cleanlab estimates noise rates first, and its flags differ ({f["cleanlab_flagged"]:,}; ours
{f["kernel_flagged"]:,}). Which flags are better is measured in [published_probs.md](published_probs.md).

The command `secondlook label-issues`, labels from CSV, probabilities from a `.npy` file (just written, so in the page cache), the
answer of {f["n"]:,} rows written as CSV; whole seconds with imports, the process's peak resident memory, 3 runs each:

| order of the array | median s | peak MB |
|---|---|---|
{orders}

Machine: {where["cores"]} cores {where["processor"]}, {where["memory_gib"]} GiB, Python {where["python"]}, numpy {result["numpy"]}; commit
{result["commit"]}. Reproduce: `.venv/bin/python benchmarks/label_issues.py --json docs/results/label_issues.json`.
"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--classes", type=int, default=100)
    arguments = parser.parse_args()
    result = {
        "claim": "label_issues",
        "figures": measure(arguments.rows, arguments.classes),
        "seed": SEED,
        "cleanlab": metadata.version("cleanlab"),
        "numpy": np.__version__,
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
