"""The demo's pictures: scikit-learn's handwritten digits with faults planted from a seed, and the truth beside them.

Digits: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (CC BY 4.0),
as scikit-learn ships them: 1,797 pictures of 8x8.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from secondlook.pipeline.core.seeds import generator

Pixels = npt.NDArray[np.uint8]

SIDE_PX = 64
TEST, UNLABELED = 297, 100
LOOK_ALIKES = {0: 6, 1: 8, 2: 3, 3: 9, 4: 7, 5: 9, 6: 0, 7: 4, 8: 1, 9: 3}
MISTAKES = {"north": 0.06, "south": 0.18}  # share of wrong labels by site
COPIES, RELABELED_COPIES, LEAKS = 12, 5, 4


@dataclass(frozen=True)
class Planted:
    """What was planted. `truth` has the right class of every readable picture by its key, `given` the label it got."""

    folder: Path
    labels: Path
    truth: dict[str, str]
    given: dict[str, str]
    mistakes: frozenset[str]
    copies: frozenset[str]
    relabeled_copies: frozenset[str]
    leaks: frozenset[str]
    unlabeled: frozenset[str]
    broken: dict[str, str]


def plant(folder: Path, seed: int) -> Planted:
    """Write the pictures below `folder`/pictures and `folder`/labels.csv (file, label, split, site).

    The folder of a picture is the class that it was given, as in any dataset that people sorted by hand.
    """
    from sklearn.datasets import load_digits

    pixels, classes = load_digits(return_X_y=True)
    rng = generator(seed, "digits")
    order = rng.permutation(len(classes))
    rows: list[dict[str, str]] = []
    truth: dict[str, str] = {}
    groups: dict[str, set[str]] = {
        name: set() for name in ("mistakes", "copies", "relabeled_copies", "leaks", "unlabeled")
    }

    def put(number: int, picture: Pixels, right: int, given: int | None, split: str, site: str) -> str:
        key = f"{split or 'new'}/{given if given is not None else 'unlabeled'}/{number:04d}.png"
        path = folder / "pictures" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(path)
        truth[key] = str(right)
        rows.append({"file": key, "label": "" if given is None else str(given), "split": split, "site": site})
        return key

    def scan(index: int) -> Pixels:
        """A digit as a scanner would give it: dark ink on grey paper."""
        ink: Pixels = (235 - pixels[index].reshape(8, 8) * 13).astype(np.uint8)
        return ink

    for n, index in enumerate(order[:TEST]):
        put(n, scan(index), int(classes[index]), int(classes[index]), "test", str(rng.choice(list(MISTAKES))))
    for n, index in enumerate(order[TEST : TEST + UNLABELED]):
        groups["unlabeled"].add(put(n, scan(index), int(classes[index]), None, "", str(rng.choice(list(MISTAKES)))))
    train = order[TEST + UNLABELED :]
    for n, index in enumerate(train):
        site, right = str(rng.choice(list(MISTAKES))), int(classes[index])
        wrong = rng.random() < MISTAKES[site]
        key = put(n, scan(index), right, LOOK_ALIKES[right] if wrong else right, "train", site)
        if wrong:
            groups["mistakes"].add(key)

    kinds = ["copies"] * COPIES + ["relabeled_copies"] * RELABELED_COPIES + ["leaks"] * LEAKS
    for n, (kind, index) in enumerate(zip(kinds, rng.choice(train, len(kinds), replace=False), strict=True)):
        right = int(classes[index])
        original = next(
            row
            for row in rows
            if row["file"].endswith(f"/{int(np.flatnonzero(train == index)[0]):04d}.png") and row["split"] == "train"
        )
        given = LOOK_ALIKES[int(original["label"])] if kind == "relabeled_copies" else int(original["label"])
        key = put(9000 + n, scan(index), right, given, "test" if kind == "leaks" else "train", original["site"])
        groups[kind].add(key)
        if str(given) != str(right):
            groups["mistakes"].add(key)

    labels = folder / "labels.csv"
    with labels.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["file", "label", "split", "site"])
        writer.writeheader()
        writer.writerows(rows)
    given_labels = {row["file"]: row["label"] for row in rows if row["label"]}
    frozen = {name: frozenset(keys) for name, keys in groups.items()}
    return Planted(folder / "pictures", labels, truth, given_labels, broken=_broken(folder / "pictures"), **frozen)


def _broken(pictures: Path) -> dict[str, str]:
    """Files that are no readable pictures, and the reason that each must be rejected with."""
    whole = next((pictures / "train" / "0").iterdir()).read_bytes()
    header = b"\x89PNG\r\n\x1a\n"
    bomb = header + _chunk(b"IHDR", (60_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00") + whole[33:]
    files = {
        "train/0/half-uploaded.png": (whole[: len(whole) // 2], "truncated"),
        "train/1/empty.png": (b"", "empty"),
        "train/2/notes.png": (b"remember to rescan page 12\n" * 40, "not an image"),
        "train/3/poster.png": (bomb, "decompression bomb"),
    }
    for key, (data, _) in files.items():
        (pictures / key).write_bytes(data)
    return {key: reason for key, (_, reason) in files.items()}


def _chunk(kind: bytes, data: bytes) -> bytes:
    import zlib

    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
