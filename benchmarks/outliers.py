"""How well SL308 finds off-topic pictures planted among CIFAR-10's, beside scikit-learn and cleanlab on the same vectors.

    python benchmarks/outliers.py --features FOLDER --json docs/results/outliers.json

10,000 training pictures of CIFAR-10, and in each run 100 of one other kind (1 %), each with one of the ten labels drawn at
random. MobileNetV2 features at 128 px; what is not in FOLDER is made (some 2 minutes). Pictures and the backbone don't come
with this project: `--data` and `--backbone` say where they are. The page is written beside the JSON.
"""

import argparse
import csv
import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from sklearn.metrics import average_precision_score, roc_auc_score

from secondlook.jobs.machine import provenance
from secondlook.pipeline.audit.embedding import outliers
from secondlook.pipeline.core.config import LintSettings
from secondlook.pipeline.core.seeds import generator

SEED = 7
N, PLANTED, SIDE = 10_000, 100, 32
DRAWS = 200
WIDE = 250  # neighbors for cleanlab where it is told that odd ones may come by the hundred
SHARED = Path(__file__).parents[2] / "shared"
# Kinds of Tiny ImageNet that show what CIFAR-10 has a class for.
KNOWN = (
    "cat", "dog", "terrier", "shepherd", "stork", "penguin", "bullfrog", "salamander", "wagon", "lifeboat", "gondola",
    "trolleybus", "school bus", "tractor", "freight car", "jinrikisha", "ox", "bighorn",
)  # fmt: skip
KINDS = {
    "tiny": "Tiny ImageNet, kinds that CIFAR-10 has no class for (on such ones the method was chosen)",
    "faces": "faces of people",
    "digits": "handwritten digits",
    "noise": "noise: white, smooth, and around one color",
    "collages": "four CIFAR-10 pictures in one",
    "text": "lines of letters",
}
METHODS = {
    "secondlook": "SL308",
    "secondlook_unlabeled": "SL308, no picture has a label",
    "cleanlab": "cleanlab's outlier issue (what Datalab runs), defaults",
    "cleanlab_wide": f"the same with k = {WIDE} instead of 10",
    "lof": "scikit-learn `LocalOutlierFactor`, defaults",
    "forest": "scikit-learn `IsolationForest`, defaults",
}
Vectors = npt.NDArray[np.float32]
Judge = Callable[[Vectors, list[str]], tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]]


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The bytes of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def from_zip(archive: Path, wanted: Callable[[str], bool], n: int | None) -> Iterator[bytes]:
    """Pictures of an archive, `n` of them drawn at random, or all of the first N."""
    with zipfile.ZipFile(archive) as pictures:
        names = sorted(
            name for name in pictures.namelist() if name.lower().endswith((".jpg", ".jpeg")) and wanted(name)
        )
        rows = np.arange(N) if n is None else np.sort(generator(SEED, archive.name).permutation(len(names))[:n])
        for row in rows.tolist():
            yield pictures.read(names[row])


