"""How long the audit by groups takes, and what it holds in memory: 1 to 10 million pictures, 6 attributes, crossed by two.

.venv/bin/python benchmarks/bias_counting.py --json docs/results/bias-counting.json

Each size is a lake of made rows (no pictures), written as Parquet files that Iceberg lists, audited in a process of its own by Spark
on this machine. Peer: pandas groupby over the same values, already in memory as categories. The page is written beside the JSON.
"""

import argparse
import contextlib
import json
import math
import multiprocessing
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from ingest import peak_memory

from secondlook.jobs.lake.records import rows as records
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.jobs.machine import provenance
from secondlook.pipeline.core.bias_config import Attribute, BiasSettings
from secondlook.pipeline.core.config import Settings, SparkSettings
from secondlook.pipeline.core.schemas import TABLES
from secondlook.pipeline.core.seeds import generator

SEED = 7
ROWS_IN_A_FILE = 500_000
CLASSES = [f"class {n}" for n in range(10)]
ATTRIBUTES: dict[str, list[str]] = {
    "gender": ["Female", "Male"],
    "race": ["Black", "East Asian", "Indian", "Latino", "Middle Eastern", "Southeast Asian", "White"],
    "age": [str(n) for n in range(90)],
    "site": [f"site {n}" for n in range(6)],
    "skin": ["I-II", "III-IV", "V-VI"],
    "device": [f"camera {n}" for n in range(5)],
}
MISSING = 0.05  # of the pictures say nothing of their skin
COPIES = 100  # every so many pictures, one has the bytes of the one before
DOUBTED = 50  # every so many pictures, a label is doubted
SETTINGS = Settings(
    attributes=(Attribute(name="age", bins="18,30,45,60"),), bias=BiasSettings(reference="uniform", depth=2)
)
Ints = npt.NDArray[np.int64]


def ids(numbers: Ints, salt: int) -> pa.Array:
    """32 hexadecimal digits for each number, in no order, as ids of the lake are."""
    words = np.empty((len(numbers), 2), np.uint64)
    words[:, 0] = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt)
    words[:, 1] = words[:, 0] * np.uint64(0xBF58476D1CE4E5B9)
    words[:, 0] ^= words[:, 1] >> np.uint64(31)
    text = words.tobytes().hex().encode()
    offsets = np.arange(0, 32 * len(numbers) + 1, 32, np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(text))


def values(start: int, n: int) -> dict[str, Ints]:
    """Which value of each attribute (-1: none) pictures have, their class, and whether a model is right: dark skin fares worse."""
    rng = generator(SEED, "rows", str(start))
    made = {name: rng.integers(0, len(its), n) for name, its in ATTRIBUTES.items()}
    made["skin"] = np.where(rng.random(n) < MISSING, -1, made["skin"])
    made["class"] = rng.integers(0, len(CLASSES), n)
    wrong = np.where(made["skin"] == 2, 0.30, 0.25)
    made["said"] = np.where(rng.random(n) < wrong, (made["class"] + 1 + rng.integers(0, 9, n)) % 10, made["class"])
    return made


def maps(made: dict[str, Ints]) -> pa.Array:
    """The attributes as the lake has them, map<str, str>."""
    names = list(ATTRIBUTES)
    starts = np.cumsum([0, *(len(its) for its in ATTRIBUTES.values())])
    codes = np.stack([np.where(made[name] < 0, -1, made[name] + starts[at]) for at, name in enumerate(names)], axis=1)
    there = codes >= 0
    offsets = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
    keys = pa.array(names).take(pa.array(np.broadcast_to(np.arange(6), codes.shape)[there]))
    items = pa.array([value for its in ATTRIBUTES.values() for value in its]).take(pa.array(codes[there]))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, items)


