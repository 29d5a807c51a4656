# SPDX-License-Identifier: Apache-2.0
"""The manifest of a model bundle: values, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.inference.calibration_spec import NetworkCalibration, network_calibration_from_json
from mvloc_ros.inference.map_spec import SceneMapSpec, scene_map_from_json

SCHEMA_VERSION = 3
"""The newest schema that is read. 2 came with `T_color_depth`: a reader of 1 would feed the network raw depth. 3 came
with `depth_of_points`: a reader of 2 would feed it few of the points that it was trained on."""


@dataclass(frozen=True)
class InputSpec:
    """What the graph takes: image size in pixels, and the depth range in metres that counts as valid.

    `depth_of_points` says that depth maps are resized as maps of single points (`resize_depth`), as in training.
    """

    height: int
    width: int
    depth_min_m: float
    depth_max_m: float
    depth_of_points: bool = False


@dataclass(frozen=True)
class PositionSpec:
    """position_m = offset_m + scale_m * the network's output."""

    offset_m: tuple[float, float, float]
    scale_m: float


@dataclass(frozen=True)
class FrameSpec:
    """Names of the frames, and which camera's pose the network was trained to give."""

    map: str = "map"
    pose_of: str = "color"


@dataclass(frozen=True)
class PrecisionSpec:
    """A network of another arithmetic than float32, and how far its poses are from float32's.

    Attributes:
        file: the ONNX file in the bundle.
        frames: how many validation frames were compared.
        difference_m, difference_deg: median and largest difference of a pose.
    """

    file: str
    frames: int
    difference_m: tuple[float, float]
    difference_deg: tuple[float, float]


@dataclass(frozen=True)
class Manifest:
    """All that a bundle says of itself.

    Attributes:
        system: the network's name, as in `mvloc train`.
        preset: the preset it was trained with.
        color_camera, depth_camera: intrinsics of the training cameras at their full size.
        depth_registered: whether the depth that the network was trained on was registered to the colour camera.
        T_color_depth: 4x4 row by row where the network's depth is registered but the recordings' was not: raw depth
            is registered with it before the network sees it, at run time as in training. None: depth is taken as it
            comes.
        residual_variance: per axis in ROS order (x, y, z in m^2; rotations in rad^2), of the validation set; where
            none was held out, of always answering the mean training pose.
        residual_variance_color_only, residual_variance_depth_only: the same with the other modality's expert
            dropped; None where nobody measured it, or the network cannot do without the other.
        training: summary of the training (data, frames, seed, command, validation errors).
        licence: licence of the training data, which may bind the weights.
        files: name -> SHA-256.
        precisions: fp16, bf16 or int8 -> the network of that arithmetic, as far as the bundle has it.
        calibration: covariances of the network's poses (`mvloc calibrate`); None: `residual_variance` is all there is.
        scene_map: the map that poses are refined against (`mvloc map`); None where the bundle has none.
    """

    system: str
    preset: str
    input: InputSpec
    latent_dim: int
    position: PositionSpec
    frames: FrameSpec
    color_camera: PinholeCamera
    depth_camera: PinholeCamera
    depth_registered: bool
    residual_variance: tuple[float, ...]
    training: Mapping[str, Any]
    licence: str
    created_with: str
    files: Mapping[str, str] = field(default_factory=dict)
    T_color_depth: tuple[float, ...] | None = None
    residual_variance_color_only: tuple[float, ...] | None = None
    residual_variance_depth_only: tuple[float, ...] | None = None
    precisions: Mapping[str, PrecisionSpec] = field(default_factory=dict)
    scene_map: SceneMapSpec | None = None
    calibration: NetworkCalibration | None = None

    def __post_init__(self) -> None:
        if min(self.input.height, self.input.width) < 1 or not 0 <= self.input.depth_min_m < self.input.depth_max_m:
            raise ValueError(f"the input is impossible: {self.input}")
        stated = (self.residual_variance, self.residual_variance_color_only, self.residual_variance_depth_only)
        variances = [variance for variance in stated if variance is not None]
        numbers = (*self.position.offset_m, self.position.scale_m, *(value for v in variances for value in v))
        six = all(len(variance) == 6 for variance in variances)
        if len(self.position.offset_m) != 3 or not six or not np.all(np.isfinite(numbers)):
            raise ValueError("position needs 3 offsets and residual_variance 6 values, all finite")
        if self.position.scale_m <= 0 or min(value for variance in variances for value in variance) <= 0:
            raise ValueError("position.scale_m and every residual_variance must be positive")
        if self.frames.pose_of not in ("color", "depth"):
            raise ValueError(f"frames.pose_of must be color or depth, not {self.frames.pose_of!r}")
        if self.T_color_depth is not None and not _is_rigid(self.T_color_depth):
            raise ValueError("T_color_depth must be the 16 numbers of a rigid transform")


