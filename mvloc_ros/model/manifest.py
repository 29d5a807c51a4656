# SPDX-License-Identifier: Apache-2.0
"""The manifest of a model bundle: values, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.limits import (
    MOST_BUNDLE_FILES,
    MOST_COORDINATE_M,
    MOST_INPUT_PIXELS,
    MOST_LATENT_DIM,
    POSITION_SCALE_M,
)
from mvloc_ros.model.calibration_spec import NetworkCalibration, network_calibration_of
from mvloc_ros.model.keyframes_spec import KeyframesSpec, keyframes_of
from mvloc_ros.model.manifest_checks import (
    ManifestError,
    Section,
    camera_of,
    require_camera,
    require_depth_range,
    require_extrinsic,
    require_file_name,
    require_frame,
    require_map_name,
    require_name,
    require_range,
    require_sha256,
    require_text,
    require_variances,
)
from mvloc_ros.model.map_spec import SceneMapSpec, scene_map_of
from mvloc_ros.model.modalities import ModalityInput, SensorInput, pair_inputs, require_distinct, sensor_inputs_of

SCHEMA_VERSION = 4
"""The newest schema that is read. 2 came with `T_color_depth`: a reader of 1 would feed the network raw depth. 3 came
with `depth_of_points`: a reader of 2 would feed it few of the points that it was trained on. 4 came with `sensors`: the
network of a reader of 3 has no other inputs than color and depth."""
_SINGLE_VARIANCES = ("residual_variance_color_only", "residual_variance_depth_only")


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

    def __post_init__(self) -> None:
        if min(self.height, self.width) < 1 or self.height * self.width > MOST_INPUT_PIXELS:
            raise ManifestError(
                f"the input size is invalid: {self.width}x{self.height} pixels, at most {MOST_INPUT_PIXELS} accepted"
            )
        require_depth_range("input", self.depth_min_m, self.depth_max_m)


@dataclass(frozen=True)
class PositionSpec:
    """position_m = offset_m + scale_m * the network's output."""

    offset_m: tuple[float, float, float]
    scale_m: float

    def __post_init__(self) -> None:
        for value in self.offset_m:
            require_range("position.offset_m", value, (-MOST_COORDINATE_M, MOST_COORDINATE_M), "m")
        require_range("position.scale_m", self.scale_m, POSITION_SCALE_M, "m")


@dataclass(frozen=True)
class FrameSpec:
    """Names of the frames, and which camera's pose the network was trained to give."""

    map: str = "map"
    pose_of: str = "color"

    def __post_init__(self) -> None:
        require_frame("frames.map", self.map)
        if self.pose_of not in ("color", "depth"):
            raise ManifestError(f"frames.pose_of must be color or depth, not {quoted(self.pose_of)}")


@dataclass(frozen=True)
class PrecisionSpec:
    """A network of another precision than float32, and how far its poses are from float32's.

    Attributes:
        file: the ONNX file in the bundle.
        frames: how many validation frames were compared.
        difference_m, difference_deg: median and largest difference of a pose.
    """

    file: str
    frames: int
    difference_m: tuple[float, float]
    difference_deg: tuple[float, float]

    def __post_init__(self) -> None:
        require_file_name("the file of a precision", self.file)
        require_range("the frames of a precision", self.frames, (0, 2**62))
        stated = (
            ("difference_m", self.difference_m, MOST_COORDINATE_M),
            ("difference_deg", self.difference_deg, 180.0),
        )
        for name, (median, most), limit in stated:
            if not 0.0 <= median <= most <= limit * (1.0 + 1e-6):
                raise ManifestError(
                    f"{name} of a precision needs 0 <= median <= largest <= {limit:g}, not {median:g} and {most:g}"
                )


