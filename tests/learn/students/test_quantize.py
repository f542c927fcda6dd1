"""int8 files: a quarter of the bytes, nearly the same answers, scaling and logits in float."""

import numpy as np
import onnx
import pytest

from secondlook.pipeline.learn.students.onnx_file import Runner, agreement
from secondlook.pipeline.learn.students.quantize import quantized
from tests.learn.students.made import FITTED, digits, file_of, learned

NETS = ("quick:4", "resnet:8", "mobilenet-v1:0.25", "short")


@pytest.fixture(scope="module", params=NETS)
def pair(request: pytest.FixtureRequest) -> tuple[str, bytes, bytes]:
    return request.param, file_of(request.param), quantized(file_of(request.param), digits()[0][:200])


def test_int8_answers_nearly_as_the_net_about_pictures_that_it_never_saw(pair: tuple[str, bytes, bytes]) -> None:
    name, file, small = pair
    pixels, labels = digits()
    right = [Runner(one).ask(pixels[FITTED:]).argmax(axis=1) == labels[FITTED:] for one in (file, small)]
    assert right[0].mean() > 0.8
    assert right[1].mean() > right[0].mean() - 0.02
    assert agreement(learned(name), small, pixels[FITTED:]).same > 0.95


def test_weights_are_int8_by_channel_and_names_stay(pair: tuple[str, bytes, bytes]) -> None:
    _, file, small = pair
    model = onnx.load_from_string(small)
    assert {
        one.name for one in model.graph.initializer if len(one.dims) == 4 and one.data_type == onnx.TensorProto.FLOAT
    } == set()
    scales = [one for one in model.graph.initializer if one.name.endswith("_scale") and one.dims and one.dims[0] > 1]
    assert scales
    assert Runner(small).classes == Runner(file).classes
    assert Runner(small).input == Runner(file).input


def test_scaling_and_logits_stay_in_float(pair: tuple[str, bytes, bytes]) -> None:
    nodes = onnx.load_from_string(pair[2]).graph.node
    kinds = [
        node.op_type for node in nodes if node.op_type != "DequantizeLinear" or not node.input[0].endswith("_quantized")
    ]
    assert kinds[:5] == ["Transpose", "Cast", "Div", "Sub", "QuantizeLinear"]
    assert kinds.count("QuantizeLinear") >= sum(kind in {"Conv", "Add", "Mul"} for kind in kinds)
    assert nodes[-1].op_type == "Gemm"
    assert len(np.unique(Runner(pair[2]).ask(digits()[0][:100]))) > 900  # and not one of 256 numbers


def test_the_same_file_and_pictures_make_the_same_bytes(pair: tuple[str, bytes, bytes]) -> None:
    assert quantized(pair[1], digits()[0][:200]) == pair[2]


def test_a_large_net_has_a_quarter_of_the_bytes() -> None:
    file = file_of("resnet:48", fitted=False)
    assert len(quantized(file, digits()[0][:40])) < 0.3 * len(file)
