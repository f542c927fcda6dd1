"""How fast the label audit is beside cleanlab's, what the command costs, and how both grow to thousands of classes.

.venv/bin/python benchmarks/label_issues.py --json docs/results/label_issues.json

One run measures all of it, on made data. Claims: on 1,000,000 x 100 and 200,000 x 1,000 float32 the kernel, its choice of the
margin included, is at least 4 times as fast as cleanlab's `find_label_issues` with its defaults, and faster than its
batched variant, which takes one pass and chooses nothing; the command stays below 300 MB; with each row's 20 most probable
of 4,000 classes, seconds grow linearly from 100,000 to 5,000,000 rows in the kernel, the command and Spark, which flag the
very same labels. The page is written beside the JSON. About ten minutes on two cores.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import label_issues_sparse as sparse
import numpy as np
import numpy.typing as npt

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit import label_errors

SEED, REPEATS, PEER_REPEATS, WRONG = 7, 5, 2, 0.10
DENSE = ((1_000_000, 100), (200_000, 1000))
SPARSE = (1_000, 100_000, 300_000, 1_000_000, 5_000_000)  # the first says what a start costs

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


PEERS = {
    "find_label_issues": """
import json, sys, numpy
from cleanlab.filter import find_label_issues
found = find_label_issues(numpy.load(sys.argv[1]), numpy.load(sys.argv[2]))
print(json.dumps({"flagged": int(found.sum())}))
""",
    "find_label_issues_batched": """
import json, sys
from cleanlab.experimental.label_issues_batched import find_label_issues_batched
found = find_label_issues_batched(labels_file=sys.argv[1], pred_probs_file=sys.argv[2], verbose=False)
print(json.dumps({"flagged": len(found)}))
""",
}


def process(words: list[str], repeats: int) -> dict[str, Any]:
    """Whole seconds of each run of a command, imports included, and its peak resident memory (MB of 10^6 bytes)."""
    runs = []
    for _ in range(repeats):
        done = subprocess.run([sys.executable, "-c", LAUNCHER, *words], capture_output=True, text=True, check=True)
        runs.append(json.loads(done.stdout))
    return {
        "seconds": [round(run["seconds"], 2) for run in runs],
        "peak_mb": round(max(run["peak_mb"] for run in runs), 1),
        "flagged": runs[0]["summary"]["flagged"],
    }


def dense(n: int, k: int) -> dict[str, Any]:
    """All figures of one full table: kernels on arrays in memory, and processes that read them from files."""
    from cleanlab.experimental.label_issues_batched import find_label_issues_batched
    from cleanlab.filter import find_label_issues

    labels, probs = made(n, k)
    label_errors(labels[:1000], probs[:1000])
    ours, found = seconds(lambda: label_errors(labels, probs), REPEATS)
    default, mask = seconds(lambda: find_label_issues(labels, probs), PEER_REPEATS)
    batched, batch = seconds(lambda: find_label_issues_batched(labels, probs, verbose=False), PEER_REPEATS)
    figures: dict[str, Any] = {
        "n": n,
        "classes": k,
        "dtype": "float32",
        "margin": round(found.margin, 4),
        "kernel_s": [round(s, 4) for s in ours],
        "cleanlab_s": {"default": [round(s, 3) for s in default], "batched": [round(s, 3) for s in batched]},
        "flagged": {"kernel": int(found.flagged.sum()), "default": int(mask.sum()), "batched": len(batch)},
        "ratio_default": round(statistics.median(default) / statistics.median(ours), 1),
        "ratio_batched": round(statistics.median(batched) / statistics.median(ours), 1),
        # the slowest of ours beside the fastest of theirs
        "ratio_at_least": round(min(default + batched) / max(ours), 1),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "labels.npy", labels)
        np.save(folder / "c.npy", probs)
        np.save(folder / "f.npy", np.asfortranarray(probs))
        with (folder / "labels.csv").open("w") as stream:
            stream.write("label\n")
            stream.writelines(f"class {label:04d}\n" for label in labels)
        program = str(Path(sys.executable).parent / "secondlook")
        (folder / "classes.txt").write_text("".join(f"class {label:04d}\n" for label in range(k)))
        words = [program, "label-issues", "--labels", str(folder / "labels.csv"), "--out", str(folder / "issues.csv")]
        words += ["--classes", str(folder / "classes.txt")]
        figures["processes"] = {
            f"secondlook label-issues, {order}": process([*words, "--json", "--probs", str(folder / file)], 3)
            for order, file in (("C", "c.npy"), ("Fortran", "f.npy"))
        }
        for peer, code in PEERS.items():
            files = [str(folder / "labels.npy"), str(folder / "c.npy")]
            figures["processes"][f"cleanlab {peer}"] = process([sys.executable, "-c", code, *files], 1)
    assert figures["processes"]["secondlook label-issues, C"]["flagged"] == figures["flagged"]["kernel"]
    return figures


def grown(sizes: list[int]) -> dict[str, Any]:
    """All figures of top-k lists, and how seconds grow with rows."""
    rows = sparse.measure(sizes, 3)
    seconds_of = {
        "kernel": [(row["n"], s) for row in rows for s in row["kernel_s"]],
        "command": [(row["n"], s) for row in rows for s in row["command"]["seconds"]],
        "spark": [(row["n"], row["spark"]["audit_s"]) for row in rows],
    }
    growth = {name: sparse.exponent(points) for name, points in seconds_of.items()}
    return {"classes": sparse.CLASSES, "top": sparse.TOP, "rows": rows, "exponent": growth}


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    where = result["machine"]
    return f"""# Speed of the label audit

