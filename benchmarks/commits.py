"""How long a commit takes after many: with upkeep and without. Claim: upkeep keeps a commit's time bounded.

.venv/bin/python benchmarks/commits.py --json docs/results/commits.json
"""

import argparse
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from secondlook.jobs.lake import gc
from secondlook.jobs.lake.store import Lake
from secondlook.jobs.machine import provenance
from secondlook.pipeline.core.config import LakeSettings
from secondlook.pipeline.core.schemas import TABLES

COMMITS, KEEP, EVERY = 300, 50, 50


def one_event(n: int) -> pa.Table:
    """A label event, as a small commit writes it."""
    row = {
        "sample_id": f"s{n % 100}",
        "label": f"c{n}",
        "source": "review",
        "actor": "bench",
        "batch": "b",
        "evidence": None,
    }
    schema = pa.schema([field for field in TABLES["labels"].schema if field.name != "seq"])
    return pa.Table.from_pylist([row | {"time": datetime(2026, 1, 1, tzinfo=UTC)}], schema=schema)


def seconds(*, upkeep: bool) -> tuple[list[float], float]:
    """Seconds of each of the commits, and of all upkeep together."""
    with tempfile.TemporaryDirectory() as folder:
        lake, taken, kept = Lake(folder + "/lake", create=True), [], 0.0
        for n in range(COMMITS):
            start = time.perf_counter()
            attempt = lake.attempt("bench", {"n": n})
            attempt.append("labels", one_event(n))
            attempt.commit({})
            taken.append(time.perf_counter() - start)
            if upkeep and (n + 1) % EVERY == 0:
                start = time.perf_counter()
                gc.run(lake, LakeSettings(keep_versions=KEEP), grace_hours=0)
                kept += time.perf_counter() - start
        return taken, kept


def main() -> None:
    """Run both, print and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    (plain, _), (kept, upkeep_s) = seconds(upkeep=False), seconds(upkeep=True)
    figures = {
        "commits": COMMITS,
        "first_20_ms": round(1000 * statistics.median(plain[:20]), 1),
        "last_20_ms": round(1000 * statistics.median(plain[-20:]), 1),
        "last_20_with_upkeep_ms": round(1000 * statistics.median(kept[-20:]), 1),
        "upkeep_s": round(upkeep_s, 2),
        "upkeep": f"gc every {EVERY} commits, {KEEP} versions kept",
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    print(json.dumps(figures, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
