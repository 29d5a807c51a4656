# SPDX-License-Identifier: Apache-2.0
"""A model bundle with everything that one can have, in some kilobytes: its network is arithmetic."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from bench.fuzzing.scene import CAMERA, FRAMES, PERIOD_NS, START_NS, pose_of, tum_text
from bench.harness.tiny_network import LATENT, tiny_network
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.model.bundle import MANIFEST_FILE, Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.model.calibration_spec import NetworkCalibration, RefinedCalibration
from mvloc_ros.model.manifest import FrameSpec, InputSpec, Manifest, PositionSpec, PrecisionSpec
from mvloc_ros.model.map_spec import AcceptanceSpec, SceneMapSpec
from mvloc_ros.model.validation_file import MODALITIES, VALIDATION_FILE, ValidationPoses

HEIGHT, WIDTH = 12, 16
POINTS, TILE_M, RESOLUTION_M = 600, 4.0, 0.05
_EVIDENCE = ("support", "fit", "free_space", "in_view", "appearance", "alignment", "agreement")
_TRAINING = {
    "seed": 0,
    "frames": FRAMES,
    "validation_frames": FRAMES,
    "validation": {"translation_m": 0.1, "rotation_deg": 2.0},
}
_DIGESTS = ("digest", "sha256")


def write_tiny_bundle(folder: Path) -> Bundle:
    """Write it to `folder/bundle`; what it is made of lies beside."""
    network = folder / "model.onnx"
    onnx.save(tiny_network(HEIGHT, WIDTH), str(network))
    (folder / "poses.tum").write_text(tum_text())
    (folder / VALIDATION_FILE).write_text(_validation().to_text())
    files = {
        "model.onnx": network,
        "model_fp16.onnx": network,
        "training_poses.tum": folder / "poses.tum",
        VALIDATION_FILE: folder / VALIDATION_FILE,
    }
    bundle = write_bundle(folder / "bundle", _manifest(), files)
    return add_scene_map(bundle, _scene_map().to_bytes(), _map_spec())


def seal(folder: Path, values: Any | None = None) -> Any:
    """Make the digests of a bundle fit to its files, as someone would who wants it to be read; the manifest's values.

    Args:
        folder: the bundle.
        values: of its manifest, if they are not those of its file. Where they are not a manifest's, nothing is done.
    """
    path = folder / MANIFEST_FILE
    if values is None:
        try:
            values = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
    try:
        for name, entry in values["files"].items():
            if (folder / name).is_file() and (folder / name).stat().st_size < 1 << 26:
                entry["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        scene_map = values.get("scene_map")
        if (
            scene_map
            and (folder / scene_map["file"]).is_file()
            and (folder / scene_map["file"]).stat().st_size < 1 << 26
        ):
            scene_map["sha256"] = hashlib.sha256((folder / scene_map["file"]).read_bytes()).hexdigest()
    except (AttributeError, KeyError, TypeError, OSError, ValueError):
        pass
    return values


def unsealed(values: dict[str, Any]) -> dict[str, Any]:
    """A manifest without the digest of the whole bundle, as older ones have none: its values alone must make sense."""
    return {name: value for name, value in values.items() if not (isinstance(value, str) and name.endswith(_DIGESTS))}


def read_manifest(folder: Path) -> dict[str, Any]:
    """The values of a valid bundle's manifest."""
    values: dict[str, Any] = json.loads((folder / MANIFEST_FILE).read_text())
    return values


def is_sealed(folder: Path, scratch: Path) -> bool:
    """Whether a bundle as it is written today is refused once any value of its manifest is another."""
    from bench.fuzzing.mutators import copy_links, replace_bytes
    from mvloc_ros.errors import MvlocError

    copy_links(folder, scratch)
    values = read_manifest(folder)
    values["licence"] += " changed"
    replace_bytes(scratch / MANIFEST_FILE, json.dumps(values).encode())
    try:
        read_bundle(scratch)
    except MvlocError:
        return True
    return False


def _manifest() -> Manifest:
    variance = (0.01, 0.02, 0.03, 0.001, 0.002, 0.003)
    covariance = tuple(float(value) for value in np.diag(variance).reshape(-1))
    return Manifest(
        system="mvloc",
        preset="small",
        input=InputSpec(HEIGHT, WIDTH, 0.1, 10.0),
        latent_dim=LATENT,
        position=PositionSpec((1.0, -3.0, 0.5), 0.5),
        frames=FrameSpec("map", "color"),
        color_camera=CAMERA,
        depth_camera=CAMERA,
        depth_registered=True,
        residual_variance=variance,
        residual_variance_color_only=tuple(2 * value for value in variance),
        residual_variance_depth_only=tuple(3 * value for value in variance),
        T_color_depth=_identity(0.025),
        training=_TRAINING,
        licence="Apache-2.0",
        created_with="bench",
        precisions={"fp16": PrecisionSpec("model_fp16.onnx", FRAMES, (0.001, 0.002), (0.1, 0.2))},
        calibration=NetworkCalibration(covariance, covariance, covariance, {"frames": FRAMES}),
    )


def _identity(x: float = 0.0) -> tuple[float, ...]:
    T = np.eye(4)
    T[0, 3] = x
    return tuple(float(value) for value in T.reshape(-1))


def _validation() -> ValidationPoses:
    stamps = START_NS + PERIOD_NS * np.arange(FRAMES, dtype=np.int64)
    poses = np.stack([pose_of(index) for index in range(FRAMES)])
    return ValidationPoses(("seq-01",) * FRAMES, stamps, dict.fromkeys(MODALITIES, poses))


def _points() -> MapPoints:
    random = np.random.default_rng(0)
    points: NDArray[np.float64] = random.uniform(-3.0, 3.0, (POINTS, 3))
    points[:, 2] = 2.5
    normals = np.tile([0.0, 0.0, -1.0], (POINTS, 1))
    return MapPoints(points, normals, random.integers(1, 256, POINTS).astype(np.uint8))


def _scene_map() -> SceneMap:
    return SceneMap.from_points(_points(), np.zeros(CORRECTION_SHAPE, np.float32), TILE_M, RESOLUTION_M)


def _map_spec() -> SceneMapSpec:
    acceptance = AcceptanceSpec(
        bias=-3.0,
        weights=dict.fromkeys(_EVIDENCE, 1.0),
        typical=dict.fromkeys(_EVIDENCE, 0.9),
        threshold=0.5,
        false_accept_rate=0.005,
        summary={"right": {"trials": 10, "accepted": 0.9}},
    )
    spec = SceneMapSpec("", "", RESOLUTION_M, TILE_M, POINTS, 0.3, 4.5, _identity(), 20.0, acceptance)
    return replace(spec, calibration=RefinedCalibration(0.5, 0.001, 0.0, {"frames": FRAMES}))
