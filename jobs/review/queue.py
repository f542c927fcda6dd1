"""The labeling queue: which samples a batch asks for, and the files that people work from."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from secondlook.jobs.files.file_names import suffix_of
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.classes import read as read_classes
from secondlook.jobs.lake.pictures import images_by_content
from secondlook.jobs.lake.store import Lake, Version
from secondlook.labeling.acquire.batch import NO_PAIR, WORTH, Candidate
from secondlook.pipeline.core.errors import UserError
from secondlook.pipeline.core.identity import content_id

QUEUE_COLUMNS = ("annotator", "key", "label", "seconds", "picture", "choices")
GUESS_COLUMNS = ("given", "guess", "p_guess", "original_key")
AT_ONCE = 32  # pictures held in memory while they are written out


@dataclass(frozen=True)
class Guess:
    """What the newest model says of a content: its best classes in order, and the probability of the first."""

    classes: tuple[str, ...]
    probability: float

    @property
    def pair(self) -> tuple[str, str]:
        """The two best classes, sorted."""
        return _pair(self.classes)


def _pair(names: Iterable[str | None]) -> tuple[str, str]:
    two = sorted({name for name in names if name})[:2]
    return (two[0], two[1]) if len(two) == 2 else NO_PAIR


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


def candidates(
    lake: Lake, version: Version, *, again: bool
) -> tuple[list[Candidate], list[Candidate], list[Candidate]]:
    """Who could be asked for: (doubted, unlabeled, all others). Contents that a batch asked for are left out.

    So are those whose class waits for a sign-off. With `again`, those among them that have answers but no decision come back, as the most valuable.
    """
    samples = dataset.samples(lake, version).select(["sample_id", "content_id", "label"])
    samples, _ = dataset.without_quarantined(samples, dataset.quarantined(lake, version))
    open_contents, asked = _asked(lake, version, samples)
    samples = samples.filter(pc.invert(pc.is_in(samples["content_id"], value_set=asked)))
    doubts = _doubts(lake, version)
    unlabeled_contents = samples.filter(pc.is_null(samples["label"]))["content_id"].combine_chunks()
    guess = guesses(lake, version, pc.unique(unlabeled_contents))
    doubted, unlabeled, rest = [], [], []
    for row in samples.to_pylist():
        sample_id, content = row["sample_id"], row["content_id"]
        if sample_id in doubts:
            doubted.append(Candidate(sample_id, content, *doubts[sample_id]))
        elif row["label"] is None:
            known = guess.get(content)
            value, pair = (1.0 - known.probability, known.pair) if known else (1.0, NO_PAIR)
            unlabeled.append(Candidate(sample_id, content, "unlabeled", value, pair))
        else:
            rest.append(Candidate(sample_id, content, "random", 0.0))
    if again:
        doubted += [Candidate(sample_id, content, "again", 1.0) for content, sample_id in sorted(open_contents.items())]
    return doubted, unlabeled, rest


def paired(lake: Lake, version: Version, chosen: Sequence[Candidate]) -> list[Candidate]:
    """The candidates, those without a pair with the two classes that the newest model finds most probable.

    So that nobody sees by its group which pictures are there by chance.
    """
    alone = pa.array(sorted({one.content_id for one in chosen if one.pair == NO_PAIR}), pa.string())
    guess = guesses(lake, version, alone) if len(alone) else {}
    return [
        replace(one, pair=guess[one.content_id].pair) if one.pair == NO_PAIR and one.content_id in guess else one
        for one in chosen
    ]


def _asked(lake: Lake, version: Version, samples: pa.Table) -> tuple[dict[str, str], pa.Array]:
    """Contents with answers but without a decision (content → a sample), and all contents that a batch asked for."""

    def contents(sample_ids: pa.ChunkedArray) -> pa.Array:
        of_them = pc.is_in(samples["sample_id"], value_set=pc.unique(sample_ids))
        return pc.unique(samples.filter(of_them)["content_id"])

    asked = contents(lake.read("batches", version, ["sample_id"])["sample_id"])
    answers = lake.read("annotations", version, ["sample_id"])["sample_id"]
    labels = lake.read("labels", version, ["sample_id", "source"])
    decided = contents(labels.filter(pc.equal(labels["source"], "review"))["sample_id"])
    answered = samples.filter(pc.is_in(samples["sample_id"], value_set=pc.unique(answers)))
    left = answered.filter(pc.invert(pc.is_in(answered["content_id"], value_set=decided)))
    return dict(zip(left["content_id"].to_pylist(), left["sample_id"].to_pylist(), strict=True)), asked


def _doubts(lake: Lake, version: Version) -> dict[str, tuple[str, float, tuple[str, str]]]:
    """Sample → (rule, what a look is worth, confused pair), of the finding of each sample that is worth most."""
    rows = dataset.findings(lake, version)
    if rows is None:
        return {}
    chosen = pc.and_(
        pc.is_in(rows["rule"], value_set=pa.array(list(WORTH))), pc.equal(pc.fill_null(rows["waiver"], ""), "")
    )
    best: dict[str, tuple[str, float, tuple[str, str]]] = {}
    for row in rows.filter(chosen).to_pylist():
        value = WORTH[row["rule"]] * min(max(row["score"], 0.0), 1.0)
        if row["subject"] not in best or value > best[row["subject"]][1]:
            evidence = json.loads(row["evidence"] or "{}")
            pair = _pair(evidence.get(name) for name in ("given", "suggested", "first", "second"))
            pair = pair if pair != NO_PAIR else _pair(evidence.get("labels", ()))
            best[row["subject"]] = row["rule"], value, pair
    return best


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

    A sample's key often holds its label (`train/cat/1.png`), so the queue's key is the sample_id, which `review pull` takes as
    well, and pictures are named by it. `pictures` is the folder to write to, `final` what it will be called.
    """
    samples = dataset.samples(lake, version)
    wanted = pc.is_in(samples["sample_id"], value_set=pa.array([task["sample_id"] for task in tasks], pa.string()))
    by_id = {row["sample_id"]: row for row in samples.filter(wanted).to_pylist()}
    names: dict[str, str] = {}
    if pictures is not None:
        names = _write_pictures(lake, version, by_id, pictures)
    if file is None:
        return
    contents = pa.array(sorted({row["content_id"] for row in by_id.values()}), pa.string())
    guess = guesses(lake, version, contents) if show_guess else {}
    classes = read_classes(lake, version)
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*QUEUE_COLUMNS, *(GUESS_COLUMNS if show_guess else ())])
        for task in tasks:
            sample = by_id[task["sample_id"]]
            place = str(final / names[task["sample_id"]]) if final is not None else place_of(sample)
            row = [
                "",
                task["sample_id"],
                "",
                "",
                place,
                json.dumps(classes.offered(task["choices"]), ensure_ascii=False),
            ]
            if show_guess:
                known = guess.get(sample["content_id"])
                row += [sample["label"] or "", known.classes[0] if known else ""]
                row += [f"{known.probability:.4f}" if known else "", sample["key"]]
            writer.writerow(row)


