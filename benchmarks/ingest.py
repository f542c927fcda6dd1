"""How fast ingest is: beside its peers, and beside nothing but decoding. One run measures all of it on the same images.

    make peers
    .venv/bin/python benchmarks/ingest.py ../shared/data --json docs/results/ingest.json --markdown docs/results/ingest.md

(a) secondlook ingest of a folder into an empty lake: listing, reading, decoding, all hashes and quality numbers, copies
    found, Parquet written, version committed. The Spark session and its Python workers run already; what starting them
    takes is stated beside it.
(b) CleanVision with all its checks, then imagededup's PHash, on all cores: together about the same numbers. Imports are
    left out. Of a large folder they get a sample; their speed doesn't depend on how many there are.
(c) decoding the same bytes to RGB with simplejpeg, the fastest decoder, from memory, a process a core: the ceiling.

Files are in the page cache in all three. Rounds take turns (a, c, a, c …), and the median counts;
of the peers' rounds the faster one. CPU time is told beside seconds, since it is what a busy machine changes least.
"""

import argparse
import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psutil
import simplejpeg

from secondlook.jobs.machine import provenance

HERE = Path(__file__).parents[1]
CORES = os.cpu_count() or 1
ROUNDS = 5
WARM_UPS = 4  # more ingests of 16 images, in which the JVM compiles what it runs often
PEER_ROUNDS = 2  # the faster one counts
PEER_SAMPLE = 5_000
SETS = {"faces": "faces/images.zip", "cifar10n": "cifar10n/images-train.zip"}
SAMPLE_EVERY_S = 0.05


def unpacked(archive: Path, folder: Path) -> list[Path]:
    """The pictures of an archive in a folder; unpacked once."""
    if not folder.exists():
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)
    return sorted(folder.rglob("*.jpg"))