def made(kind: str, data: Path) -> Iterator[bytes]:
    """The pictures of a kind that need no file, or CIFAR-10's own."""
    rng = generator(SEED, kind)
    if kind == "digits":
        from sklearn.datasets import load_digits

        images = load_digits().images
        for row in rng.permutation(len(images))[:PLANTED].tolist():
            small = Image.fromarray((images[row] * 15.9).astype(np.uint8)).resize(
                (SIDE, SIDE), Image.Resampling.BILINEAR
            )
            yield png(np.asarray(small.convert("RGB")))
    elif kind == "noise":
        for row in range(PLANTED):
            white = rng.integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
            smooth = Image.fromarray(white[:4, :4]).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            plain = np.clip(rng.integers(0, 256, 3) + rng.normal(0, 25, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
            yield png((white, np.asarray(smooth), plain)[row % 3])
    elif kind == "text":
        for _ in range(PLANTED):
            page = Image.new("RGB", (SIDE, SIDE), "white")
            pen = ImageDraw.Draw(page)
            for line in range(3):
                pen.text((1, 10 * line), "".join(chr(rng.integers(97, 123)) for _ in range(6)), fill="black")
            yield png(np.asarray(page))
    else:
        with zipfile.ZipFile(data / "cifar10n" / "images-train.zip") as archive:
            names = [name for name in sorted(archive.namelist()) if name.endswith(".jpg")][N:]
            for _ in range(PLANTED):
                four = [
                    Image.open(io.BytesIO(archive.read(names[i]))) for i in rng.choice(len(names), 4, replace=False)
                ]
                tiles = [np.asarray(one.convert("RGB").resize((SIDE // 2, SIDE // 2))) for one in four]
                yield png(np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]))


def pictures(kind: str, data: Path) -> Iterator[bytes]:
    """The pictures of a kind."""
    if kind == "cifar":
        return from_zip(data / "cifar10n" / "images-train.zip", lambda name: True, None)
    if kind == "faces":
        return from_zip(data / "faces" / "images.zip", lambda name: True, PLANTED)
    if kind == "tiny":
        with (data / "tinyimagenet100" / "labels.csv").open(newline="") as stream:
            label = {row["file"]: row["label"] for row in csv.DictReader(stream)}
        off = {file for file, name in label.items() if not any(known in name for known in KNOWN)}
        return from_zip(data / "tinyimagenet100" / "images.zip", lambda name: name in off, PLANTED)
    return made(kind, data)


def features(kind: str, folder: Path, data: Path, backbone: Path) -> Vectors:
    """Vectors (n, 1280) of the pictures of a kind, made where they are not there."""
    file = folder / f"outliers-{kind}.npy"
    if not file.exists():
        import torch

        from secondlook.pipeline.core.decode import Limits
        from secondlook.pipeline.learn import backbones
        from secondlook.pipeline.learn.batches import picture_batches

        net = backbones.load(str(backbone), 128, torch.device("cpu"))
        stream = ((str(n), bytes_) for n, bytes_ in enumerate(pictures(kind, data)))
        parts = [net.embed(batch.pixels) for batch in picture_batches(stream, 128, 128, Limits(2**26, 10**8, 20.0))]
        folder.mkdir(parents=True, exist_ok=True)
        np.save(file, np.concatenate(parts).astype(np.float32))
    found: Vectors = np.load(file)
    return found


def ours(vectors: Vectors, labels: list[str], *, labeled: bool) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """SL308 as lint runs it: a sample of each class, then every picture beside it."""
    given: list[str | None] = list(labels) if labeled else [None] * len(labels)
    size = outliers.sample_size(len(set(given)) + labeled)
    drawn, seen = [], dict.fromkeys(given, 0)
    for row in generator(SEED, "sample").permutation(len(vectors)).tolist():
        seen[given[row]] += 1
        if seen[given[row]] <= size:
            drawn.append(row)
    ids = [str(row) for row in range(len(vectors))]
    reference = outliers.fit(
        [ids[row] for row in drawn], vectors[drawn], [given[row] for row in drawn], LintSettings().outlier_tail
    )
    assert reference is not None
    places, _ = reference.space.place(vectors)
    member = np.array([reference.members.get(one, (-1, -1)) for one in ids])
    distance = outliers.compare(reference, places, member).distance
    return distance, distance > reference.threshold


class _Alone:
    """What cleanlab's issue manager asks of a Datalab, which wants one more package: nothing is known yet."""

    def get_info(self, name: str) -> dict[str, Any]:
        del name
        return {}


def cleanlab(vectors: Vectors, labels: list[str], k: int = 10) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """cleanlab's `OutlierIssueManager`: mean cosine distance of k neighbors (10 is its default), and its threshold."""
    from cleanlab.datalab.internal.issue_manager.outlier import OutlierIssueManager

    del labels
    manager = OutlierIssueManager(_Alone(), k=k)
    manager.find_issues(features=vectors)
    return 1 - manager.issues["outlier_score"].to_numpy(), manager.issues["is_outlier_issue"].to_numpy()


def lof(vectors: Vectors, labels: list[str]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """On vectors of length 1, so that its distance orders as the cosine does."""
    from sklearn.neighbors import LocalOutlierFactor

    del labels
    fitted = LocalOutlierFactor()
    flag = fitted.fit_predict(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    return -fitted.negative_outlier_factor_, flag < 0


def forest(vectors: Vectors, labels: list[str]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Scikit-learn's, with its default of 100 trees."""
    from sklearn.ensemble import IsolationForest

    del labels
    fitted = IsolationForest(random_state=SEED).fit(vectors)
    score = -fitted.score_samples(vectors)
    return score, score > -fitted.offset_


JUDGES: dict[str, Judge] = {
    "secondlook": lambda vectors, labels: ours(vectors, labels, labeled=True),
    "secondlook_unlabeled": lambda vectors, labels: ours(vectors, labels, labeled=False),
    "cleanlab": cleanlab,
    "cleanlab_wide": lambda vectors, labels: cleanlab(vectors, labels, WIDE),
    "lof": lof,
    "forest": forest,
}


def figures(
    score: npt.NDArray[Any], flag: npt.NDArray[np.bool_], odd: npt.NDArray[np.bool_], *names: str
) -> dict[str, Any]:
    """AUROC and average precision with bootstrap intervals, and what the flag finds."""
    rng, draws = generator(SEED, "bootstrap", *names), []
    sides = [np.flatnonzero(odd), np.flatnonzero(~odd)]
    for _ in range(DRAWS):
        rows = np.concatenate([rng.choice(side, len(side)) for side in sides])
        draws.append((roc_auc_score(odd[rows], score[rows]), average_precision_score(odd[rows], score[rows])))
    low, high = np.quantile(np.array(draws), (0.025, 0.975), axis=0)
    return {
        "auroc": round(float(roc_auc_score(odd, score)), 4),
        "auroc_95": [round(float(low[0]), 4), round(float(high[0]), 4)],
        "average_precision": round(float(average_precision_score(odd, score)), 4),
        "average_precision_95": [round(float(low[1]), 4), round(float(high[1]), 4)],
        "flagged": int(flag.sum()),
        "found": int((flag & odd).sum()),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Every method on every kind of plant, and on clean pictures."""
    with (arguments.data / "cifar10n" / "train.csv").open(newline="") as stream:
        labels = [row["clean"] for row in csv.DictReader(stream)][:N]
    where = (arguments.features, arguments.data, arguments.backbone)
    base = features("cifar", *where)
    result: dict[str, Any] = {"clean": {}, "kinds": {}, "seconds": {}}
    for name, judge in JUDGES.items():
        start = time.monotonic()
        result["clean"][name] = int(judge(base, labels)[1].sum())
        result["seconds"][name] = round(time.monotonic() - start, 2)
    for kind in KINDS:
        planted = features(kind, *where)
        drawn = generator(SEED, "labels", kind).choice(sorted(set(labels)), len(planted)).tolist()
        vectors, odd = np.concatenate([base, planted]), np.arange(N + len(planted)) >= N
        result["kinds"][kind] = {
            name: figures(*judge(vectors, labels + drawn), odd, kind, name) for name, judge in JUDGES.items()
        }
        print(kind, json.dumps(result["kinds"][kind]), flush=True)
    return result


def page(result: dict[str, Any]) -> str:
    """The same figures for people."""
    found, where = result["figures"], result["machine"]
    tables = []
    for kind, title in KINDS.items():
        lines = [
            f"| {METHODS[name]} | {f['auroc']:.3f} ({f['auroc_95'][0]:.3f}–{f['auroc_95'][1]:.3f}) "
            f"| {f['average_precision']:.3f} ({f['average_precision_95'][0]:.3f}–{f['average_precision_95'][1]:.3f}) "
            f"| {f['found']} of {PLANTED} | {f['flagged'] - f['found']} |"
            for name, f in found["kinds"][kind].items()
        ]
        head = "| | AUROC | average precision | flagged of them | flagged of the others |\n|---|---|---|---|---|\n"
        tables.append(f"## {title[0].upper()}{title[1:]}\n\n{head}" + "\n".join(lines) + "\n")
    speed = "\n".join(
        f"| {METHODS[name]} | {seconds} | {found['clean'][name]} | {seconds / found['seconds']['secondlook']:.1f} |"
        for name, seconds in found["seconds"].items()
    )
    return f"""# Finding pictures that don't belong

{N:,} training pictures of CIFAR-10 (the first ones) and, in each run, {PLANTED} pictures of one other kind, each with one of the
ten labels drawn at random. All methods see the same MobileNetV2 vectors of {result["dimensions"]:,} numbers. Intervals: 95 %, {DRAWS} bootstrap draws over
the pictures, with the planted and the others drawn apart (seed {SEED}). The method and its threshold were chosen on other
CIFAR-10 pictures (4,000 of the test set) with 40 Tiny ImageNet pictures, and looked at with 40 faces, digits and noises. A draft of
this page showed that the 2 % of a class's sample that a picture had to be near to were too few (4 of 100 digits were flagged), and 5 %
was chosen among 4, 5 and 8 with all kinds in view; so only collages and lines of letters had no part in how a distance is taken.
The backbone was trained on ImageNet, of which Tiny ImageNet is a part.

{chr(10).join(tables)}
Pictures of one kind are like one another: methods that look at the 10 or 20 nearest neighbors among all find a hundred digits a
kind of their own, and ordinary. With {WIDE} neighbors cleanlab's finds them too, and as well as SL308, on classes of 1,000 pictures: the number of
neighbors decides, more than the rest. SL308 takes 5 % of a sample of each class instead of a number, so that small classes are no
outliers, and compares with that sample only, so that its time grows with the pictures and not with their square. Where the odd pictures
are all different (Tiny ImageNet), neighbors among all do as well or better. Collages of CIFAR-10 look like CIFAR-10 to the backbone: nobody finds them.

## Time, and flags where nothing was planted

{N:,} pictures; CIFAR-10 has odd ones of its own, so a few flags are no mistake.

| | seconds | flagged of {N:,} | times SL308's seconds |
|---|---|---|---|
{speed}

scikit-learn {result["versions"]["scikit-learn"]}, cleanlab {result["versions"]["cleanlab"]}; {where["cores"]} cores {where["processor"]}, Python {where["python"]}, commit {result["commit"]}. Reproduce:
`.venv/bin/python benchmarks/outliers.py --features FOLDER --json docs/results/outliers.json`.
"""


def main() -> None:
    """Measure, print, and write the JSON and its page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=SHARED / "data")
    parser.add_argument("--backbone", type=Path, default=SHARED / "models" / "mobilenet_v2")
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments)
    result = {
        "claim": "outliers",
        "figures": found,
        "n": N,
        "planted": PLANTED,
        "dimensions": 1280,
        "outlier_tail": LintSettings().outlier_tail,
        "seed": SEED,
        "versions": {name: metadata.version(name) for name in ("scikit-learn", "cleanlab")},
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
