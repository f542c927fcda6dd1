"""Pictures a second into a training: streamed from large parts and decoded ahead, beside a plain DataLoader over files.

    python benchmarks/decoding.py --n 1000 --rounds 4 --json docs/results/decoding.json

Made JPEG pictures, the same bytes for all, each decoded by the same function, in batches as a net is given them, shuffled.
`files`: one file each, read by a torch DataLoader with 0 and with 2 worker processes. `parts`: row groups of one Parquet
file, read whole by `Streamed`, whose threads decode. Rounds of all take turns, and before each the system is told to drop
the files from its memory, so that the disk takes part; the median of rounds counts, with its quartiles.
"""

import argparse
import io
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from secondlook.jobs.machine import provenance
from secondlook.pipeline.learn.training.streamed import Streamed

CPU = torch.device("cpu")
SIDE, BATCH, GROUP = 96, 128, 256


def encoded(n: int, seed: int) -> list[bytes]:
    """JPEG pictures of smooth colours and noise, some 6 kB each."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((SIDE, SIDE))
        noisy = np.clip(np.asarray(coarse).astype(int) + rng.integers(-20, 21, (SIDE, SIDE, 3)), 0, 255)
        stream = io.BytesIO()
        Image.fromarray(noisy.astype(np.uint8)).save(stream, "JPEG", quality=90)
        found.append(stream.getvalue())
    return found


def decode(data: bytes) -> npt.NDArray[np.uint8]:
    """(side, side, 3)."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


class Files(Dataset[Any]):
    """One file for each picture, in folders of a thousand."""

    def __init__(self, folder: Path, pictures: Sequence[bytes]) -> None:
        self.paths = [folder / str(i // 1000) / f"{i}.jpg" for i in range(len(pictures))]
        for path, data in zip(self.paths, pictures, strict=True):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[int, torch.Tensor]:
        return row, torch.from_numpy(decode(self.paths[row].read_bytes()).copy())


class RowGroups:
    """A Parquet file of encoded pictures: `Parts` for `Streamed`."""

    def __init__(self, path: Path, pictures: Sequence[bytes]) -> None:
        pq.write_table(pa.table({"image": list(pictures)}), path, row_group_size=GROUP, compression="none")
        self.path, self.file = path, pq.ParquetFile(path)
        self.sizes: Sequence[int] = [self.file.metadata.row_group(i).num_rows for i in range(self.file.num_row_groups)]

    def read(self, part: int) -> list[bytes]:
        """All pictures of a row group."""
        found: list[bytes] = self.file.read_row_group(part)["image"].to_pylist()
        return found


def dropped(paths: Sequence[Path]) -> None:
    """Ask the system to forget what it holds of files, so that they are read from the disk again."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def loader(files: Files, workers: int, seed: int) -> Callable[[int], Iterator[Any]]:
    """Batches of a plain DataLoader, whose workers stay for the next epoch."""
    rng = torch.Generator().manual_seed(seed)
    made = DataLoader(
        files, BATCH, shuffle=True, num_workers=workers, drop_last=True, generator=rng, persistent_workers=workers > 0
    )
    return lambda epoch: iter(made)


def measured(n: int, rounds: int, seed: int, folder: Path) -> list[dict[str, Any]]:
    """Pictures a second of each way, in rounds that take turns."""
    pictures = encoded(n, seed)
    files, groups = Files(folder, pictures), RowGroups(folder / "pictures.parquet", pictures)
    ways: dict[str, Callable[[int], Iterator[Any]]] = {
        f"files, DataLoader, {workers} workers": loader(files, workers, seed) for workers in (0, 2)
    }
    for threads in (1, 2):
        stream = Streamed(groups, decode, BATCH, seed, CPU, window=4, threads=threads)
        ways[f"parts, Streamed, {threads} threads"] = stream.batches
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for epoch in range(rounds):
        for name, batches in ways.items():
            dropped([*files.paths, groups.path])
            start, seen = time.perf_counter(), 0
            for rows, _ in batches(epoch):
                seen += len(rows)
            rates[name].append(seen / (time.perf_counter() - start))
    rows = []
    for name, found in rates.items():
        low, middle, high = (round(float(value)) for value in np.quantile(found, [0.25, 0.5, 0.75]))
        rows.append({"way": name, "pictures_per_s": middle, "low": low, "high": high, "rounds": rounds})
    return rows


def page(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    out, machine = io.StringIO(), report["machine"]
    out.write(
        "# Pictures into a training\n\n"
        f"{report['n']:,} made JPEG pictures of {SIDE} px in batches of {BATCH}, seed {report['seed']}. {machine['cores']} cores "
        f"({machine['processor']}), {machine['memory_gib']} GiB, commit {report['commit']}, while other work ran on the same "
        "cores.\n\n| way | pictures a second | quartiles | rounds |\n|---|---|---|---|\n"
    )
    for row in report["ways"]:
        out.write(
            f"| {row['way']} | {row['pictures_per_s']:,} | {row['low']:,} to {row['high']:,} | {row['rounds']} |\n"
        )
    assert __doc__ is not None
    out.write("\n" + __doc__.split("\n\n", 1)[1])
    return out.getvalue()


def main() -> None:
    """Measure, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", type=Path, required=True)
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        ways = measured(wanted.n, wanted.rounds, wanted.seed, Path(folder))
    report = {"n": wanted.n, "seed": wanted.seed, "ways": ways}
    report |= {"machine": provenance.machine(), "commit": provenance.commit()}
    wanted.json.write_text(json.dumps(report, indent=1) + "\n")
    wanted.json.with_suffix(".md").write_text(page(report))


if __name__ == "__main__":
    main()
