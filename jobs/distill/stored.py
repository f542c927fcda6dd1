"""Students as they lie in the lake: a folder each with `student.onnx`, `model.json` and, but for int8, the weights."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyiceberg.expressions import EqualTo

from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.errors import UserError, unknown

if TYPE_CHECKING:
    import torch
    from torch import nn

KIND = "student"
WEIGHTS, FACTS, ONNX = "weights.safetensors", "model.json", "student.onnx"
FORMAT = 1
PRECISIONS = ("float32", "int8")

# `fold` of a prediction for a picture that the student learned from, with a label or without: nothing is held out of a
# student but what it never saw, which is -1 as for every model.
LEARNED = -2


@dataclass(frozen=True)
class Student:
    """A student of a version. `net` and `image_px` make its net again; `classes` are its K classes as they are called today;
    `made_of`: the models that it was made from, first who taught it, or what it was pruned or quantized from; `seq`: of its commit."""

    name: str
    net: str
    image_px: int
    classes: tuple[str, ...]
    current: bool
    precision: str
    pruned: float
    path: str
    made_of: tuple[str, ...]
    metrics: dict[str, Any]
    facts: dict[str, Any]
    seq: int

    def file(self, lake: Lake) -> bytes:
        """The ONNX file: pictures (n, side, side, 3) uint8 → logits (n, K); see students/onnx_file.py."""
        return _read(lake, self.path, ONNX)

    def module(self, lake: Lake, where: "torch.device") -> "nn.Module":
        """The net in float32; of an int8 student the one that was quantized. (n, 3, side, side) 0..255 → logits (n, K)."""
        import torch
        from safetensors.torch import load

        from secondlook.pipeline.learn.nets.family import NetSpec, make
        from secondlook.pipeline.learn.students.prune import shaped

        net = make(NetSpec(self.net, self.facts["n_classes"], self.image_px), 0, torch.device("cpu"))
        weights = load(_read(lake, self.facts["weights"], WEIGHTS))
        return shaped(net, weights).to(where).eval()


def students(lake: Lake, version: Version) -> list[Student]:
    """All students of a version, the oldest first, by name within one commit."""
    rows = lake.latest("models", version, where=EqualTo("kind", KIND))  # type: ignore[call-arg, arg-type]
    found = [_student(lake, version, row) for row in rows.to_pylist()]
    return sorted(found, key=lambda one: (one.seq, one.name))


def student(lake: Lake, version: Version, name: str) -> Student:
    """The student of this name; raises UserError where the version has none of that name."""
    found = students(lake, version)
    if not found:
        raise UserError(f"version {version.id} has no student; `secondlook distill` makes some")
    for one in found:
        if one.name == name:
            return one
    raise unknown("student", name, [one.name for one in found])


def _student(lake: Lake, version: Version, row: dict[str, Any]) -> Student:
    model = dataset.model_named(lake, version, row["model"])
    assert model is not None, "its row was just read"
    facts = json.loads(_read(lake, row["path"], FACTS))
    if facts["format"] != FORMAT:
        raise UserError(
            f"the student {row['model']} is stored in format {facts['format']}, this secondlook reads {FORMAT}; distill again"
        )
    return Student(
        row["model"],
        facts["net"],
        facts["image_px"],
        tuple(model.classes),
        model.current,
        facts["precision"],
        facts["pruned"],
        row["path"],
        tuple(row["made_of"] or ()),
        json.loads(row["metrics"]),
        facts,
        row["seq"],
    )


def _read(lake: Lake, path: str, file: str) -> bytes:
    with lake.fs.open(f"{lake.root}/{path}/{file}", "rb") as stream:
        data: bytes = stream.read()
    return data
