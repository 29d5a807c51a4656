# SPDX-License-Identifier: Apache-2.0
"""The encoders in 8-bit integers: static quantisation of ONNX Runtime, calibrated on training frames.

For CPUs: quantise and dequantise operators around every convolution define where a tensor is rounded to 8 bits, and
ONNX Runtime computes in integers between them. Scales are symmetric and, for weights, per channel. The first
convolution of each encoder stays float32: eight bits of a depth range of six meters are steps of two centimeters, and
those two convolutions are a fiftieth of the computation.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mvloc_ros.model.modalities import graph_inputs
from mvloc_ros.training.datasets import PosedFrames

_FEATURE_OPERATORS = ("Conv", "Relu", "MaxPool", "Add")


class _Calibration(CalibrationDataReader):
    """Frames one by one, as the quantiser requests them."""

    def __init__(self, frames: PosedFrames) -> None:
        names = graph_inputs(frames.modalities)
        parts = (frames.inputs(slice(i, i + 1)) for i in range(len(frames)))
        self._inputs: Iterator[dict[str, NDArray[Any]]] = (dict(zip(names, part, strict=True)) for part in parts)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The inputs of the next frame, or None after the last."""
        return next(self._inputs, None)


def quantise(model: Path, out: Path, calibration: PosedFrames) -> None:
    """Write the int8 version of a float32 graph, with the activation ranges on the calibration frames."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        # Symbolic shapes are for dynamic sizes, which a bundle lacks.
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(out),
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # Other operators are excluded: an image may contain NaN.
            op_types_to_quantize=list(_FEATURE_OPERATORS),
            nodes_to_quantize=feature_nodes(onnx.load(str(prepared)).graph),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": True},
        )


def feature_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions after the first of each encoder, and of the operators between convolutions."""
    producer = {name: node for node in graph.node for name in node.output}
    after: dict[str, bool] = {}

    def follows_convolution(name: str) -> bool:
        node = producer.get(name)
        if node is None or node.op_type not in _FEATURE_OPERATORS:
            return False
        if name not in after:
            after[name] = node.op_type == "Conv" or any(follows_convolution(source) for source in node.input)
        return after[name]

    return [
        node.name
        for node in graph.node
        if node.op_type in _FEATURE_OPERATORS and any(follows_convolution(name) for name in node.input)
    ]
