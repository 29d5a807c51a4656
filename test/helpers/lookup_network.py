# SPDX-License-Identifier: Apache-2.0
"""A network that needs no training: the pose of the training images that look most alike, as a real ONNX graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from tiny_network import network

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.preprocessing import prepare_color, prepare_depth
from mvloc_ros.recordings import PosedFolder, read_color
from mvloc_ros.recordings.images import read_depth_raw


def write_lookup(path: Path, folder: PosedFolder, height: int, width: int) -> None:
    """Write the graph: a mean of the training poses, by the likeness of both images (softmax of squared distances).

    It errs as a network does: the poses that it knows are off by 5 cm and 2 degrees, always by the same.
    """
    colors, depths, poses = [], [], []
    for record in folder.train:
        colors.append(prepare_color(ColorImage(read_color(record.color), "rgb"), height, width).mean(axis=-1))
        depths.append(prepare_depth(DepthImage(read_depth_raw(record.depth), 0.001), height, width, None))
        position, orientation = se3.to_parts(np.array(record.T_map_camera))
        poses.append(np.concatenate([position, quaternion.log(orientation)]))
    errors = np.random.default_rng(8).standard_normal((len(poses), 6)) * np.array([0.05] * 3 + [0.02] * 3)
    write_graph(path, np.array(colors), np.array(depths), np.array(poses) + errors)


def write_graph(path: Path, colors: np.ndarray, depths: np.ndarray, poses: np.ndarray) -> None:
    """From grey images `[K, H, W]`, depth images `[K, H, W]` and poses `[K, 6]` in metres and half rotation vectors."""
    count, height, width = colors.shape
    # Differences of 25 grey levels count as those of 0.3 m; so sharp that a few of the likest make the mean.
    sharp = 40.0 / (height * width)
    constants = {
        "channels": np.array([3], np.int64), "pixels": np.array([1, 2], np.int64),
        "colors": colors.astype(np.float32), "depths": depths.astype(np.float32), "poses": poses.astype(np.float32),
        "color_scale": np.float32(-sharp / 25.0**2), "depth_scale": np.float32(-sharp / 0.3**2),
        "zero": np.array(0, np.int64), "one": np.array(1, np.int64), "row": np.array([1, count], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["color"], ["color_float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["color_float", "channels"], ["gray"], keepdims=0),
        helper.make_node("Gather", ["present", "zero"], ["has_color"], axis=1),
        helper.make_node("Gather", ["present", "one"], ["has_depth"], axis=1),
    ]
    for kind, image in (("color", "gray"), ("depth", "depth")):
        nodes += [
            helper.make_node("Sub", [image, f"{kind}s"], [f"{kind}_off"]),
            helper.make_node("Mul", [f"{kind}_off", f"{kind}_off"], [f"{kind}_square"]),
            helper.make_node("ReduceSum", [f"{kind}_square", "pixels"], [f"{kind}_distance"], keepdims=0),
            helper.make_node("Mul", [f"{kind}_distance", f"{kind}_scale"], [f"{kind}_likeness"]),
            helper.make_node("Mul", [f"{kind}_likeness", f"has_{kind}"], [f"{kind}_part"]),
        ]
    nodes += [
        helper.make_node("Add", ["color_part", "depth_part"], ["likeness"]),
        helper.make_node("Reshape", ["likeness", "row"], ["likenesses"]),
        helper.make_node("Softmax", ["likenesses"], ["weights"], axis=1),
        helper.make_node("MatMul", ["weights", "poses"], ["pose"]),
    ]
    onnx.save(network("lookup", nodes, constants, height, width), str(path))
