"""How many of CIFAR-10's known leaks SL203 finds, how many chance pairs it lets in, and how long the search takes.

.venv/bin/python benchmarks/near_duplicates.py --json docs/results/near_duplicates.json

Known leaks are those of ciFAIR (Barz, Denzler 2020). Comparing all with all is the peer, in the same run. The pictures
don't come with this project: `--data` says where they are. The page is written beside the JSON.
"""

import argparse
import csv
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit.copies.duplicates import near_duplicates
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.decode import Limits, Rejected
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import wilson
from secondlook.pipeline.images.checks import empty
from secondlook.pipeline.images.fingerprint import fingerprint

SEED = 7
MOST_BITS, CHANCE_DHASH = 14, 24  # pairs are counted up to so many bits of pHash; beyond so many of dHash: chance
SHOWN = [(4, 8), (4, 12), (6, 8), (6, 12), (6, 16), (8, 8), (8, 12), (10, 10), (10, 12), (12, 12), (12, 16), (14, 12)]
BIG = 1_000_000
Hashes = npt.NDArray[np.int64]


def fingerprints(archives: list[Path]) -> dict[str, dict[str, Any]]:
    """Fingerprint of each picture by its name; those without information left out, as lint does."""
    found = {}
    for archive in archives:
        with zipfile.ZipFile(archive) as pictures:
            for name in sorted(pictures.namelist()):
                if name.endswith((".jpg", ".jpeg", ".png")):
                    seen = fingerprint(pictures.read(name), Limits())
                    assert not isinstance(seen, Rejected), name
                    found[name] = seen
    columns = {name: np.array([one[name] for one in found.values()]) for name in ("entropy", "contrast")}
    flat = empty(columns, LintSettings.entropy, LintSettings.flat).flagged
    return {name: one for (name, one), skip in zip(found.items(), flat, strict=True) if not skip}