def telling(lake: Lake, version: Version, tasks: Sequence[Mapping[str, Any]]) -> int:
    """How many of the tasks have a key with a folder that is called like a class."""
    samples = lake.latest("samples", version, ["sample_id", "key"])
    keys = dict(zip(samples["sample_id"].to_pylist(), samples["key"].to_pylist(), strict=True))
    return sum(bool({*keys[task["sample_id"]].split("/")[:-1]} & {*task["choices"]}) for task in tasks)


def place_of(sample: Mapping[str, Any]) -> str:
    """Where a sample's picture was found: its source and its key in it."""
    return f"{str(sample['source']).rstrip('/')}/{sample['key']}" if sample["source"] else str(sample["key"])


def _write_pictures(
    lake: Lake, version: Version, by_id: Mapping[str, Mapping[str, Any]], folder: Path
) -> dict[str, str]:
    """Each sample's picture in a folder under an opaque name; returns the names."""
    folder.mkdir()
    names: dict[str, str] = {}
    ordered = sorted(by_id.values(), key=lambda row: (row["content_id"], row["sample_id"]))
    for start in range(0, len(ordered), AT_ONCE):
        part = ordered[start : start + AT_ONCE]
        found = images_by_content(lake, version, (row["content_id"] for row in part))
        for row in part:
            data = found[row["content_id"]]
            if content_id(data) != row["content_id"]:
                raise UserError(f"{row['key']} has changed where it was kept by reference; ingest it again")
            names[row["sample_id"]] = row["sample_id"] + suffix_of(data, str(row["key"]))
            (folder / names[row["sample_id"]]).write_bytes(data)
    return names