def manifest_to_json(manifest: Manifest, files: Mapping[str, str]) -> dict[str, Any]:
    """The manifest as JSON values, listing `files` (name -> SHA-256)."""
    values = {name: value for name, value in asdict(manifest).items() if value is not None}
    values["files"] = {name: {"sha256": digest} for name, digest in files.items()}
    # Bundles that need nothing of a newer schema stay readable for who reads an older one only.
    schema = 1 if manifest.T_color_depth is None else 2
    if manifest.input.depth_of_points:
        schema = 3
    else:
        del values["input"]["depth_of_points"]
    return {"schema": schema, **values}


def manifest_from_json(values: Mapping[str, Any]) -> Manifest:
    """The inverse of `manifest_to_json`.

    Raises:
        KeyError, TypeError, ValueError: a value is missing or impossible; the caller names the file.
    """
    offset = [float(value) for value in values["position"]["offset_m"]]
    if len(offset) != 3:
        raise ValueError("position.offset_m needs 3 values")
    extrinsic = values.get("T_color_depth")

    def variance(name: str) -> tuple[float, ...] | None:
        return None if values.get(name) is None else tuple(float(value) for value in values[name])

    return Manifest(
        system=str(values["system"]),
        preset=str(values["preset"]),
        input=InputSpec(
            int(values["input"]["height"]),
            int(values["input"]["width"]),
            float(values["input"]["depth_min_m"]),
            float(values["input"]["depth_max_m"]),
            bool(values["input"].get("depth_of_points", False)),
        ),
        latent_dim=int(values["latent_dim"]),
        position=PositionSpec((offset[0], offset[1], offset[2]), float(values["position"]["scale_m"])),
        frames=FrameSpec(str(values["frames"]["map"]), str(values["frames"]["pose_of"])),
        color_camera=PinholeCamera.from_dict(values["color_camera"]),
        depth_camera=PinholeCamera.from_dict(values["depth_camera"]),
        depth_registered=bool(values["depth_registered"]),
        residual_variance=tuple(float(value) for value in values["residual_variance"]),
        training=dict(values["training"]),
        licence=str(values["licence"]),
        created_with=str(values["created_with"]),
        files={str(name): str(entry["sha256"]) for name, entry in values["files"].items()},
        T_color_depth=None if extrinsic is None else tuple(float(value) for value in extrinsic),
        residual_variance_color_only=variance("residual_variance_color_only"),
        residual_variance_depth_only=variance("residual_variance_depth_only"),
        # Bundles from before there were other precisions lack the entry.
        precisions={str(name): _precision(entry) for name, entry in values.get("precisions", {}).items()},
        scene_map=scene_map_from_json(values.get("scene_map")),
        calibration=network_calibration_from_json(values.get("calibration")),
    )


def _precision(values: Mapping[str, Any]) -> PrecisionSpec:
    (metres, most_metres), (degrees, most_degrees) = values["difference_m"], values["difference_deg"]
    return PrecisionSpec(
        str(values["file"]),
        int(values["frames"]),
        (float(metres), float(most_metres)),
        (float(degrees), float(most_degrees)),
    )


def _is_rigid(values: tuple[float, ...]) -> bool:
    return len(values) == 16 and se3.is_rigid(np.reshape(values, (4, 4)))
