# SPDX-License-Identifier: Apache-2.0
"""The encoders in 8-bit integers: ONNX Runtime's static quantisation, calibrated on training frames.

For CPUs: pairs of quantise and dequantise around every convolution say where a tensor is rounded to 8
bits, and ONNX Runtime computes in integers between them. Scales are symmetric and, for weights, one a
channel. The first convolution of each encoder stays float32: eight bits of a depth range of six metres
are steps of two centimetres, and those two convolutions are a fiftieth of the work.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from mvloc_ros.training.datasets import PosedFrames

_FEATURE_OPERATORS = ("Conv", "Relu", "MaxPool", "Add")


class _Calibration(CalibrationDataReader):
    """Frames one by one, as the quantiser asks for them."""

    def __init__(self, frames: PosedFrames) -> None:
        self._frames = frames
        self._next = 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next frame's inputs, or None after the last."""
        i = self._next
        if i == len(self._frames):
            return None
        self._next += 1
        part = slice(i, i + 1)
        return {
            "color": self._frames.color[part],
            "depth": self._frames.depth[part],
            "present": self._frames.present[part],
        }


def quantise(model: Path, out: Path, calibration: PosedFrames) -> None:
    """Write the int8 version of a float32 graph, with the ranges of its activations on some frames."""
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        # Symbolic shapes are for dynamic sizes, which a bundle has not.
        quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(out),
            _Calibration(calibration),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            # The ranges of other operators are not asked for: an image may hold NaN.
            op_types_to_quantize=list(_FEATURE_OPERATORS),
            nodes_to_quantize=feature_nodes(onnx.load(str(prepared)).graph),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"ActivationSymmetric": True},
        )


def feature_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the convolutions after each encoder's first, and of what lies between convolutions."""
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