def lists(made: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Rows (n, k) as lists."""
    offsets = pa.array(np.arange(0, made.size + 1, made.shape[1], dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(made.ravel()).cast(kind))


def tables(start: int, n: int) -> dict[str, dict[str, Any]]:
    """Rows `start` to `start + n` of each table of a lake, by column."""
    made, at = values(start, n), np.arange(start, start + n)
    rng = generator(SEED, "beside", str(start))
    content = np.where(at % COPIES == 1, at - 1, at)
    own = np.flatnonzero(content == at)
    sample, contents = ids(at, 1), ids(content, 2)
    order = (made["said"][own, None] + np.arange(10)) % 10
    profiles = np.sort(generator(SEED, "profiles").dirichlet(np.full(10, 0.3), 4096), axis=1)[:, ::-1].astype(
        np.float32
    )
    probs = profiles[rng.integers(0, len(profiles), len(own))]
    names = pa.array(CLASSES)
    dark = 0.5 - 0.1 * (made["skin"][own] == 2)
    return {
        "samples": {"sample_id": sample, "content_id": contents, "dataset": "made", "source": "made", "key": sample,
                    "split": "train", "size_bytes": pa.array(at), "modified_us": pa.array(at), "attributes": maps(made)},
        "labels": {"sample_id": sample, "label": names.take(pa.array(made["class"])), "source": "ingest", "actor": "ingest"},
        "fingerprints": {"content_id": ids(at[own], 2), "brightness": pa.array(np.clip(rng.normal(dark, 0.15), 0, 1)),
                         "contrast": pa.array(rng.random(len(own))), "blur": pa.array(rng.exponential(100, len(own))),
                         "width": pa.array(rng.integers(100, 2000, len(own))), "height": pa.array(rng.integers(100, 2000, len(own)))},
        "predictions": {"content_id": ids(at[own], 2), "model": "m", "classes": lists(order, pa.int32()),
                        "probs": lists(probs, pa.float32()), "fold": pa.array(at[own] % 5)},
        "evidence": {"content_id": ids(at[own], 2), "model": "m", "label": names.take(pa.array(made["class"][own])),
                     "p_error": pa.array(np.round(rng.random(len(own)), 3))},
    }  # fmt: skip


def write(attempt: Attempt, name: str, part: int, columns: dict[str, Any]) -> str:
    """A Parquet file of a table; what is not given is null. Returns its URL."""
    n = next(len(column) for column in columns.values() if isinstance(column, pa.Array))
    schema = TABLES[name].schema
    arrays = []
    for field in schema:
        given = columns.get(field.name, attempt.seq if field.name == "seq" else None)
        column = given if isinstance(given, pa.Array) else pa.repeat(pa.scalar(given, field.type), n)
        arrays.append(column.cast(field.type))
    url = f"{attempt.folder(name)}/{part:04}.parquet"
    attempt.lake.fs.makedirs(url.removeprefix("file://").rsplit("/", 1)[0], exist_ok=True)
    pq.write_table(pa.table(arrays, schema=schema), url.removeprefix("file://"), compression="zstd")
    return url


def made_lake(at: Path, n: int) -> Lake:
    """A lake of n made samples, of which every COPIES-th is a copy."""
    lake = Lake(str(at), create=True)
    attempt = lake.attempt("made", {"n": n})
    urls: dict[str, list[str]] = {}
    for part, start in enumerate(range(0, n, ROWS_IN_A_FILE)):
        for name, columns in tables(start, min(ROWS_IN_A_FILE, n - start)).items():
            urls.setdefault(name, []).append(write(attempt, name, part, columns))
    for name, its in urls.items():
        attempt.add_files(name, its)
    facts = {"model": "m", "kind": "generalist", "classes": CLASSES, "settings": "{}", "metrics": "{}"}
    attempt.append("models", records("models", [facts]))
    attempt.append("classes", records("classes", [{"name": name, "event": "added"} for name in CLASSES]))
    attempt.commit({"samples": n})
    return lake


def doubts(n: int) -> pa.Table:
    """Findings SL101, as lint would have just made them."""
    its = ids(np.arange(0, n, DOUBTED), 1)
    columns = {"rule": "SL101", "subject_kind": "sample", "evidence": "{}"}
    schema = TABLES["findings"].schema
    arrays = [
        its if field.name == "subject" else pa.repeat(pa.scalar(columns.get(field.name), field.type), len(its))
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


@contextlib.contextmanager
def timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    """Add the seconds of the block, and those that all processes below this one and it computed, to `what`."""
    start, before = time.perf_counter(), computed()
    yield
    seconds[what] = seconds.get(what, 0.0) + time.perf_counter() - start
    seconds[f"{what} computed"] = seconds.get(f"{what} computed", 0.0) + computed() - before


def computed() -> float:
    """Seconds that this process and all below it have computed, those that ended too."""
    total = 0.0
    own = psutil.Process()
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += sum(process.cpu_times()[:4])
    return total


def audited(folder: str, n: int, queue: Any) -> None:
    """In a process of its own: the audit of a lake by Spark, with seconds by step and peaks of memory."""
    from secondlook.jobs.bias.audit import audit
    from secondlook.jobs.lint.on_spark import SparkTables
    from secondlook.jobs.machine.spark import session

    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}

    class Timed(SparkTables):
        """The carrier, with seconds of what it carries."""

    for name in ("attributed", "celled", "counts", "repeated", "of_samples"):
        setattr(Timed, name, _timed(name, getattr(SparkTables, name), seconds))
    with peak_memory(peaks), timed(seconds, "all"):
        lake = Lake(folder)
        with timed(seconds, "start"):
            spark = session(SparkSettings())
        carrier = Timed(lake, lake.at(), spark)
        found = audit(lake, lake.at(), SETTINGS, carrier=carrier, found=doubts(n))
        carrier.close()
        spark.stop()
    skin = next(one for one in found.of("SL403") if one.name == "accuracy")
    worst = skin.worst.name if skin.worst else ""
    cells = math.prod(len(one.counts) for one in found.attributes)
    queue.put(
        {
            "n": n,
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "peak_mb": {name: round(value) for name, value in peaks.items()},
            "measures": len(found.measures),
            "comparisons": found.tests,
            "cells": cells,
            "findings": sum(len(found.found(one)) for one in found.measures),
            "worst_accuracy": worst,
        }
    )


def _timed(name: str, function: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        with timed(seconds, "carried"), timed(seconds, name):
            found = function(*arguments, **named)
        print(f"{name}: {seconds[name]:.0f} s so far", file=sys.stderr, flush=True)
        return found

    return run


def peer(n: int, queue: Any) -> None:
    """In a process of its own: pandas counts one outcome over all groups of one and two attributes; its values lie in memory."""
    import pandas as pd

    parts = []
    for start in range(0, n, ROWS_IN_A_FILE):
        made = values(start, min(ROWS_IN_A_FILE, n - start))
        made["age"] = np.searchsorted([18, 30, 45, 60], made["age"], side="right")
        made["right"] = (made.pop("said") == made.pop("class")).astype(np.int64)
        parts.append(pd.DataFrame({name: column.astype(np.int8) for name, column in made.items()}))
    frame = pd.concat(parts, ignore_index=True)
    del parts
    for name in ATTRIBUTES:
        frame[name] = frame[name].astype("category")
    peaks: dict[str, float] = {}
    start_s, groups = time.perf_counter(), 0
    with peak_memory(peaks):
        for depth in (1, 2):
            for names in combinations(ATTRIBUTES, depth):
                groups += len(frame.groupby(list(names), observed=True)["right"].agg(["sum", "count"]))
    queue.put(
        {"n": n, "seconds": round(time.perf_counter() - start_s, 2), "peak_mb": round(peaks["all"]), "groups": groups}
    )


def alone(function: Callable[..., None], *arguments: Any) -> dict[str, Any]:
    """What a function puts into its queue, from a process of its own: memory of one size is not that of the one before."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=function, args=(*arguments, queue))
    process.start()
    found: dict[str, Any] = queue.get()
    process.join()
    return found


def growth(sizes: list[int], seconds: list[float]) -> float:
    """The power of n with which seconds grow, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def page(told: dict[str, Any]) -> str:
    """The results as a page."""
    audits, peers = told["audits"], {one["n"]: one for one in told["pandas"]}
    rows = []
    for one in audits:
        seconds, peak = one["seconds"], one["peak_mb"]
        beside = peers[one["n"]]
        statistics = seconds["all"] - seconds["start"] - seconds["carried"]
        rows.append(
            f"| {one['n']:,} | {seconds['all']:,.0f} | {seconds['carried']:,.0f} ({seconds['carried computed']:,.0f}) | {statistics:,.0f} | "
            f"{peak['all']:,} | {peak['driver']:,} / {peak['jvm']:,} / {peak['worker']:,} | {one['lake_mb']:,} | "
            f"{beside['seconds']:,.1f} | {beside['peak_mb']:,} |"
        )
    sizes = [one["n"] for one in audits]
    powers = {
        what: growth(sizes, [one["seconds"][key] for one in audits]) if len(sizes) > 1 else math.nan
        for what, key in (("counting", "carried"), ("computed", "carried computed"), ("all", "all"))
    }
    slope, fixed = (
        np.polyfit(np.array(sizes) / 1e6, [one["seconds"]["carried computed"] for one in audits], 1)
        if len(sizes) > 1
        else (math.nan, math.nan)
    )
    last = audits[-1]
    machine = told["machine"]
    return PAGE.format(
        rows="\n".join(rows),
        n=last["n"],
        cells=last["cells"],
        comparisons=last["comparisons"],
        measures=last["measures"],
        groups=peers[last["n"]]["groups"],
        worst=last["worst_accuracy"],
        findings=last["findings"],
        heap=told["spark"]["driver_memory_mb"],
        cores=machine["cores"],
        memory=machine["memory_gib"],
        processor=machine["processor"],
        python=machine["python"],
        commit=told["commit"],
        seed=told["seed"],
        slope=slope,
        fixed=fixed,
        **powers,
    )


PAGE = """# The audit by groups: seconds and memory

| pictures | seconds, all | carried by Spark (computed) | statistics | peak MB, all | driver / JVM / largest worker | lake, MB | pandas, seconds | pandas, peak MB |
|---|---|---|---|---|---|---|---|---|
{rows}

* Measured is `audit` of `jobs/bias/audit.py` with Spark's carrier, from the lake's Parquet files to the adjusted comparisons: 6 attributes (one a number
  with bins), {cells:,} cells that they could cross into, crossed by two, {measures} measures, {comparisons:,} comparisons, 2,000 permutations. It includes Spark's start.
* *Carried*: all that Spark did for it: the values of the attributes, classes, copies, the worst tenths of picture quality, and the pass that counts all measures. In brackets the seconds that all
  processes computed meanwhile, which other work on the machine changes less: {fixed:.0f} s whatever n, and {slope:.0f} s for each million pictures. So it grows with n to the power of {counting:.2f}
  ({computed:.2f} computed) from the smallest to the largest, all together of {all:.2f}: linear, beside what Spark costs at all.
* *Statistics*: all the rest, in this process: exact tests, intervals and permutations on counts by cell, which are as many whatever n is; and what is done for
  copies (putting them into clusters, resampling by cluster), which grows with n.
* Made rows, no pictures: ids, attributes, labels, fingerprints, out-of-sample predictions of 10 classes, evidence; 1 % are copies of another, 2 % of the labels are doubted. Doubts (SL101) and
  copies are given, as lint has them when it runs the audit: finding them is measured in [labels](labels.md) and [near duplicates](near_duplicates.md). No picture is read.
* Memory is that of all processes together, pages they share counted in each. The JVM's heap is {heap:,} MB, the default. What grows with n is the driver's: pictures that are copies come back one by one,
  all others as counts.
* Planted: on skin V-VI the model is right 5 points less often, and pictures are darker. Found: the worst group by accuracy is {worst}. {findings:,} findings in all.
* pandas counts one outcome (right or wrong) over the same {groups:,} groups of one and two attributes, with `groupby`, its columns in memory as categories before the clock starts: no reading, no
  joins, no other measures, no statistics. It is what a notebook does once everything fits in memory; it is far faster, and it is no audit.
* Other work ran on the same two cores meanwhile (a load of 3.5 to 7.5), so seconds are upper ends; those computed suffer less.

{cores} cores {processor}, {memory} GiB, Python {python}, commit {commit}, seed {seed}. Reproduce:
`.venv/bin/python benchmarks/bias_counting.py --json docs/results/bias-counting.json`.
"""


def main() -> None:
    """Measure all sizes and write the results."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="1000000,2000000,5000000,10000000")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="where the lakes are made, and removed again")
    chosen = parser.parse_args()
    before = json.loads(chosen.json.read_text()) if chosen.json and chosen.json.exists() else {}
    sizes = [*map(int, chosen.sizes.split(","))]
    found, peers = ([one for one in before.get(name, []) if one["n"] not in sizes] for name in ("audits", "pandas"))
    for n in sizes:
        folder = Path(tempfile.mkdtemp(prefix="counting-", dir=chosen.folder))
        try:
            start = time.perf_counter()
            lake = made_lake(folder / "lake", n)
            lake.close()
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            made_s = round(time.perf_counter() - start, 1)
            found.append(alone(audited, str(folder / "lake"), n) | {"made_s": made_s, "lake_mb": round(size / 2**20)})
            print(json.dumps(found[-1]), flush=True)
        finally:
            shutil.rmtree(folder)
        peers.append(alone(peer, n))
        print(json.dumps(peers[-1]), flush=True)
    told = {
        "seed": SEED,
        "machine": provenance.machine(),
        "commit": provenance.commit(),
        "spark": {"driver_memory_mb": SparkSettings().driver_memory_mb},
        "audits": sorted(found, key=lambda one: int(one["n"])),
        "pandas": sorted(peers, key=lambda one: int(one["n"])),
    }
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=1) + "\n")
        chosen.json.with_suffix(".md").write_text(page(told))


if __name__ == "__main__":
    main()
