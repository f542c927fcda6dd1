"""Names of classes in an ONNX file: they may be called otherwise today than when it was made."""

import json
from collections.abc import Sequence

import onnx

from secondlook.pipeline.learn.students.onnx_file import serialized


def relabeled(file: bytes, classes: Sequence[str]) -> bytes:
    """The file with these names of its K logits, in order, and else as it was."""
    model = onnx.load_from_string(file)
    said = {one.key: one.value for one in model.metadata_props}
    onnx.helper.set_model_props(model, said | {"classes": json.dumps(list(classes))})
    return serialized(model)
