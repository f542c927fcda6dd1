"""Students on their way into the lake: the ONNX file, checked against the net; the int8 one; weights, facts and rows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from secondlook.jobs.distill.fitting import Taught
from secondlook.jobs.distill.lessons import Lessons
from secondlook.jobs.distill.measured import Ask, by_torch, chances, figures, seen
from secondlook.jobs.distill.stored import FACTS, FORMAT, KIND, LEARNED, ONNX, WEIGHTS
from secondlook.jobs.lake.store import Attempt
from secondlook.jobs.train.features import prediction_rows
from secondlook.pipeline.core.config import Settings
from secondlook.pipeline.core.errors import SecondlookError
from secondlook.pipeline.core.schemas import TABLES

if TYPE_CHECKING:
    import torch

Ints = npt.NDArray[np.int64]

CHECKED = 256  # pictures that the file is checked on and int8 is calibrated with, at most
APART = 1e-2  # the most that a logit of the file may differ from the net's, as a share of how far its logits are spread


@dataclass(frozen=True)
class Run:
    """What the students of one run share. `name`: what their names end in; `teacher`: its model's name; `said` (U,): the class
    that it says of each picture that no student learned from."""

    name: str
    teacher: str
    classes: list[str]
    said: Ints
    settings: Settings
    where: "torch.device"


@dataclass(frozen=True)
class Made:
    """A student to be written: `folder` below the lake, files by name, what is in the table `models`, and its predictions."""

    name: str
    path: str
    files: dict[str, bytes]
    net: str
    made_of: list[str]
    metrics: dict[str, Any]
    predictions: list[pa.Table]


def made(attempt: Attempt, one: Taught, run: Run, lessons: Lessons) -> list[Made]:
    """The student and, where it is wanted, the int8 one beside it."""
    from safetensors.torch import save

    from secondlook.pipeline.learn.students import onnx_file
    from secondlook.pipeline.learn.students.cost import cost

    named, px = one.named, one.named.image_px
    parent = f"student-{named.slug}-{run.name}"
    name = f"{parent}-pruned" if one.pruned else parent
    path = f"models/{name}/{attempt.id[:12]}"
    net = one.net.float().eval()
    file = onnx_file.exported(net, px, run.classes)
    agreed = _checked(name, net, file, seen(lessons, _some(lessons), px))
    its = cost(net, px)
    shared = {
        "parameters": its.parameters,
        "multiply_adds": its.multiply_adds,
        "image_px": px,
        "seed": run.settings.distill.seed,
    }
    facts = {"format": FORMAT, "net": named.net, "image_px": px, "pruned": one.pruned, "weights": path}
    facts |= {
        "classes": run.classes,
        "n_classes": len(run.classes),
        "teacher": run.teacher,
        "input": onnx_file.Runner(file).input,
    }
    metrics = shared | {"bytes": len(file), "onnx": agreed, "loss": [round(value, 4) for value in one.losses]}
    ask = by_torch(net, run.where)
    measured, predictions = _measured(attempt, name, ask, lessons, run, px)
    predictions.append(_learned(attempt, name, ask, lessons, run, px))
    weights = save({key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()})
    files = {ONNX: file, WEIGHTS: weights, FACTS: _json(facts | {"precision": "float32"})}
    made_of = [parent, run.teacher] if one.pruned else [run.teacher]
    students = [Made(name, path, files, named.net, made_of, metrics | measured, predictions)]
    if run.settings.distill.quantize:
        students.append(_int8(attempt, students[0], facts, lessons, run, shared))
    return students


def _int8(
    attempt: Attempt, parent: Made, facts: dict[str, Any], lessons: Lessons, run: Run, shared: dict[str, Any]
) -> Made:
    """The int8 student of a student: calibrated on pictures that it learned from, and never on those that it is measured on."""
    from secondlook.pipeline.learn.students import onnx_file, quantize

    name, px = f"{parent.name}-int8", facts["image_px"]
    file = quantize.quantized(parent.files[ONNX], seen(lessons, _some(lessons), px))
    measured, predictions = _measured(attempt, name, onnx_file.Runner(file).ask, lessons, run, px)
    metrics = shared | {"bytes": len(file)} | measured
    files = {ONNX: file, FACTS: _json(facts | {"precision": "int8"})}
    path, made_of = f"models/{name}/{attempt.id[:12]}", [parent.name, run.teacher]
    return Made(name, path, files, parent.net, made_of, metrics, predictions)


def _some(lessons: Lessons) -> Ints:
    """Rows of pictures that are learned from, spread evenly over them."""
    return lessons.learned[:: max(1, len(lessons.learned) // CHECKED)][:CHECKED]


def _checked(name: str, net: "torch.nn.Module", file: bytes, pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """How the file answers beside the net; SecondlookError where it is another model."""
    from secondlook.pipeline.learn.students.onnx_file import Runner, agreement

    found = agreement(net, file, pixels)
    spread = float(Runner(file).ask(pixels).std())
    if not found.largest_difference <= APART * max(spread, 1.0):
        raise SecondlookError(
            f"the ONNX file of {name} answers otherwise than its net: logits differ by up to {found.largest_difference:.3g}"
        )
    return {"n": found.n, "largest_difference": float(f"{found.largest_difference:.2g}"), "same": round(found.same, 4)}


def _measured(
    attempt: Attempt, name: str, ask: Ask, lessons: Lessons, run: Run, image_px: int
) -> tuple[dict[str, Any], list[pa.Table]]:
    """What was measured, and the predictions for pictures that the student never saw."""
    rows = lessons.unseen
    probs = chances(ask, lessons, rows, image_px, len(run.classes))
    ids = [lessons.content_ids[row] for row in rows]
    none = np.full(len(rows), -1, np.int64)
    table = prediction_rows(attempt.seq, ids, name, probs, run.settings.train.top_k, none) if ids else None
    return figures(lessons, probs.argmax(axis=1), run.said), [] if table is None else [table]


def _learned(attempt: Attempt, name: str, ask: Ask, lessons: Lessons, run: Run, image_px: int) -> pa.Table:
    """What it says of pictures that it learned from: it proves nothing, but tells `forget` who knows a picture."""
    rows = lessons.learned
    ids = [lessons.content_ids[row] for row in rows]
    marks = np.full(len(rows), LEARNED, np.int64)
    return prediction_rows(attempt.seq, ids, name, chances(ask, lessons, rows, image_px, len(run.classes)), 1, marks)


def _json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, indent=1).encode()


def write(attempt: Attempt, students: Sequence[Made], run: Run, wanted: dict[str, Any]) -> None:
    """Files of the students in the lake, and their rows in the attempt; `wanted`: the settings that they were made by."""
    lake = attempt.lake
    rows = []
    for one in students:
        folder = lake.folder(*one.path.split("/"))
        for file, data in one.files.items():
            with lake.fs.open(f"{folder}/{file}", "wb") as stream:
                stream.write(data)
        rows.append(
            {
                "model": one.name,
                "kind": KIND,
                "backbone": one.net,
                "classes": run.classes,
                "path": one.path,
                "settings": json.dumps(wanted, sort_keys=True),
                "metrics": json.dumps(one.metrics, sort_keys=True),
                "embedder": one.name,
                "made_of": one.made_of,
            }
        )
    attempt.append("models", pa.Table.from_pylist(rows, TABLES["models"].schema))
    attempt.append("predictions", pa.concat_tables(table for one in students for table in one.predictions))
