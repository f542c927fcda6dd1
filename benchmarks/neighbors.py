"""Seconds and memory of the two searches behind SL202 and SL203, and what they miss, beside imagededup and Datalab.

.venv/bin/python benchmarks/neighbors.py --json docs/results/neighbors.json        (`make peers` first)

Hashes are random words, of which one in a hundred has a copy with up to `near_bits` bits turned. Embeddings are 128
numbers around centers, one in a hundred with a copy beside it. Each search runs in a process of its own; peers only at
the sizes of `--peers-up-to`, since theirs grow with the square. The page is written beside the JSON.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit.copies.duplicates import near_duplicates
from secondlook.pipeline.audit.embedding.neighbors import directions, neighbors
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import wilson

SEED = 7
SIZES = (50_000, 200_000, 1_000_000)
DIMS, K = 128, 20
QUERIES = 500  # whose neighbors are looked up by brute force
PEERS = Path(__file__).parents[1] / ".venv-peers" / "bin" / "python"


def hashes(n: int) -> npt.NDArray[np.int64]:
    """n words; the last hundredth are copies of the first with 0 to `near_bits` bits turned."""
    rng = generator(SEED, "hashes", str(n))
    words = rng.integers(0, 2**64, n, dtype=np.uint64)
    m = n // 100
    copies = words[:m].copy()
    for turned in range(1, LintSettings.near_bits + 1):
        chosen = rng.random(m) < turned / (turned + 1)
        copies[chosen] ^= np.uint64(1) << rng.integers(0, 64, int(chosen.sum()), dtype=np.uint64)
    words[-m:] = copies
    return words.view(np.int64)


def embeddings(n: int) -> npt.NDArray[np.float32]:
    """n vectors around n / 200 centers; the last hundredth are copies of the first with a cosine near 0.9."""
    rng = generator(SEED, "embeddings", str(n))
    centers = rng.normal(size=(max(n // 200, 1), DIMS)).astype(np.float32)
    vectors = centers[rng.integers(0, len(centers), n)]
    vectors += rng.normal(size=(n, DIMS), scale=1.2).astype(np.float32)
    m = n // 100
    length = np.linalg.norm(vectors[:m], axis=1, keepdims=True) / math.sqrt(DIMS)
    vectors[-m:] = vectors[:m] + 0.48 * length * rng.normal(size=(m, DIMS)).astype(np.float32)
    return vectors


def ours(kind: str, file: str) -> dict[str, Any]:
    """One search in this process."""
    data = np.load(file)
    m, n = len(data) // 100, len(data)
    result: dict[str, Any]
    if kind == "hashes":
        start = time.perf_counter()
        found = near_duplicates(data, data, bits=LintSettings.near_bits, confirm_bits=LintSettings.near_bits)
        seconds = time.perf_counter() - start
        representative = np.full(int(found.look.max()) + 1, -1)
        representative[found.look[::-1]] = np.arange(n)[::-1]
        pairs = {
            (int(representative[a]), int(representative[b]))
            for a, b in zip(found.pairs.first.tolist(), found.pairs.second.tolist(), strict=True)
        }
        hit = sum(found.look[at] == found.look[n - m + at] or (at, n - m + at) in pairs for at in range(m))
        result = {"seconds": seconds, "planted": m, "found": int(hit), "pairs": len(pairs)}
    else:
        start = time.perf_counter()
        near = neighbors(data, K)
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        hit = sum(n - m + at in near.ids[at] or at in near.ids[n - m + at] for at in range(m))
        shared = _recall(directions(data)[0], near.ids)
        result = {"seconds": seconds, "planted": m, "found": int(hit), "recall": shared, "queries": QUERIES}
        return result | {"peak_mb": round(peak / 1024)}
    return result | {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def _recall(unit: npt.NDArray[np.float32], ids: npt.NDArray[np.int64]) -> float:
    """Share of the K nearest by brute force that were found, over random queries."""
    chosen = generator(SEED, "queries").choice(len(unit), min(QUERIES, len(unit)), replace=False)
    shared = []
    for query in chosen.tolist():
        cosine = unit @ unit[query]
        cosine[query] = -np.inf
        shared.append(len({*np.argpartition(-cosine, K)[:K].tolist()} & {*ids[query].tolist()}) / K)
    return float(np.mean(shared))


def _run(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measured(kind: str, n: int, folder: Path, peers: bool) -> dict[str, Any]:
    """Ours and, where asked, the peer on the same file."""
    file = folder / f"{kind}.npy"
    np.save(file, hashes(n) if kind == "hashes" else embeddings(n))
    found: dict[str, Any] = {"n": n, "secondlook": _run([sys.executable, __file__, "--one", kind, str(file)])}
    if peers and PEERS.exists():
        bits = [str(LintSettings.near_bits)] if kind == "hashes" else []
        script = str(Path(__file__).with_name("neighbors_peers.py"))
        peer = _run([str(PEERS), script, kind, str(file), *bits])
        pairs = {tuple(pair) for pair in peer.pop("pairs")}
        m = n // 100
        peer["found"] = sum((at, n - m + at) in pairs for at in range(m))
        found["peer"] = peer
        found["ratio"] = round(peer["seconds"] / found["secondlook"]["seconds"], 1)
    return found


def exponent(rows: list[dict[str, Any]]) -> float | None:
    """The power of n by which the seconds grow from the smallest size to the largest."""
    if len(rows) < 2:
        return None
    one, other = rows[0], rows[-1]
    growth = math.log(other["secondlook"]["seconds"] / one["secondlook"]["seconds"])
    return round(growth / math.log(other["n"] / one["n"]), 2)


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    where, lines = result["machine"], []
    for kind in ("hashes", "vectors"):
        for row in result[kind]["sizes"]:
            us, peer = row["secondlook"], row.get("peer")
            low, high = result_interval(us["found"], us["planted"])
            recall = f"{us['recall']:.1%}" if "recall" in us else "all, by construction"
            beside = f"{peer['of']} {peer['seconds']:.1f} s, {peer['peak_mb']:,} MB, {peer['found']:,}" if peer else "—"
            lines.append(
                f"| {kind} | {row['n']:,} | {us['seconds']:.1f} s | {us['peak_mb']:,} MB | {us['found']:,} of {us['planted']:,} "
                f"({low:.1%}–{high:.1%}) | {recall} | {beside} | {row.get('ratio', '—')} |"
            )
    return f"""# Neighbors: speed, memory and recall

