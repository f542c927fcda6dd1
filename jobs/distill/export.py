"""A student out of the lake: its ONNX file, with all that somebody needs who puts it on a device and has no lake."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from secondlook.jobs.distill.stored import ONNX, Student
from secondlook.jobs.files.file_names import safe_name
from secondlook.jobs.files.landing import landing
from secondlook.jobs.lake import dataset
from secondlook.jobs.lake.store import Lake, Version
from secondlook.pipeline.core.errors import UserError

README = """# {name}

`student.onnx` tells which of {n_classes} classes a picture shows. `model.json` says the same as this page, for programs, and the
names of the classes.

* Input `pictures`: uint8, (n, {px}, {px}, 3), RGB, values 0 to 255 as they are: how they are scaled is in the file. Any n.
* How a picture becomes one: the whole picture, not a part of it, resized to {px} × {px} without keeping its proportions: by the
  mean over areas where it shrinks (OpenCV's INTER_AREA), bilinear where it grows. Turn it upright first (EXIF).
* Output `logits`: float32, (n, {n_classes}). Softmax makes probabilities of them; the highest one is the answer.
* The file is {precision}, {kilobytes:,.0f} kB, for ONNX opset {opset} and later; sha256 `{sha256}`.
* {accuracy}
* Learned from {made_of}; version {version} of the lake.

```python
import json, cv2, numpy as np, onnxruntime

session = onnxruntime.InferenceSession("student.onnx")
picture = cv2.cvtColor(cv2.imread("picture.jpg"), cv2.COLOR_BGR2RGB)
picture = cv2.resize(picture, ({px}, {px}), interpolation=cv2.INTER_AREA)
logits = session.run(["logits"], {{"pictures": picture[np.newaxis]}})[0]
print(json.load(open("model.json"))["classes"][int(logits.argmax())])
```
"""


def run(lake: Lake, version: Version, students: Sequence[Student], target: Path) -> dict[str, Any]:
    """Copy students to a new folder, a folder each where they are several; returns the summary that --json prints.

    Names of classes are those of today. Raises UserError where something is there already, and where classes are not any more
    what a student learned or wait for a sign-off; nothing is left behind then.
    """
    waiting = set(dataset.quarantined(lake, version).values())
    for one in students:
        if not one.current:
            raise UserError(
                f"classes were merged, split or retired since {one.name} was taught; `secondlook distill` teaches anew"
            )
        if held := waiting & set(one.classes):
            raise UserError(
                f"{len(held)} classes of {one.name} wait for a sign-off, see `secondlook classes list`: it stays in the lake"
            )
    with landing(target) as partial:
        partial.mkdir()
        for one in students:
            _copy(lake, version, one, partial if len(students) == 1 else partial / safe_name(one.name))
    return {"exported": [one.name for one in students], "to": str(target), "version": version.id}


def _copy(lake: Lake, version: Version, student: Student, folder: Path) -> None:
    from secondlook.pipeline.learn.students.onnx_file import OPSET, OUTPUT
    from secondlook.pipeline.learn.students.relabel import relabeled

    folder.mkdir(exist_ok=True)
    data = student.file(lake)
    if list(student.classes) != student.facts["classes"]:
        data = relabeled(data, student.classes)
    sha256 = hashlib.sha256(data).hexdigest()
    accuracy = student.metrics["accuracy"]
    facts = {
        "name": student.name,
        "net": student.net,
        "precision": student.precision,
        "classes": list(student.classes),
        "input": student.facts["input"],
        "resize": {
            "keeps": "the whole picture, not its proportions",
            "shrink": "area",
            "grow": "bilinear",
            "exif": "upright",
        },
        "output": {"name": OUTPUT, "type": "float32", "is": "logits"},
        "accuracy": accuracy,
        "made_of": list(student.made_of),
        "bytes": len(data),
        "sha256": sha256,
        "opset": OPSET,
        "version": version.id,
    }
    text = README.format(
        name=student.name,
        n_classes=len(student.classes),
        px=student.image_px,
        precision=student.precision,
        kilobytes=len(data) / 1000,
        opset=OPSET,
        sha256=sha256,
        accuracy=_said(accuracy),
        made_of=", ".join(student.made_of),
        version=version.id,
    )
    for file, content in ((ONNX, data), ("model.json", _json(facts)), ("README.md", text.encode())):
        (folder / file).write_bytes(content)
        os.chmod(folder / file, 0o644)


def _json(facts: dict[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _said(accuracy: dict[str, Any]) -> str:
    if not accuracy["n"]:
        return "How often it is right was not measured: no picture was held out for it."
    low, high = (100 * end for end in accuracy["interval"])
    return (
        f"Right on {100 * accuracy['value']:.1f} % of {accuracy['n']:,} held-out pictures ({low:.1f} to {high:.1f} %, "
        "by the labels that they have)."
    )