def all_with_all(phash: Hashes, dhash: Hashes, group: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs by (same group or not, bits of pHash, bits of dHash), (2, MOST_BITS + 1, 65): the slow, plain way."""
    counts = np.zeros((2, MOST_BITS + 1, 65), np.int64)
    for start in range(0, len(phash), 100):
        block = slice(start, start + 100)
        bits = np.bitwise_count(phash[block, None] ^ phash[None, start:])
        one, other = np.nonzero(bits <= MOST_BITS)
        later = one < other
        one, other = one[later] + start, other[later] + start
        differ = np.bitwise_count(phash[one] ^ phash[other]), np.bitwise_count(dhash[one] ^ dhash[other])
        np.add.at(counts, ((group[one] == group[other]).astype(int), *differ), 1)
    return counts


def columns(seen: dict[str, dict[str, Any]]) -> tuple[Hashes, Hashes]:
    """pHash and dHash of all pictures."""
    return np.array([s["phash"] for s in seen.values()]), np.array([s["dhash"] for s in seen.values()])


def cifar(data: Path) -> dict[str, Any]:
    """Recall of the known leaks, and pairs by class, at each pair of thresholds; seconds of both searches."""
    folder = data / "cifar10n"
    seen = fingerprints([folder / "images-train.zip", folder / "images-test.zip"])
    classes: dict[str, str] = {}
    for file, column in (("train.csv", "clean"), ("test.csv", "label")):
        with (folder / file).open(newline="") as stream:
            classes |= {row["file"]: row[column] for row in csv.DictReader(stream)}
    with (folder / "leaks.csv").open(newline="") as stream:
        leaks = [row for row in csv.DictReader(stream) if row["judgment"] == "1"]
    phash, dhash = columns(seen)
    group = np.unique([classes[name] for name in seen], return_inverse=True)[1]
    start = time.perf_counter()
    counts = all_with_all(phash.view(np.uint64), dhash.view(np.uint64), group)
    slow_s = time.perf_counter() - start
    start = time.perf_counter()
    splits = np.array([name.startswith("test") for name in seen]).astype(np.int64)
    near = near_duplicates(
        phash,
        dhash,
        bits=LintSettings.near_bits,
        confirm_bits=LintSettings.near_confirm_bits,
        sides=splits,
        apart=~np.eye(2, dtype=bool),
    )
    fast_s = time.perf_counter() - start
    chance = counts[:, :, CHANCE_DHASH + 1 :].sum(axis=(1, 2))
    place = {name: at for at, name in enumerate(seen)}
    pairs = np.array(
        [
            (place[row["test_file"]], place[row["train_file"]])
            for row in leaks
            if {row["test_file"], row["train_file"]} <= set(place)
        ]
    )
    differ = [np.bitwise_count(h[pairs[:, 0]].view(np.uint64) ^ h[pairs[:, 1]].view(np.uint64)) for h in (phash, dhash)]
    found = sum(any(other == train for other, _ in near.near(int(test))) for test, train in pairs.tolist())
    expected = int(((differ[0] <= LintSettings.near_bits) & (differ[1] <= LintSettings.near_confirm_bits)).sum())
    assert found == expected, (found, expected)
    thresholds = {}
    for bits, confirm in SHOWN:
        hit = int(((differ[0] <= bits) & (differ[1] <= confirm)).sum())
        other_class, same_class = counts[:, : bits + 1, : confirm + 1].sum(axis=(1, 2)).tolist()
        thresholds[f"{bits}/{confirm}"] = {
            "found": hit,
            "recall": round(hit / len(leaks), 4),
            "recall_95": [round(end, 4) for end in interval_of(hit, len(leaks))],
            "pairs": other_class + same_class,
            "pairs_across_classes": other_class,
            "chance_pairs_estimate": round(other_class / (chance[0] / chance.sum())),
        }
    return {
        "n": len(seen),
        "known_leaks": len(leaks),
        "share_of_chance_pairs_across_classes": round(float(chance[0] / chance.sum()), 4),
        "chance_pairs_seen": int(chance.sum()),
        "thresholds": thresholds,
        "all_with_all_s": round(slow_s, 2),
        "near_duplicates_s": round(fast_s, 2),
        "ratio": round(slow_s / fast_s, 1),
    }


def interval_of(k: int, n: int) -> tuple[float, float]:
    """Wilson's interval as two numbers."""
    interval = wilson(k, n)
    return interval.low, interval.high


def faces(data: Path) -> dict[str, Any]:
    """Pairs among 5,000 faces of different people, cropped alike: what alike pictures do to the thresholds."""
    phash, dhash = columns(fingerprints([data / "faces" / "images.zip"]))
    counts = all_with_all(phash.view(np.uint64), dhash.view(np.uint64), np.zeros(len(phash), np.int64))
    return {"n": len(phash), "pairs": {f"{b}/{c}": int(counts[:, : b + 1, : c + 1].sum()) for b, c in SHOWN}}


def speed() -> dict[str, Any]:
    """Seconds for a million random hashes: what the search costs where nothing is alike."""
    rng = generator(SEED, "hashes")
    hashes = rng.integers(-(2**63), 2**63 - 1, BIG)
    start = time.perf_counter()
    near_duplicates(hashes, hashes, bits=LintSettings.near_bits, confirm_bits=LintSettings.near_confirm_bits)
    return {"n": BIG, "near_duplicates_s": round(time.perf_counter() - start, 2)}


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    c, f, where = result["cifar"], result["faces"], result["machine"]
    default = f"{LintSettings.near_bits}/{LintSettings.near_confirm_bits}"
    rows = []
    for name, t in c["thresholds"].items():
        low, high = t["recall_95"]
        mark = " (default)" if name == default else ""
        rows.append(
            f"| {name}{mark} | {t['found']} | {t['recall']:.1%} ({low:.1%}–{high:.1%}) | {t['pairs']:,} | {t['pairs_across_classes']:,} |"
            f" {t['chance_pairs_estimate']:,} | {f['pairs'][name]:,} |"
        )
    return f"""# Near-duplicates by two hashes

Thresholds are `near_bits` of pHash / `near_confirm_bits` of dHash, of 64 bits each. Known leaks: the {c["known_leaks"]} pairs of a test
and a training picture of CIFAR-10 that ciFAIR's authors judged near-duplicates, among {c["n"]:,} pictures of 32 px.

| thresholds | known leaks found | recall (Wilson 95 %) | pairs | … of different classes | chance pairs, estimated | pairs among {f["n"]:,} faces |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

* Most pairs are no false alarms: ciFAIR lists only the leaks, not the copies within a split, and is not complete.
* Two pictures of different classes are hardly ever copies. Of {c["chance_pairs_seen"]:,} pairs that are alike by chance (pHash within
  {MOST_BITS}, dHash beyond {CHANCE_DHASH} bits) {c["share_of_chance_pairs_across_classes"]:.0%} are of different classes; dividing by that share estimates all chance pairs.
* The faces are of different people, cropped alike: there the looser thresholds let chance pairs in, which grow with
  the square of the number of pictures. So the default is strict: nearly all that it names are copies, and it misses most of the
  loose ones. On varied pictures `near_bits = 10` finds half as many again or more; on small, plain drawings of few kinds, such as
  digits, even the default takes pictures for copies that are only alike.
* This is of the two hashes alone. Lint looks for mirrored copies, too, asks an embedding and lets the pixels decide: `benchmarks/leaks.py`.

Search, default thresholds, one process: all with all (counting up to {MOST_BITS} bits) {c["all_with_all_s"]:.1f} s, `near_duplicates` {c["near_duplicates_s"]:.2f} s,
{c["ratio"]:.0f} times as fast, for {c["n"]:,} pictures; {result["speed"]["near_duplicates_s"]:.1f} s for {result["speed"]["n"]:,} random hashes (seed {SEED}).

{where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}. Data: CIFAR-10 with ciFAIR's list (CC0); FairFace (CC BY
4.0), counted only. Reproduce: `.venv/bin/python benchmarks/near_duplicates.py --json docs/results/near_duplicates.json`.
"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = {
        "claim": "near_duplicates",
        "default": [LintSettings.near_bits, LintSettings.near_confirm_bits],
        "cifar": cifar(arguments.data),
        "faces": faces(arguments.data),
        "speed": speed(),
        "seed": SEED,
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