| what | n | seconds | peak memory | planted copies found (Wilson 95 %) | recall of the {K} nearest | peer: seconds, memory, planted copies found | times as fast |
|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

* Seconds grow with n to the power of {result["hashes"]["exponent"]} (hashes) and {result["vectors"]["exponent"]} (vectors of {DIMS}), from the smallest size to the largest.
* Hashes: pairs within {LintSettings.near_bits} of 64 bits; nothing is missed, whatever the hashes are. Random ones are the case without crowds.
* Vectors: the {K} nearest of each by cosine; recall is against brute force over {QUERIES} random queries. Made-up clusters, planted
  copies with a cosine near 0.9: real embeddings are measured in [leaks](leaks.md).
* imagededup's default search and Datalab's `near_duplicate` compare all with all, and are asked only at the sizes where they answer
  in minutes. Datalab's threshold is its own, so what it finds of the planted copies says where that lies, not what it could find.

{where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}, seed {SEED}. Reproduce: `make peers`, then
`.venv/bin/python benchmarks/neighbors.py --json docs/results/neighbors.json`.
"""


def result_interval(k: int, n: int) -> tuple[float, float]:
    """Wilson's interval as two numbers."""
    interval = wilson(k, n)
    return interval.low, interval.high


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--peers-up-to", type=int, default=50_000)
    parser.add_argument("--one", nargs=2, metavar=("KIND", "FILE"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(ours(*arguments.one)))
        return
    result: dict[str, Any] = {"claim": "neighbors"}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("hashes", "vectors"):
            rows = [measured(kind, n, Path(folder), n <= arguments.peers_up_to) for n in arguments.sizes]
            result[kind] = {"sizes": rows, "exponent": exponent(rows)}
    result |= {"seed": SEED, "machine": provenance.machine(), "commit": provenance.commit()}
    text = page(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
        arguments.json.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
