"""A net as an ONNX file, which runs without torch, and the runtime that asks it.

The file takes what a camera or a decoder of pictures gives: `pictures`, uint8 (n, side, side, 3), RGB, any n. How they are
scaled is in the file, and batch normalization is folded into the convolutions. It gives `logits`, float32 (n, K).
`metadata_props` hold the names of the classes and a description of the input as JSON. Equal nets make equal bytes.
"""

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from secondlook.pipeline.learn.nets.layers import evaluated

OPSET = 18  # the oldest that the exporter writes without converting: runtimes from 2023 on read it
INPUT, OUTPUT = "pictures", "logits"

Pixels = npt.NDArray[np.uint8]
Reals = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """How an ONNX file and its net answer about the same pictures: the largest difference between two logits (absolute),
    and the share of pictures about which both say the same class."""

    n: int
    largest_difference: float
    same: float


class _Fed(nn.Module):
    """The net, fed as the file is."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, side, side, 3) uint8 → (n, K)."""
        said: Tensor = self.net(pictures.permute(0, 3, 1, 2))
        return said


def exported(net: nn.Module, image_px: int, classes: Sequence[str] = ()) -> bytes:
    """A net of (n, 3, side, side) as an ONNX file; `classes` are the names of its K logits, in order."""
    fed = _Fed(_folded(copy.deepcopy(net).cpu().eval())).eval()
    shown = torch.zeros(2, image_px, image_px, 3, dtype=torch.uint8)
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            fed,
            (shown,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n")},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _forget_where(model)
    described = {"name": INPUT, "type": "uint8", "layout": "NHWC", "colour": "RGB", "side_px": image_px}
    onnx.helper.set_model_props(model, {"classes": json.dumps(list(classes)), "input": json.dumps(described)})
    return serialized(model)


def _folded(net: nn.Module) -> nn.Module:
    """The net with each normalization in the convolution before it. What is wired otherwise the exporter folds, slowly."""
    for layers in [one for one in net.modules() if isinstance(one, nn.Sequential)]:
        for place, (first, then) in enumerate(pairwise(list(layers))):
            if isinstance(first, nn.Conv2d) and isinstance(then, nn.BatchNorm2d):
                layers[place], layers[place + 1] = fuse_conv_bn_eval(first, then), nn.Identity()
    return net


def serialized(model: onnx.ModelProto) -> bytes:
    """Bytes of a model that is whole: the same for the same model."""
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _forget_where(model: onnx.ModelProto) -> None:
    """The exporter notes for each node from which line of which file on which machine it came."""
    for one in (*model.graph.node, *model.graph.value_info, *model.graph.initializer, model.graph):
        del one.metadata_props[:]
        one.ClearField("doc_string")
    for one in (*model.graph.input, *model.graph.output):
        del one.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch's exporter warns of what concerns itself: a name that it uses is old, and torchvision is not there."""
    told = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = told.level
    told.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
            yield
    finally:
        told.setLevel(level)


class Runner:
    """An ONNX file on ONNX Runtime, on the CPU. `image_px`: side of the pictures that it takes."""

    def __init__(self, file: bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        options.log_severity_level = 3  # errors
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        self.image_px = int(self.session.get_inputs()[0].shape[1])
        self._said: dict[str, str] = self.session.get_modelmeta().custom_metadata_map

    @property
    def classes(self) -> list[str]:
        """Names of the K classes, as they were given when the file was made."""
        return list(json.loads(self._said["classes"]))

    @property
    def input(self) -> dict[str, Any]:
        """What the file takes: name, type, layout, colour and side in pixels."""
        return dict(json.loads(self._said["input"]))

    def ask(self, pixels: Pixels, size: int = 512) -> Reals:
        """Pictures (N, side, side, 3) RGB → logits (N, K), `size` pictures at a time."""
        parts = [pixels[start : start + size] for start in range(0, max(1, len(pixels)), size)]
        return np.concatenate([self.session.run([OUTPUT], {INPUT: part})[0] for part in parts])


def agreement(net: nn.Module, file: bytes, pixels: Pixels) -> Agreement:
    """How a net and its file answer about pictures (N, side, side, 3); the net is asked in float32."""
    where = next(net.parameters()).device
    parts = torch.from_numpy(pixels).permute(0, 3, 1, 2).split(256)  # type: ignore[no-untyped-call]
    with evaluated(net), torch.inference_mode():
        expected = np.concatenate([net(part.to(where)).float().cpu().numpy() for part in parts])
    got = Runner(file).ask(pixels)
    return Agreement(
        len(pixels), float(np.abs(expected - got).max()), float((expected.argmax(1) == got.argmax(1)).mean())
    )