All data are made, from seed {result["seed"]}. Every figure comes from one run.

{"".join(_dense_section(figures) for figures in result["dense"])}
The kernels don't compute the same: cleanlab estimates noise rates first, and its flags differ. Which flags are better is
measured in [published_probs.md](published_probs.md). The kernel reads the table once, for the choice of the margin and the flags.
The command reads the file twice (it was just written, so it is in the page cache), labels from CSV, and writes a row for
every image; cleanlab's processes get labels as an array and write nothing.

{_sparse_section(result["sparse"])}
Machine: {where["cores"]} cores {where["processor"]}, {where["memory_gib"]} GiB, Python {where["python"]}, numpy {result["numpy"]}, cleanlab {result["cleanlab"]};
commit {result["commit"]}. Reproduce: `.venv/bin/python benchmarks/label_issues.py --json docs/results/label_issues.json`.
"""


def _dense_section(f: dict[str, Any]) -> str:
    rows = [("this kernel, one thread, margin chosen", f["kernel_s"], "kernel")]
    rows += [(f"cleanlab `find_label_issues`, {name}", taken, name) for name, taken in f["cleanlab_s"].items()]
    table = "\n".join(
        f"| {name} | {statistics.median(s):.3f} | {min(s):.3f} – {max(s):.3f} | {len(s)} | {f['flagged'][key]:,} |"
        for name, s, key in rows
    )
    processes = "\n".join(
        f"| {name} | {statistics.median(told['seconds']):.2f} | {len(told['seconds'])} | {told['peak_mb']:.0f} |"
        for name, told in f["processes"].items()
    )
    return f"""## {f["n"]:,} rows x {f["classes"]:,} classes, {f["dtype"]}

| kernel, arrays in memory | median s | range | runs | flagged |
|---|---|---|---|---|
{table}

**{f["ratio_default"]} times as fast** as cleanlab's defaults, {f["ratio_batched"]} times as its batched variant (medians; our slowest run beside
their fastest: {f["ratio_at_least"]} times).

| whole process, arrays in files | median s | runs | peak MB |
|---|---|---|---|
{processes}

"""


def _sparse_section(f: dict[str, Any]) -> str:
    table = "\n".join(
        f"| {r['n']:,} | {r['flagged']:,} | {statistics.median(r['kernel_s']):.2f} |"
        f" {statistics.median(r['command']['seconds']):.1f} |"
        f" {r['command']['peak_mb']} | {r['spark']['audit_s']:.1f} | {r['spark']['peak_mb']:,} | {r['spark']['jaccard_with_kernel']:.6f} |"
        for r in f["rows"]
    )
    growth = ", ".join(
        f"{name} {fit['value']:.2f} ({fit['interval'][0]:.2f} to {fit['interval'][1]:.2f})"
        for name, fit in f["exponent"].items()
    )
    last = f["rows"][-1]
    local = [r for r in f["rows"] if "local" in r][-1]
    gigabytes = last["n"] * f["classes"] * 4 / 1e9
    return f"""## {f["classes"]:,} classes, each row's {f["top"]} most probable

The full table of the last row would be {gigabytes:.0f} GB of float32; cleanlab takes no lists. `label-issues` reads them from an `.npz`
file and labels from CSV. Spark is `secondlook lint`'s SL101 and SL102 over a lake, two passes on {f["rows"][0]["spark"]["cores"]} cores with its
defaults (a JVM of 1 GB), findings with their evidence brought back; its start ({last["spark"]["start_s"]:.0f} s) is not counted. Peak memory is of
the whole tree of processes, shared pages once. Jaccard: labels that Spark flags beside those of the kernel.

| rows | flagged | kernel s | command s | MB | Spark s | MB | Jaccard |
|---|---|---|---|---|---|---|---|
{table}

Exponent in rows of the seconds beyond those of {f["rows"][0]["n"]:,} rows (what a start costs), with its 95 % interval: {growth}. 1 is
linear.
The same audit of a lake in this process, without Spark: {local["n"]:,} rows in {local["local"]["audit_s"]:.1f} s and {local["local"]["peak_mb"]:,} MB, as it holds the
predictions; from 1,000,000 pictures `lint` takes Spark by itself.
"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    parser.add_argument("--small", action="store_true", help="a hundredth of the rows, to see that it runs")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", "May not flag all label issues")  # cleanlab, of every small class
    share = 100 if arguments.small else 1
    result = {
        "claim": "label_issues",
        "dense": [dense(n // share, k) for n, k in DENSE],
        "sparse": grown([n // share for n in SPARSE]),
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
