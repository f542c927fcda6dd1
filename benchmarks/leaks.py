"""How many of CIFAR-10's known leaks SL203 finds, and how many of the leaks that it reports are real.

.venv/bin/python benchmarks/leaks.py --features FOLDER --json docs/results/leaks.json

Known leaks are those of ciFAIR (Barz, Denzler 2020). The list is not complete, so precision is taken by eye, from pairs
that are drawn at random from the reported ones: `--sheet FILE` draws them side by side. What lint does is run as lint
runs it (jobs/lint/looks.py, pipeline/audit/copies/findings.py); only the tables are stood in for, by the archives of pictures and
by `FOLDER/train.npy` and `test.npy`, features of a frozen MobileNetV2 at 128 px: making them takes 7 minutes.
"""

import argparse
import csv
import hashlib
import json
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from secondlook.jobs.lint.looks import THUMBNAILS, alike, proposals, small_pixels
from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit.copies.findings import Looks, Samples, leaks
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.decode import Limits, Rejected
from secondlook.pipeline.core.seeds import generator
from secondlook.pipeline.core.statistics import wilson
from secondlook.pipeline.images.checks import empty
from secondlook.pipeline.images.fingerprint import fingerprint
from secondlook.pipeline.images.likeness import SIDE_PX

SEED = 7
DRAWN = 100
RULE = (
    "a copy is the same photograph or drawing: cropped, shifted, zoomed, recolored, retouched, framed or mirrored; two "
    "pictures of the same or a similar thing, from another moment or another side, are none; in doubt it is none"
)
# What an eye said of the pairs drawn from those reported with this digest: a change of the rule asks for another look.
EYE: dict[str, Any] = {"digest": "e411a51a2034", "copies": 82}
WAYS = {"hashes": False, "hashes and embedding": True}
Pair = tuple[str, str]


class Archives:
    """Stands in for lint's tables: contents are the pictures of two archives, by their names."""

    def __init__(self, data: Path, features: Path) -> None:
        self.bytes: dict[str, bytes] = {}
        for split in ("train", "test"):
            with zipfile.ZipFile(data / "cifar10n" / f"images-{split}.zip") as pictures:
                names = sorted(name for name in pictures.namelist() if name.endswith(".jpg"))
                self.bytes |= {name: pictures.read(name) for name in names}
        self.features = features

    def informative(self) -> pa.Table:
        """Fingerprints of the pictures that lint looks at for copies."""
        rows = []
        for name, data in self.bytes.items():
            seen = fingerprint(data, Limits())
            assert not isinstance(seen, Rejected), name
            wanted = {column: seen[column] for column in ("phash", "dhash", "entropy", "contrast")}
            rows.append({"content_id": name, "splits": name.split("/")[0], **wanted})
        table = pa.Table.from_pylist(rows)
        columns = {name: table[name].to_numpy() for name in ("entropy", "contrast")}
        return table.filter(pa.array(~empty(columns, LintSettings.entropy, LintSettings.flat).flagged))

    def vectors(self) -> Iterator[pa.Table]:
        """The features, a few thousand at a time."""
        for split in ("train", "test"):
            rows = np.load(self.features / f"{split}.npy", mmap_mode="r")
            names = [name for name in self.bytes if name.startswith(split)]
            assert len(names) == len(rows), (len(names), len(rows))
            for start in range(0, len(rows), 8192):
                part = rows[start : start + 8192]
                lists = pa.FixedSizeListArray.from_arrays(pa.array(part.ravel()), part.shape[1])
                yield pa.table({"content_id": names[start : start + 8192], "vector": lists})

    def thumbnails(self, content_ids: pa.Array) -> pa.Table:
        """These pictures at 32 x 32 pixels."""
        names = content_ids.to_pylist()
        pixels = [small_pixels(self.bytes[name], Limits()) for name in names]
        return pa.table([pa.array(names), pa.array(pixels, THUMBNAILS[1].type)], schema=THUMBNAILS)