@contextlib.contextmanager
def peak_memory(peaks: dict[str, float]) -> Iterator[None]:
    """While the block runs, watch this process and all below it; afterwards `peaks` has MB by kind and of all together."""
    over, own = threading.Event(), psutil.Process()

    def watch() -> None:
        while not over.wait(SAMPLE_EVERY_S):
            now: dict[str, float] = {}
            for process in [own, *own.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    kind = "driver" if process.pid == own.pid else "jvm" if "java" in process.name() else "worker"
                    held = process.memory_info().rss / 2**20
                    now[kind] = max(now.get(kind, 0), held)
                    now["all"] = now.get("all", 0) + held
            for kind, held in now.items():
                peaks[kind] = max(peaks.get(kind, 0), held)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _decode_share(share: list[bytes]) -> float:
    start = time.perf_counter()
    for data in share:
        simplejpeg.decode_jpeg(data)
    return time.perf_counter() - start


def cpu_seconds() -> float:
    """CPU time that this process and all below it have used, those that ended included."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


class Decoders:
    """(c): as many processes as cores, each with its share of the bytes in memory."""

    def __init__(self, paths: list[Path]) -> None:
        global _shares  # noqa: PLW0603 — forked processes inherit it, so that no bytes are sent
        data = [path.read_bytes() for path in paths]
        _shares = [data[core::CORES] for core in range(CORES)]
        self.pool = get_context("fork").Pool(CORES)
        self.pool.map(_decode_mine, range(CORES), 1)

    def seconds(self) -> float:
        """Wall seconds until all are decoded."""
        start = time.perf_counter()
        self.pool.map(_decode_mine, range(CORES), 1)
        return time.perf_counter() - start


_shares: list[list[bytes]] = []


def _decode_mine(core: int) -> float:
    return _decode_share(_shares[core])


def ingest_once(spark: Any, folder: Path, run: dict[str, Any]) -> float:
    """(a): seconds of one ingest into an empty lake; `run` gets what the job says of itself."""
    from secondlook.jobs.ingest import ingest
    from secondlook.jobs.lake.store import Lake
    from secondlook.jobs.sources import Source
    from secondlook.pipeline.core.config import Settings

    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        lake = Lake(f"{place}/lake", create=True)
        start = time.perf_counter()
        summary = ingest.run(lake, Settings(), spark, Source(str(folder)))
        seconds = time.perf_counter() - start
        run.update({name: summary[name] for name in ("found", "samples", "rejects", "contents")})
    return seconds


def started(folder: Path) -> tuple[Any, dict[str, float]]:
    """The session with its Python workers warm, and what that took."""
    from secondlook.jobs.machine.spark import session
    from secondlook.pipeline.core.config import SparkSettings

    start = time.perf_counter()
    spark = session(SparkSettings())
    session_s = time.perf_counter() - start
    start = time.perf_counter()
    ingest_once(spark, folder, {})
    first_s = time.perf_counter() - start
    for _ in range(WARM_UPS):
        ingest_once(spark, folder, {})
    return spark, {"session_s": session_s, "first_ingest_s": first_s}


def peers(folder: Path, paths: list[Path]) -> dict[str, Any]:
    """(b), on a sample of the folder, in an environment of its own."""
    python = HERE / ".venv-peers" / "bin" / "python"
    if not python.exists():
        sys.exit("no .venv-peers: run `make peers` first")
    step = max(len(paths) // PEER_SAMPLE, 1)
    with tempfile.TemporaryDirectory(dir=folder.parent) as place:
        for path in paths[::step][:PEER_SAMPLE]:
            target = Path(place) / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, target)
        peaks: dict[str, float] = {}
        with peak_memory(peaks):
            run = subprocess.run(
                [str(python), str(HERE / "benchmarks" / "ingest_peers.py"), place],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                check=True,
            )
    found: dict[str, Any] = json.loads(run.stdout)
    seconds = found["cleanvision_s"] + found["imagededup_s"]
    return found | {"seconds": seconds, "images_a_second": found["n"] / seconds, "peak_worker_mb": peaks["worker"]}


def measure(spark: Any, name: str, archive: Path, scratch: Path) -> dict[str, Any]:
    """All three on one dataset."""
    folder = scratch / name
    paths = unpacked(archive, folder)
    n = len(paths)
    facts: dict[str, Any] = {}
    peaks: dict[str, float] = {}
    decoders = Decoders(paths)
    ingested, decoded, cpu = [], [], []
    for _ in range(ROUNDS):
        before = cpu_seconds()
        ingested.append(ingest_once(spark, folder, facts))
        between = cpu_seconds()
        decoded.append(decoders.seconds())
        cpu.append((between - before, cpu_seconds() - between))
    with peak_memory(peaks):  # a round of its own: watching takes time
        ingest_once(spark, folder, facts)
    decoders.pool.terminate()
    beside = min((peers(folder, paths) for _ in range(PEER_ROUNDS)), key=lambda round_: float(round_["seconds"]))
    a, c = n / statistics.median(ingested), n / statistics.median(decoded)
    ingest_cpu_us, decode_cpu_us = (1e6 * statistics.median(column) / n for column in zip(*cpu, strict=True))
    return {
        "dataset": name,
        "n": n,
        "bytes": sum(path.stat().st_size for path in paths),
        "ingest_s": ingested,
        "decode_s": decoded,
        "peers": beside,
        "ingest_images_a_second": a,
        "decode_images_a_second": c,
        "times_the_peers": a / beside["images_a_second"],
        "share_of_decoding": a / c,
        "cpu_us_per_image": {"ingest": ingest_cpu_us, "peers": beside["cpu_us_per_image"], "decode": decode_cpu_us},
        "peak_mb": peaks,
        **facts,
    }


def markdown(found: dict[str, Any]) -> str:
    """The same figures for people."""
    rows, notes = [], []
    for one in found["datasets"]:
        peer = one["peers"]
        rows.append(
            f"| {one['dataset']} | {one['n']:,} | {one['ingest_images_a_second']:,.0f} | "
            f"{peer['images_a_second']:,.0f} | {one['decode_images_a_second']:,.0f} | "
            f"**{one['times_the_peers']:.1f} x** | **{one['share_of_decoding']:.0%}** |"
        )
        spread = f"{min(one['ingest_s']):.2f} – {max(one['ingest_s']):.2f} s"
        peak, cpu = one["peak_mb"], one["cpu_us_per_image"]
        notes.append(
            f"* {one['dataset']}: ingest took {statistics.median(one['ingest_s']):.2f} s ({spread}, "
            f"{len(one['ingest_s'])} rounds); peers {peer['cleanvision_s']:.1f} s CleanVision + "
            f"{peer['imagededup_s']:.1f} s imagededup on {peer['n']:,} images. Peak resident memory of ingest: "
            f"worker {peak['worker']:.0f} MB, driver with the benchmark's own copy of the images {peak['driver']:.0f} MB, "
            f"JVM {peak['jvm']:.0f} MB. CPU time an image, which other work on the machine changes less than seconds: "
            f"ingest {cpu['ingest']:.0f} µs (driver, JVM and workers), peers {cpu['peers']:.0f} µs, decoding "
            f"{cpu['decode']:.0f} µs. Found {one['found']:,} = {one['samples']:,} samples + {one['rejects']} rejects."
        )
    machine, peer = found["machine"], found["datasets"][0]["peers"]
    return f"""# Speed of ingest

Images a second on {machine["cores"]} cores, all measured in one run on the same files: (a) `secondlook ingest` of a folder into an
empty lake, all of it from the listing to the commit; (b) CleanVision {peer["cleanvision"]} with all its checks and imagededup
{peer["imagededup"]} PHash (both Apache-2.0), which together compute about the same; (c) decoding the same bytes from memory with
simplejpeg on all cores, and nothing else.

| images | n | (a) ingest | (b) peers | (c) decoding | a / b | a / c |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

{chr(10).join(notes)}
* Left out of (a): the start of the Spark session ({found["startup"]["session_s"]:.1f} s) and of its Python workers, which a
  first ingest of 16 images paid ({found["startup"]["first_ingest_s"]:.1f} s). Left out of (b): imports.
* Medians of {ROUNDS} rounds in turns for (a) and (c), the faster one of {PEER_ROUNDS} for (b); files were in the page cache.
* Processes that ran or waited for one of the {machine["cores"]} cores: {found["load_before_and_after"][0]} before the run,
  {found["load_before_and_after"][1]} at its end (a quiet machine: about 0, and 2 to 4).

Machine: {machine["cores"]} cores {machine["processor"]}, {machine["memory_gib"]} GiB, Python {machine["python"]}; commit
{found["commit"]}. Reproduce: `make peers`, then
`.venv/bin/python benchmarks/ingest.py FOLDER_OF_THE_DATA --json docs/results/ingest.json --markdown docs/results/ingest.md`.
"""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help=f"folder that holds {' and '.join(SETS.values())}")
    parser.add_argument(
        "--scratch", type=Path, default=HERE / "scratch" / "bench-ingest", help="images are unpacked here"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    archives = {name: arguments.data / archive for name, archive in SETS.items()}
    few = arguments.scratch / "few"
    few.mkdir(exist_ok=True)
    for path in unpacked(archives["faces"], arguments.scratch / "faces")[:16]:
        (few / path.name).write_bytes(path.read_bytes())
    before = os.getloadavg()[0]
    spark, startup = started(few)
    results = [measure(spark, name, archive, arguments.scratch) for name, archive in archives.items()]
    spark.stop()
    found = {
        "claim": "ingest >= 12 x the peers; goal: >= 35 % of decoding alone, on faces",
        "datasets": results,
        "startup": startup,
        "rounds": ROUNDS,
        "load_before_and_after": [round(before, 1), round(os.getloadavg()[0], 1)],
        "machine": provenance.machine(),
        "commit": provenance.commit(),
    }
    for one in results:
        print(
            f"{one['dataset']}: ingest {one['ingest_images_a_second']:,.0f} images/s, "
            f"a/b = {one['times_the_peers']:.1f}, a/c = {one['share_of_decoding']:.2f}"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(found))


if __name__ == "__main__":
    main()
