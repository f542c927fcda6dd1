"""An ONNX file in int8: weights by channel, activations by ranges seen on pictures (static, calibrated)."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from secondlook.pipeline.learn.students.onnx_file import INPUT, Pixels, serialized

# Not among them: Cast, Div and Sub, by which nets scale pictures.
QUANTIZED = ["Conv", "Gemm", "MatMul", "Add", "Mul", "Relu", "Clip", "MaxPool", "AveragePool", "GlobalAveragePool"]


class _Shown(CalibrationDataReader):  # type: ignore[misc] # onnxruntime tells no types
    def __init__(self, pixels: Pixels, size: int) -> None:
        self.parts: Iterator[Pixels] = iter(np.array_split(pixels, max(1, len(pixels) // size)))

    def get_next(self) -> dict[str, Pixels] | None:
        part = next(self.parts, None)
        return None if part is None else {INPUT: part}


def quantized(file: bytes, pixels: Pixels) -> bytes:
    """The int8 file of an ONNX file of ours, calibrated with pictures (n, side, side, 3) that it may learn from."""
    model, told = onnx.load_from_string(file), onnx.load_from_string(file).metadata_props
    add_pre_process_metadata(model)  # the exporter has folded and inferred what onnxruntime would do beforehand
    with tempfile.TemporaryDirectory(prefix="secondlook-int8-") as folder:
        target = Path(folder) / "int8.onnx"
        quantize_static(
            model,
            target,
            _Shown(pixels, 32),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},  # logits of 256 values would tie
        )
        small = onnx.load(target)
    onnx.helper.set_model_props(small, {one.key: one.value for one in told})
    return serialized(small)
