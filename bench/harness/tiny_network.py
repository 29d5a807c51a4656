# SPDX-License-Identifier: Apache-2.0
"""Networks that need no training: arithmetic whose result can be predicted, as real ONNX graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

LATENT = 4


def network(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    constants: Mapping[str, ArrayLike],
    height: int,
    width: int,
    further: Mapping[str, tuple[int, ...]] | None = None,
) -> onnx.ModelProto:
    """A graph with the inputs and outputs of a bundle's network for images of one size.

    Args:
        name: of the graph.
        nodes: compute `pose` from `color`, `depth` and `present`; the other outputs are constants, but for the expert
            shares with further sensors: of precisions 1 of the prior, and, if present, 2 of color and 1 of the others.
        constants: name -> value, with the type that it is to have.
        height: of both images, in pixels.
        width: of both images, in pixels.
        further: name -> shape of the uint8 images of further sensors, which `nodes` may use too.
    """
    further = further or {}
    shares = [[0.25, 0.5, 0.25]]
    fixed = {"mean": np.zeros((1, LATENT), np.float32), "share": np.array(shares, np.float32)}
    others = [
        helper.make_node("Identity", ["mean"], ["latent_mean"]),
        helper.make_node("Identity", ["mean"], ["latent_log_variance"]),
    ]
    if further:
        fixed = {"mean": fixed["mean"], "prior_precision": np.ones((1, 1), np.float32)}
        fixed["precisions"] = np.array([[2.0, 1.0, *[1.0] * len(further)]], np.float32)
        others += [
            helper.make_node("Mul", ["present", "precisions"], ["present_precisions"]),
            helper.make_node("Concat", ["prior_precision", "present_precisions"], ["all_precisions"], axis=1),
            helper.make_node("ReduceSum", ["all_precisions"], ["joint_precision"], keepdims=1),
            helper.make_node("Div", ["all_precisions", "joint_precision"], ["expert_share"]),
        ]
    else:
        others.append(helper.make_node("Identity", ["share"], ["expert_share"]))
    inputs = [
        helper.make_tensor_value_info("color", TensorProto.UINT8, [1, height, width, 3]),
        helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, height, width]),
        helper.make_tensor_value_info("present", TensorProto.FLOAT, [1, 2 + len(further)]),
        *(helper.make_tensor_value_info(key, TensorProto.UINT8, [1, *shape]) for key, shape in further.items()),
    ]
    shapes = {"pose": 6, "latent_mean": LATENT, "latent_log_variance": LATENT, "expert_share": 3 + len(further)}
    outputs = [helper.make_tensor_value_info(key, TensorProto.FLOAT, [1, size]) for key, size in shapes.items()]
    initial = [numpy_helper.from_array(np.asarray(value), key) for key, value in {**constants, **fixed}.items()]
    graph = helper.make_graph([*nodes, *others], name, inputs, outputs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def tiny_network(height: int = 12, width: int = 16) -> onnx.ModelProto:
    """Position = (mean colour / 255, mean depth in m, colour present), no rotation.

    Each of the first two is multiplied by its presence, so that a test sees what reached the graph.
    """
    nodes = [
        helper.make_node("Cast", ["color"], ["color_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["color_float", "color_axes"], ["color_mean"], keepdims=0),
        helper.make_node("Div", ["color_mean", "scale"], ["brightness"]),
        helper.make_node("ReduceMean", ["depth", "depth_axes"], ["distance"], keepdims=0),
        helper.make_node("Gather", ["present", "zero"], ["has_color"], axis=1),
        helper.make_node("Gather", ["present", "one"], ["has_depth"], axis=1),
        helper.make_node("Mul", ["brightness", "has_color"], ["x"]),
        helper.make_node("Mul", ["distance", "has_depth"], ["y"]),
        helper.make_node("Unsqueeze", ["x", "last"], ["x1"]),
        helper.make_node("Unsqueeze", ["y", "last"], ["y1"]),
        helper.make_node("Unsqueeze", ["has_color", "last"], ["z1"]),
        helper.make_node("Concat", ["x1", "y1", "z1", "no_rotation"], ["pose"], axis=1),
    ]
    constants = {
        "color_axes": np.array([1, 2, 3], np.int64),
        "depth_axes": np.array([1, 2], np.int64),
        "scale": np.array(255.0, np.float32),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "last": np.array([1], np.int64),
        "no_rotation": np.zeros((1, 3), np.float32),
    }
    return network("tiny", nodes, constants, height, width)


def rig_network(height: int = 12, width: int = 16) -> onnx.ModelProto:
    """Of a rig with the sensors `rear` (color) and `thermal` (gray) besides the pair, all of one size.

    x is the mean of color and rear, each as its mean / 255; y that of depth in m and of thermal, each level being 0.02;
    of those that are present, else 0. z is 0.01 times 1, 2, 4, 8 for each modality that is present.
    """
    nodes, constants = [], {"spatial": np.array([1, 2], np.int64), "all": np.array([1, 2, 3], np.int64)}
    for index, (name, axes, scale) in enumerate(
        (("color", "all", 255.0), ("depth", "spatial", 1.0), ("rear", "all", 255.0), ("thermal", "spatial", 50.0))
    ):
        constants |= {f"{name}_at": np.array([index], np.int64), f"{name}_scale": np.array(scale, np.float32)}
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", [f"{name}_float", axes], [f"{name}_mean"], keepdims=0),
            helper.make_node("Unsqueeze", [f"{name}_mean", "last"], [f"{name}_column"]),
            helper.make_node("Div", [f"{name}_column", f"{name}_scale"], [f"{name}_value"]),
            helper.make_node("Gather", ["present", f"{name}_at"], [f"has_{name}"], axis=1),
            helper.make_node("Mul", [f"{name}_value", f"has_{name}"], [f"{name}_part"]),
        ]
    for axis, (first, second) in {"x": ("color", "rear"), "y": ("depth", "thermal")}.items():
        nodes += [
            helper.make_node("Add", [f"{first}_part", f"{second}_part"], [f"{axis}_sum"]),
            helper.make_node("Add", [f"has_{first}", f"has_{second}"], [f"{axis}_count"]),
            helper.make_node("Max", [f"{axis}_count", "one"], [f"{axis}_divisor"]),
            helper.make_node("Div", [f"{axis}_sum", f"{axis}_divisor"], [axis]),
        ]
    nodes += [
        helper.make_node("MatMul", ["present", "weights"], ["z"]),
        helper.make_node("Concat", ["x", "y", "z", "no_rotation"], ["pose"], axis=1),
    ]
    constants |= {
        "last": np.array([1], np.int64),
        "one": np.array(1.0, np.float32),
        "weights": np.array([[0.01], [0.02], [0.04], [0.08]], np.float32),
        "no_rotation": np.zeros((1, 3), np.float32),
    }
    return network("rig", nodes, constants, height, width, {"rear": (height, width, 3), "thermal": (height, width)})
