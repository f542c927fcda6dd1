"""How long it takes to forget a person, and that nothing is left. Claim: seconds in a lake of 10,000 pictures; growth with the lake is linear.

.venv/bin/python benchmarks/forget.py --json docs/results/forget.json

The lake is made of random bytes as pictures (50 kB each, in files of 64 MB), rows of every larger table, and 60 versions, each
of which changed labels. The person is in all files: nothing can be left as it is. Beside it: what it takes to copy the lake.
"""

import argparse
import json
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from secondlook.jobs.forget import erase, forget, proof
from secondlook.jobs.ingest.worker import image_writer
from secondlook.jobs.lake.records import rows
from secondlook.jobs.lake.store import Attempt, Lake
from secondlook.jobs.machine import provenance
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.identity import content_id, sample_id
from secondlook.pipeline.core.schemas import TABLES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PICTURE_BYTES, FILE_BYTES, SIDE, VERSIONS, SEED = 50_000, 64 * 2**20, 1280, 60, 7
PERSON, MANY = 20, 1_000  # pictures of a person


def main() -> None:
    """Measure lakes of several sizes, print and write the figures."""
    logging.getLogger("pyiceberg").setLevel(logging.ERROR)  # as the command has it
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_500, 5_000, 10_000])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = {
        "versions": VERSIONS,
        "runs": [*(one(n, PERSON) for n in arguments.sizes), one(max(arguments.sizes), MANY)],
        "seed": SEED,
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    print(json.dumps(figures, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def one(n: int, person: int) -> dict[str, Any]:
    """Forget one person, of so many pictures, of a lake of n; seconds of each step."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(folder + "/lake", create=True)
        keys = [f"people/{i % (n // person)}/{i:06d}.jpg" for i in range(n)]
        contents = make(lake, keys)
        size = sum(file.stat().st_size for file in Path(lake.root).rglob("*") if file.is_file())
        seconds: dict[str, float] = {}
        start = time.perf_counter()
        shutil.copytree(lake.root, folder + "/copy")
        seconds["copy_the_lake"] = time.perf_counter() - start
        shutil.rmtree(folder + "/copy")
        start = time.perf_counter()
        plan = forget.plan(lake, Settings(), where={"person": "0"})
        seconds["plan"] = time.perf_counter() - start
        for module, name in ((erase, "commit"), (erase, "sweep"), (erase, "vacuum"), (proof, "prove")):
            timed(seconds, forget if module is proof else module, name)
        start = time.perf_counter()
        told = forget.run(lake, Settings(), plan, offline=True)
        seconds["all"] = time.perf_counter() - start
        needles = [keys[0].encode(), contents[0].encode()]
        left = sum(
            any(one in file.read_bytes() for one in needles) for file in Path(lake.root).rglob("*") if file.is_file()
        )
        return {
            "pictures": n,
            "lake_mb": round(size / 1e6),
            "forgotten": told["pictures"],
            "seconds": {name: round(value, 2) for name, value in seconds.items()},
            "proved_files": told["proof"]["files"],
            "files_with_a_key_or_id_left": left,
        }


def timed(seconds: dict[str, float], module: Any, name: str) -> None:
    """Add up what a function takes."""
    real = getattr(module, name)
    real = getattr(real, "timed", real)

    def wrapped(*given: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return real(*given, **named)
        finally:
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start

    wrapped.timed = real  # type: ignore[attr-defined]
    setattr(module, name, wrapped)


def make(lake: Lake, keys: list[str]) -> list[str]:
    """A lake of these keys; returns their contents."""
    n, rng = len(keys), np.random.default_rng(SEED)
    attempt = lake.attempt("ingest", {"n": n})
    contents = [content for part in images(attempt, rng, keys) for content in part]
    samples = [
        {
            "sample_id": sample_id("default", key),
            "dataset": "default",
            "source": "here",
            "key": key,
            "content_id": content,
            "split": "",
        }
        | {"attributes": [("person", key.split("/")[1])]}
        for key, content in zip(keys, contents, strict=True)
    ]
    hashes = rng.integers(-(2**62), 2**62, (n, 2)).tolist()
    attempt.append("samples", rows("samples", samples))
    prints = [{"content_id": c, "phash": a, "dhash": b} for c, (a, b) in zip(contents, hashes, strict=True)]
    attempt.append("fingerprints", rows("fingerprints", prints))
    attempt.append("labels", events(samples, 0))
    attempt.commit({})
    attempt = lake.attempt("train", {})
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(rng.random(n * SIDE, np.float32)), SIDE).cast(
        pa.list_(pa.float32())
    )
    attempt.append("embeddings", pa.table({"content_id": contents, "model": ["m"] * n, "vector": vectors}))
    said = [
        {"content_id": c, "model": "m", "classes": [0], "probs": [0.9], "fold": i % 5} for i, c in enumerate(contents)
    ]
    attempt.append("predictions", rows("predictions", said))
    attempt.commit({})
    for version in range(VERSIONS - 2):
        attempt = lake.attempt("commit", {"n": version})
        attempt.append("labels", events([samples[0], *samples[version + 1 :: VERSIONS]], version))
        attempt.commit({})
    return contents


def images(attempt: Attempt, rng: np.random.Generator, keys: list[str]) -> Iterator[list[str]]:
    """Files of pictures, as ingest writes them."""
    a_file = FILE_BYTES // PICTURE_BYTES
    for start in range(0, len(keys), a_file):
        some = keys[start : start + a_file]
        data = [rng.bytes(PICTURE_BYTES) for _ in some]
        ids = [content_id(one) for one in data]
        ordered = sorted(zip(ids, some, data, strict=True))
        table = rows("images", [{"content_id": c, "image": {"bytes": d, "path": key}} for c, key, d in ordered])
        whole = pa.table(
            {"seq": [attempt.seq] * len(some), **dict(zip(table.column_names, table.columns, strict=True))}
        )
        path = f"{attempt.folder('images')}/{start:06d}.parquet"
        with attempt.lake.fs.open(path, "wb") as stream, image_writer(stream) as writer:
            writer.write_table(
                whole.cast(TABLES["images"].schema), row_group_size=160
            )  # 8 MB, as [ingest] row_group_mb
        attempt.add_files("images", [path])
        yield ids


def events(samples: list[dict[str, Any]], n: int) -> pa.Table:
    """A label for each of these samples."""
    told = {"label": f"c{n % 3}", "source": "review", "actor": "bench", "time": NOW, "evidence": json.dumps({"n": n})}
    return rows("labels", [{"sample_id": one["sample_id"], **told} for one in samples])


if __name__ == "__main__":
    main()
