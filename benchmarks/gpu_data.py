"""Pictures for benchmarks/gpu.py: a folder with a zip of images and a table of labels → arrays, by numpy and pillow alone."""

import csv
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Split:
    """`pixels` (n, side, side, 3) uint8 and `labels` (n,), class numbers; `names`: of the files."""

    pixels: Array
    labels: Array
    names: list[str]

    def part(self, rows: Array) -> "Split":
        """Some of it."""
        return Split(self.pixels[rows], self.labels[rows], [self.names[i] for i in rows])


@dataclass(frozen=True)
class Pictures:
    """What a benchmark fits and tests on. `told`: other labels (n,) for `train`, by the name of their column."""

    train: Split
    test: Split
    classes: list[str]
    told: dict[str, Array]


def tinyimagenet100(folder: Path, image_px: int, most: int | None = None) -> Pictures:
    """100 classes; its `val` pictures are the test. `most`: of each class and split, and that only of 10 classes."""
    rows = _table(folder / "labels.csv")
    classes = sorted({row["label"] for row in rows})
    if most:
        classes = classes[:10]
        rows = [row for split in ("train", "val") for one in classes for row in _first(rows, split, one, most)]
    pixels = _pixels(folder / "images.zip", [row["file"] for row in rows], image_px)
    labels = np.array([classes.index(row["label"]) for row in rows])
    whole = Split(pixels, labels, [row["file"] for row in rows])
    fitted = np.array([row["split"] == "train" for row in rows])
    short = [name.split(",")[0] for name in classes]
    return Pictures(whole.part(np.flatnonzero(fitted)), whole.part(np.flatnonzero(~fitted)), short, {})


def _first(rows: list[dict[str, str]], split: str, label: str, most: int) -> list[dict[str, str]]:
    return [row for row in rows if row["split"] == split and row["label"] == label][:most]


def cifar10n(folder: Path, image_px: int, most: int | None = None, after: Path | None = None) -> Pictures:
    """CIFAR-10 with what people answered. `after`: a table file,label of what a review loop made of it; `most`: the first so many."""
    rows, test_rows = (_table(folder / f"{split}.csv")[: most or None] for split in ("train", "test"))
    classes = sorted({row["clean"] for row in _table(folder / "train.csv")})
    number = {name: i for i, name in enumerate(classes)}
    told = {column: np.array([number[row[column]] for row in rows]) for column in ("random1", "aggre", "worse")}
    if after is not None:
        decided = {row["file"]: row["label"] for row in _table(after)}
        told["after"] = np.array([number[decided[row["file"]]] for row in rows])
    splits = [
        Split(
            _pixels(folder / f"images-{name}.zip", [row["file"] for row in part], image_px),
            np.array([number[row[column]] for row in part]),
            [row["file"] for row in part],
        )
        for name, part, column in (("train", rows, "clean"), ("test", test_rows, "label"))
    ]
    return Pictures(splits[0], splits[1], classes, told)


def _table(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _pixels(file: Path, names: list[str], image_px: int) -> Array:
    with zipfile.ZipFile(file) as archive:
        encoded = [archive.read(name) for name in names]

    def one(data: bytes) -> Array:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        if image.size != (image_px, image_px):
            image = image.resize((image_px, image_px), Image.Resampling.BOX)
        return np.asarray(image)

    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(one, encoded)))


def halves(labels: Array, share: float, seed: int) -> tuple[Array, Array]:
    """Rows of labels (n,) in two parts, `share` of each class in the second."""
    rng = np.random.default_rng(seed)
    second = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        second[rows[: round(share * len(rows))]] = True
    return np.flatnonzero(~second), np.flatnonzero(second)
