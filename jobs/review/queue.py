"""The labeling queue as files that people work from: a CSV with a line a picture, and the pictures under opaque names."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.files.file_names import suffix_of
from secondlook.jobs.files.spreadsheet import as_text
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.pictures import images_by_content
from secondlook.jobs.lake.store import Lake, Version
from secondlook.jobs.terminal.console import progress
from secondlook.labeling.tickets import ticket
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id

QUEUE_COLUMNS = ("annotator", "key", "label", "seconds", "picture", "choices")
OPTIONS = "options"  # a column more where tasks show a few classes first
GUESS_COLUMNS = ("given", "guess", "p_guess", "original_key")
AT_ONCE = 32  # pictures held in memory while they are written out


@dataclass(frozen=True)
class Guess:
    """What the newest model says of a content: its best classes in order, and the probability of the first."""

    classes: tuple[str, ...]
    probability: float


def guesses(lake: Lake, version: Version, contents: pa.Array | None = None) -> dict[str, Guess]:
    """The newest model's two best classes by content, of all contents or of some; empty where there is no model."""
    if not lake.latest("models", version, ["model"]).num_rows:
        return {}
    model = dataset.newest_model(lake, version)
    rows = dataset.predictions(lake, version, model.name).select(["content_id", "classes", "probs"])
    if contents is not None:
        rows = rows.filter(pc.is_in(rows["content_id"], value_set=contents))
    return {
        row["content_id"]: Guess(tuple(model.classes[n] for n in row["classes"][:2]), float(row["probs"][0]))
        for row in rows.to_pylist()
    }


def write(
    lake: Lake,
    version: Version,
    tasks: Sequence[Mapping[str, Any]],
    file: Path | None,
    pictures: Path | None,
    final: Path | None,
    *,
    show_guess: bool,
) -> None:
    """The queue file, and the pictures that it names, of tasks in their order (rows of the table `batches`).

    A sample's key often holds its label (`train/cat/1.png`), so the queue's key is its ticket, which `review pull` takes as
    well, and pictures are named by it. `pictures` is the folder to write to, `final` what it will be called.
    """
    samples = dataset.samples(lake, version)
    wanted = pc.is_in(samples["sample_id"], value_set=pa.array([task["sample_id"] for task in tasks], pa.string()))
    by_id = {row["sample_id"]: row for row in samples.filter(wanted).to_pylist()}
    secret = lake.versions.secret()
    named = {task["sample_id"]: ticket(secret, task["batch"], task["sample_id"]) for task in tasks}
    names: dict[str, str] = {}
    if pictures is not None:
        names = _write_pictures(lake, version, by_id, named, pictures)
    if file is None:
        return
    contents = pa.array(sorted({row["content_id"] for row in by_id.values()}), pa.string())
    guess = guesses(lake, version, contents) if show_guess else {}
    classes = read_classes(lake, version)
    few = any(task.get("options") for task in tasks)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*QUEUE_COLUMNS, *([OPTIONS] if few else ()), *(GUESS_COLUMNS if show_guess else ())])
        for task in tasks:
            sample = by_id[task["sample_id"]]
            place = str(final / names[task["sample_id"]]) if final is not None else place_of(sample)
            offered = [_as_json(classes.offered(task[name] or ())) for name in ("choices", *([OPTIONS] if few else ()))]
            row = ["", named[task["sample_id"]], "", "", place, *offered]
            if show_guess:
                known = guess.get(sample["content_id"])
                row += [sample["label"] or "", known.classes[0] if known else ""]
                row += [f"{known.probability:.4f}" if known else "", sample["key"]]
            writer.writerow([as_text(cell) for cell in row])  # people open it in a spreadsheet


def _as_json(names: Sequence[str]) -> str:
    return json.dumps(names, ensure_ascii=False)


def telling(lake: Lake, version: Version, tasks: Sequence[Mapping[str, Any]]) -> int:
    """How many of the tasks have a key with a folder that is called like a class."""
    samples = lake.latest("samples", version, ["sample_id", "key"])
    keys = dict(zip(samples["sample_id"].to_pylist(), samples["key"].to_pylist(), strict=True))
    offered = {name for task in tasks for name in task["choices"]}
    return sum(not offered.isdisjoint(keys[task["sample_id"]].split("/")[:-1]) for task in tasks)


def place_of(sample: Mapping[str, Any]) -> str:
    """Where a sample's picture was found: its source and its key in it."""
    return f"{str(sample['source']).rstrip('/')}/{sample['key']}" if sample["source"] else str(sample["key"])


def _write_pictures(
    lake: Lake, version: Version, by_id: Mapping[str, Mapping[str, Any]], named: Mapping[str, str], folder: Path
) -> dict[str, str]:
    """Each sample's picture in a folder under its ticket; returns the names of the files."""
    folder.mkdir()
    names: dict[str, str] = {}
    ordered = sorted(by_id.values(), key=lambda row: (row["content_id"], row["sample_id"]))
    with progress("writing pictures", len(ordered)) as advance:
        for start in range(0, len(ordered), AT_ONCE):
            part = ordered[start : start + AT_ONCE]
            found = images_by_content(lake, version, (row["content_id"] for row in part))
            for row in part:
                data = found[row["content_id"]]
                if content_id(data) != row["content_id"]:
                    raise UserError(f"{row['key']} has changed where it was kept by reference; ingest it again")
                names[row["sample_id"]] = named[row["sample_id"]] + suffix_of(data, str(row["key"]))
                (folder / names[row["sample_id"]]).write_bytes(data)
            advance(len(part))
    return names