def reported(carrier: Archives, contents: pa.Table, embedded: bool) -> tuple[dict[Pair, bool], float]:
    """Pairs (test, train) that findings of SL203 name, with whether they are mirrored; seconds."""
    start = time.perf_counter()
    proposed = proposals(contents, carrier.vectors() if embedded else ())
    near = alike(carrier.thumbnails, contents, proposed, len(contents), LintSettings()).near
    names = contents["content_id"].to_pylist()
    numbers = np.arange(len(names))
    splits = contents["splits"].to_pylist()
    samples = Samples(names, names, splits, [None] * len(names), numbers)
    found = list(leaks(samples, Looks(near, numbers)))
    seconds = time.perf_counter() - start
    pairs: dict[Pair, bool] = {}
    place = {name: at for at, name in enumerate(names)}
    for finding in found:
        ways = {names[other]: how for other, how in near.near(place[finding.key], across=True)}
        for other in finding.evidence["others"]:
            test, train = sorted([finding.key, other])
            pairs[test, train] = ways[other].mirrored
    return pairs, seconds


def recall(pairs: dict[Pair, bool], known: list[dict[str, str]]) -> dict[str, Any]:
    """How many of the known leaks are among the pairs, with Wilson's interval."""
    hit = sum((row["test_file"], row["train_file"]) in pairs for row in known)
    interval = wilson(hit, len(known))
    return {
        "found": hit,
        "of": len(known),
        "recall": round(hit / len(known), 4),
        "recall_95": [round(interval.low, 4), round(interval.high, 4)],
    }