@dataclass(frozen=True)
class Manifest:
    """The description of a bundle and its network.

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
            dropped; None where it was not measured, or the network needs both modalities.
        training: summary of the training (data, frames, seed, command, validation errors).
        licence: licence of the training data, which may bind the weights.
        files: name -> SHA-256.
        precisions: fp16, bf16 or int8 -> the network of that precision, as far as the bundle has it.
        calibration: covariances of the network's poses (`mvloc calibrate`); None: `residual_variance` is all there is.
        scene_map: the map that poses are refined against (`mvloc map`); None where the bundle has none.
        keyframes: training frames from whose poses refinement may start; None where the bundle has none.
        map_name: what people call the place that it was trained in; None: as the bundle's folder.
        sensors: the modalities besides color and depth, in the order of their experts.
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
    keyframes: KeyframesSpec | None = None
    map_name: str | None = None
    sensors: tuple[SensorInput, ...] = ()

    @property
    def inputs(self) -> tuple[ModalityInput, ...]:
        """What the network takes, of every modality in the order of the experts."""
        return (*pair_inputs(self.input.height, self.input.width), *(item.input for item in self.sensors))

    def __post_init__(self) -> None:
        require_name("system", self.system)
        for name in ("preset", "licence", "created_with"):
            require_text(name, getattr(self, name))
        require_range("latent_dim", self.latent_dim, (1, MOST_LATENT_DIM))
        for name in ("residual_variance", *_SINGLE_VARIANCES):
            if getattr(self, name) is not None:
                require_variances(name, getattr(self, name))
        if self.map_name is not None:
            require_map_name("map_name", self.map_name)
        require_camera("color_camera", self.color_camera)
        require_camera("depth_camera", self.depth_camera)
        if self.T_color_depth is not None:
            require_extrinsic("T_color_depth", self.T_color_depth)
        if len(self.files) > MOST_BUNDLE_FILES:
            raise ManifestError(f"{len(self.files)} files are listed, at most {MOST_BUNDLE_FILES} are accepted")
        for name, digest in self.files.items():
            require_file_name("a listed file", name)
            require_sha256(f"the digest of {name}", digest)
        for name in self.precisions:
            require_name("the name of a precision", name)
        require_distinct([item.sensor for item in self.sensors])


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
    if manifest.sensors:
        schema = 4
        values["sensors"] = [item.to_dict() for item in manifest.sensors]
    else:
        del values["sensors"]
    return {"schema": schema, **values}


def manifest_from_json(values: Mapping[str, Any]) -> Manifest:
    """The inverse of `manifest_to_json`.

    Raises:
        ManifestError: a value is missing, of another kind, or impossible; the caller names the file.
    """
    root = Section.of(values)
    size, position = root.section("input"), root.section("position")
    return root.build(
        Manifest,
        # Bundles of earlier versions lack this entry, the precisions, and what is optional.
        input=size.build(
            InputSpec, depth_of_points="depth_of_points" in size.values and size.switch("depth_of_points")
        ),
        position=position.build(PositionSpec, offset_m=position.numbers("offset_m", 3)),
        frames=root.section("frames").build(FrameSpec),
        color_camera=camera_of(root.section("color_camera")),
        depth_camera=camera_of(root.section("depth_camera")),
        residual_variance=root.numbers("residual_variance", 6),
        training=_training_of(root.section("training")),
        files=_files_of(root.section("files")),
        T_color_depth=root.optional_numbers("T_color_depth", 16),
        **{name: root.optional_numbers(name, 6) for name in _SINGLE_VARIANCES},
        precisions=root.optional("precisions", _precisions_of) or {},
        scene_map=root.optional("scene_map", scene_map_of),
        calibration=root.optional("calibration", network_calibration_of),
        keyframes=root.optional("keyframes", keyframes_of),
        map_name=None if root.values.get("map_name") is None else root.text("map_name"),
        sensors=sensor_inputs_of(root.values["sensors"]) if root.values.get("sensors") is not None else (),
    )


def _training_of(section: Section) -> dict[str, Any]:
    """The summary is free but for the figures that `mvloc calibrate` and the node compare with."""
    for name in ("frames", "validation_frames"):
        if section.values.get(name) is not None:
            require_range(section.label(name), section.integer(name), (0, 2**62))
    if section.values.get("validation") is not None:
        found = section.section("validation")
        for name in ("translation_m", "rotation_deg"):
            require_range(found.label(name), found.number(name), (0.0, MOST_COORDINATE_M))
    return dict(section.values)


def _files_of(section: Section) -> dict[str, str]:
    if len(section.values) > MOST_BUNDLE_FILES:
        raise ManifestError(f"{len(section.values)} files are listed, at most {MOST_BUNDLE_FILES} are accepted")
    return {name: section.section(name).text("sha256") for name in section.names()}


def _precisions_of(section: Section) -> dict[str, PrecisionSpec]:
    return {name: _precision_of(section.section(name)) for name in section.names()}


def _precision_of(section: Section) -> PrecisionSpec:
    differences = {name: section.numbers(name, 2) for name in ("difference_m", "difference_deg")}
    return section.build(PrecisionSpec, **differences)
