"""The part of label_issues.py with thousands of classes: each image's 20 most probable ones, from 100,000 to 5,000,000 rows.

Made data only. `audit_lake` is started as a process of its own, so that its memory (Spark's JVM and workers) can be seen.
"""

import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import stats

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.lint import labels
from secondlook.jobs.lint.on_driver import LocalTables
from secondlook.jobs.lint.on_spark import SparkTables
from secondlook.jobs.machine.spark import session
from secondlook.pipeline.audit.labels.calibrated import NotYet
from secondlook.pipeline.audit.labels.mislabels import label_errors_topk
from secondlook.pipeline.core.config import LintSettings, SparkSettings
from secondlook.pipeline.core.schemas import TABLES

CLASSES, TOP, WRONG, SEED = 4000, 20, 0.05, 7
CHUNK = 250_000  # rows that are made, or written to the lake, at a time
LOCAL_ROWS = 1_000_000  # up to where lint itself would not take Spark


class Lists(NamedTuple):
    """Labels (n,), of which a twentieth is random, and each row's TOP most probable classes of CLASSES."""

    given: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int32]
    probs: npt.NDArray[np.float32]


def made(n: int) -> Lists:
    """The first n rows: the same whatever n is."""
    parts = [_chunk(start // CHUNK, min(CHUNK, n - start)) for start in range(0, n, CHUNK)]
    return Lists(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _chunk(number: int, n: int) -> Lists:
    rng = np.random.default_rng([SEED, number])
    true = rng.integers(0, CLASSES, CHUNK)
    step = rng.integers(1, CLASSES // TOP, (CHUNK, 1))
    classes = ((true[:, None] + step * np.arange(TOP)) % CLASSES).astype(np.int32)
    weight = rng.standard_exponential((CHUNK, TOP), dtype=np.float32) + 0.01
    weight[:, 0] += 40 * rng.random(CHUNK, dtype=np.float32)
    probs = 0.95 * weight / weight.sum(axis=1, keepdims=True)
    given = np.where(rng.random(CHUNK) < WRONG, rng.integers(0, CLASSES, CHUNK), true).astype(np.int32)
    return Lists(given[:n], classes[:n], probs[:n])


def names() -> list[str]:
    """The classes, in order."""
    return [f"class {i:04d}" for i in range(CLASSES)]


# The kernel and the command


def kernel(lists: Lists, repeats: int) -> tuple[list[float], int]:
    """Seconds of choosing the margin and deciding, in one process and one thread, and how many are flagged."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = label_errors_topk(lists.given, lists.classes, lists.probs, CLASSES)
        taken.append(time.perf_counter() - start)
    return taken, int(found.flagged.sum())


def write_files(lists: Lists, folder: Path) -> None:
    """labels.csv, classes.txt and topk.npz: what people bring to the command."""
    words = names()
    (folder / "classes.txt").write_text("\n".join(words) + "\n")
    with (folder / "labels.csv").open("w") as stream:
        stream.write("label\n")
        for start in range(0, len(lists.given), CHUNK):
            stream.writelines(f"{words[code]}\n" for code in lists.given[start : start + CHUNK].tolist())
    np.savez(folder / "topk.npz", classes=lists.classes, probs=lists.probs)


def command_words(folder: Path) -> list[str]:
    """The command on those files."""
    words = [str(Path(sys.executable).parent / "secondlook"), "label-issues", "--json"]
    words += ["--labels", str(folder / "labels.csv"), "--classes", str(folder / "classes.txt")]
    return [*words, "--probs", str(folder / "topk.npz"), "--out", str(folder / "issues.csv")]


# The lake, and the audit of it as lint makes it


def write_lake(lists: Lists, folder: Path) -> None:
    """A lake with a labeled sample, a content and a list of predictions for each row; its parts in shuffled order."""
    lake = Lake(str(folder), create=True)
    words = pa.array(names(), pa.string())
    attempt = lake.attempt("made", {"n": len(lists.given)})
    for start in range(0, len(lists.given), CHUNK):
        part = slice(start, start + CHUNK)
        n = len(lists.given[part])
        rng = np.random.default_rng([SEED, start])
        ids = [f"{place:032x}" for place in range(start, start + n)]
        contents = [f"{place ^ 0x5DEECE66D:032x}" for place in range(start, start + n)]  # in another order
        label = words.take(pa.array(lists.given[part]))
        attempt.append("samples", _rows("samples", n, sample_id=ids, key=ids, content_id=contents, split=[""] * n))
        attempt.append("labels", _rows("labels", n, sample_id=ids, label=label))
        order = rng.permutation(n)
        ends = pa.array(np.arange(n + 1, dtype=np.int32) * TOP)
        classes = pa.ListArray.from_arrays(ends, pa.array(lists.classes[part][order].reshape(-1)))
        probs = pa.ListArray.from_arrays(ends, pa.array(lists.probs[part][order].reshape(-1)))
        told = {"content_id": pa.array(contents).take(pa.array(order)), "model": ["made"] * n}
        attempt.append("predictions", _rows("predictions", n, **told, classes=classes, probs=probs))
    facts = {"model": ["made"], "kind": ["generalist"], "classes": [names()]}
    attempt.append("models", _rows("models", 1, **facts))
    attempt.commit({})


def _rows(table: str, n: int, **columns: Any) -> pa.Table:
    schema = TABLES[table].schema
    arrays = [
        pa.nulls(n, field.type) if field.name not in columns else pa.array(columns[field.name], field.type)
        if isinstance(columns[field.name], list) else columns[field.name].cast(field.type)
        for field in schema
    ]  # fmt: skip
    return pa.Table.from_arrays(arrays, schema=schema)


def audit_lake(folder: Path, engine: str) -> dict[str, Any]:
    """SL101 and SL102 of a lake, as lint asks for them: seconds, and how many SL101 flags."""
    start = time.perf_counter()
    lake = Lake(str(folder))
    version = lake.at()
    spark = session(SparkSettings()) if engine == "spark" else None
    carrier: Any = SparkTables(lake, version, spark) if spark is not None else LocalTables(lake, version)
    ready = time.perf_counter()
    found, notes, _ = labels.audit(carrier, dataset.newest_model(lake, version), (), LintSettings(), NotYet(0))
    done = time.perf_counter()
    flagged = sorted(row for row, rule in zip(found["key"].to_pylist(), found["rule"].to_pylist(), strict=True) if rule == "SL101")  # fmt: skip
    told = {
        "start_s": round(ready - start, 2),
        "audit_s": round(done - ready, 2),
        "flagged": len(flagged),
        "rows_flagged": [int(key, 16) for key in flagged],
        "note": notes["SL101"],
        "cores": spark.sparkContext.defaultParallelism if spark is not None else 1,
        "python_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
    }
    if spark is not None:
        spark.stop()
    return told


def watched(words: list[str]) -> tuple[dict[str, Any], float]:
    """What a process prints as JSON, and the peak of the memory (MB) of it and all its children together.

    Shared pages are counted once (Linux's proportional set size, looked at ten times a second).
    """
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        peak, over = 0.0, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not over.wait(0.1):
                peak = max(peak, sum(_pss(pid) for pid in _tree(process.pid)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        out, _ = process.communicate()
        over.set()
        watcher.join()
    assert process.returncode == 0, words
    return json.loads(out.splitlines()[-1]), peak


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                yield from _tree(int(child))
        except OSError:
            continue


def _pss(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("Pss:"))


# All of it


def measure(sizes: list[int], repeats: int) -> list[dict[str, Any]]:
    """Figures of each size: kernel, command, Spark; and the lake in one process up to LOCAL_ROWS."""
    found = []
    for n in sizes:
        lists = made(n)
        taken, flagged = kernel(lists, repeats)
        row: dict[str, Any] = {"n": n, "flagged": flagged, "kernel_s": [round(s, 3) for s in taken]}
        expected = np.flatnonzero(label_errors_topk(lists.given, lists.classes, lists.probs, CLASSES).flagged)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_files(lists, folder)
            row["command"] = _command(folder, flagged)
            write_lake(lists, folder / "lake")
            del lists
            for engine in ("spark", "local") if n <= LOCAL_ROWS else ("spark",):
                words = [sys.executable, __file__, engine, str(folder / "lake")]
                told, peak = watched(words)
                rows = told.pop("rows_flagged")
                either = len(set(rows) | set(expected.tolist()))
                told["jaccard_with_kernel"] = len(set(rows) & set(expected.tolist())) / either if either else 1.0
                row[engine] = told | {"peak_mb": round(peak)}
            shutil.rmtree(folder / "lake")
        found.append(row)
    return found


def _command(folder: Path, flagged: int) -> dict[str, Any]:
    taken, peaks = [], []
    for _ in range(2):
        start = time.perf_counter()
        summary, peak = watched(command_words(folder))
        taken.append(round(time.perf_counter() - start, 2))
        peaks.append(peak)
        assert summary["flagged"] == flagged
    return {"seconds": taken, "peak_mb": round(max(peaks))}


def exponent(points: list[tuple[int, float]]) -> dict[str, Any]:
    """Slope of log seconds on log rows, with its 95 % interval, of (rows, seconds) beyond the least rows: 1 is linear."""
    least = min(n for n, _ in points)
    start = float(np.mean([s for n, s in points if n == least]))
    sizes, beyond = zip(*((n, max(s - start, 1e-3)) for n, s in points if n > least), strict=True)
    fit = stats.linregress(np.log(sizes), np.log(beyond))
    half = float(stats.t.ppf(0.975, len(sizes) - 2) * fit.stderr) if len(sizes) > 2 else math.nan
    return {"value": round(float(fit.slope), 3), "interval": [round(float(fit.slope) - half, 3), round(float(fit.slope) + half, 3)]}  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(audit_lake(Path(sys.argv[2]), sys.argv[1])))