def sheet(carrier: Archives, drawn: list[Pair], pairs: dict[Pair, bool], file: Path) -> None:
    """Pairs side by side, enlarged, ten in a row; the test picture is turned where they are mirrored."""
    cells: list[npt.NDArray[np.uint8]] = []
    for at, pair in enumerate(drawn):
        both = [cv2.imdecode(np.frombuffer(carrier.bytes[name], np.uint8), cv2.IMREAD_COLOR) for name in pair]
        assert all(picture is not None for picture in both)
        left = both[0][:, ::-1] if pairs[pair] else both[0]  # type: ignore[index]
        cell = cv2.resize(np.concatenate([left, both[1]], axis=1), None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
        cell = cv2.copyMakeBorder(cell, 18, 6, 3, 9, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        cv2.putText(cell, f"{at}{' mirrored' if pairs[pair] else ''}", (3, 13), 0, 0.42, (0, 0, 200), 1)
        cells.append(cell)  # type: ignore[arg-type]
    rows = [np.concatenate(cells[at : at + 5], axis=1) for at in range(0, len(cells) - len(cells) % 5, 5)]
    for part in range(0, len(rows), 7):
        cv2.imwrite(str(file.with_stem(f"{file.stem}-{part // 7}")), np.concatenate(rows[part : part + 7], axis=0))


def measure(carrier: Archives, data: Path, drawing: Path | None) -> dict[str, Any]:
    """Recall by hashes alone and with the embedding; precision as far as an eye looked."""
    with (data / "cifar10n" / "leaks.csv").open(newline="") as stream:
        known = list(csv.DictReader(stream))
    contents = carrier.informative()
    result: dict[str, Any] = {"n": contents.num_rows, "px": SIDE_PX}
    pairs: dict[Pair, bool] = {}
    for way, embedded in WAYS.items():
        pairs, seconds = reported(carrier, contents, embedded)
        result[way] = {
            "judgment 1": recall(pairs, [row for row in known if row["judgment"] == "1"]),
            "all": recall(pairs, known),
            "judgment 1, second half": recall(pairs, [row for row in known[1::2] if row["judgment"] == "1"]),
            "all, second half": recall(pairs, known[1::2]),
            "pairs": len(pairs),
            "test_pictures": len({test for test, _ in pairs}),
            "mirrored": sum(pairs.values()),
            "seconds": round(seconds, 1),
        }
    order = sorted(pairs)
    drawn = [order[at] for at in sorted(generator(SEED, "leaks").choice(len(order), DRAWN, replace=False).tolist())]
    digest = hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:12]
    if drawing is not None:
        sheet(carrier, drawn, pairs, drawing)
    looked = digest == EYE["digest"]
    interval = wilson(EYE["copies"], DRAWN)
    result["precision"] = {
        "drawn": DRAWN,
        "digest": digest,
        "rule": RULE,
        "copies": EYE["copies"] if looked else None,
        "copies_95": [round(interval.low, 4), round(interval.high, 4)] if looked else None,
    }
    return result


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    c, where, lines = result["cifar"], result["machine"], []
    for way in WAYS:
        cells = [
            f"{one['found']} of {one['of']}, {one['recall']:.1%} ({one['recall_95'][0]:.1%}–{one['recall_95'][1]:.1%})"
            for one in (c[way][what] for what in ("judgment 1", "all", "judgment 1, second half", "all, second half"))
        ]
        more = (c[way][what] for what in ("pairs", "test_pictures", "mirrored", "seconds"))
        lines.append(f"| {way} | {' | '.join(cells)} | {' | '.join(f'{value:,}' for value in more)} |")
    eye = c["precision"]
    looked = (
        f"**{eye['copies']} of {eye['drawn']}** are copies ({eye['copies_95'][0]:.0%}–{eye['copies_95'][1]:.0%})"
        if eye["copies"] is not None
        else "nobody has looked at this draw yet"
    )
    t = result["thresholds"]
    return f"""# Leaks between CIFAR-10's splits

Recall is of the pairs of a test and a training picture that ciFAIR's authors list (Wilson 95 %); judgment 1 is near-duplicate. A pair
counts where a finding of SL203 names it. Thresholds (`near_match` {t["near_match"]}, its weights, and how far hashes may lie apart)
were chosen on every other row of the list, the first included, and on 336 pairs, most of them outside it, that an eye had judged; the
last step was taken with the whole list in view, so "second half", the rows between, is not wholly unseen.

| candidates from | judgment 1 | all | judgment 1, second half | all, second half | pairs reported | test pictures | mirrored | seconds |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(lines)}

Precision: the list is not complete, so {eye["drawn"]} of the reported pairs were drawn at random (seed {result["seed"]}) and looked at, side by side,
enlarged: {looked}. The rule for judging: {eye["rule"]}.

* The goals were 95 and 90 % of the list, which are met, and 90 % of the draw, which is clearly missed. Most of the 18 that are none are
  silhouettes of planes before a plain sky, others one kind of car, ship or horse in the same pose. `near_match` was lowered from 0.68,
  where 256 of 286 were found and 81 of another 100 were copies, with the whole list in view. Chosen stricter, 0.76, earlier draws,
  which also taught the weights, held 92 % copies, at 95 and 88 % of the list.
* n = {c["n"]:,} pictures of 32 px. One eye, one look; the pairs of the draw are in no place but the lists that this script makes.
* Many reported pairs are of few test pictures: CIFAR-10 holds one white car in dozens of nearly equal pictures.
* Embeddings: a frozen MobileNetV2 at 128 px, made beforehand. Seconds: both searches, reading and comparing the candidates' pixels.
* CleanVision's near-duplicates find 3 sets in the same pictures.

{where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}. Data: CIFAR-10 with ciFAIR's list (CC0). Reproduce: features of both
splits into a folder, then `.venv/bin/python benchmarks/leaks.py --features FOLDER --json docs/results/leaks.json`.
"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    result = {
        "claim": "leaks",
        "thresholds": {"near_match": LintSettings.near_match},
        "cifar": measure(Archives(arguments.data, arguments.features), arguments.data, arguments.sheet),
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
