# SPDX-License-Identifier: Apache-2.0
"""A small furnished room that is seen by rays, its recording as a folder, and a bundle with its map."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from box_room import Scene, looking
from frame_folder import write_frame, write_splits
from lookup_network import write_lookup

from mvloc_ros.backends.backend import Backend, NetworkOutput
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.mapping.build import MapOptions
from mvloc_ros.mapping.map import add_map
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.model.manifest import FrameSpec, InputSpec, PositionSpec
from mvloc_ros.recordings import open_folder

CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5)
OPTIONS = MapOptions(resolution_m=0.04, correct_depth=False, min_frames=2)


def path(count: int, phase: float) -> list[np.ndarray]:
    """A smooth walk through the western half, looking about the eastern one."""
    t = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False) + phase
    places = zip(
        -0.9 + 0.4 * np.sin(t), 0.4 * np.cos(t), 1.2 + 0.2 * np.sin(2 * t), 0.5 * np.sin(t + 1), 0.15 + 0.1 * np.cos(t),
        strict=True,
    )  # fmt: skip
    return [looking(*place) for place in places]


def measured(depth: np.ndarray, rng: np.random.Generator, noise: float = 0.002) -> np.ndarray:
    """Millimetres, uint16, with noise; 0 stays 0."""
    return np.where(depth > 0, np.rint(1e3 * (depth + noise * rng.standard_normal(depth.shape))), 0).astype(np.uint16)


def frame_of(scene: Scene, T: np.ndarray, stamp_ns: int = 1_000, seed: int = 0) -> Frame:
    """What the cameras see there."""
    depth, gray = scene.render(T, CAMERA)
    color = ColorImage(np.repeat(gray[..., None], 3, axis=2), "rgb")
    return Frame(stamp_ns, "camera", color, DepthImage(measured(depth, np.random.default_rng(seed)), 0.001))


class Guess:
    """In the network's place: answers with a pose that the test sets, in the bundle's normalisation."""

    description = "a pose that the test knows"

    def __init__(self) -> None:
        self.T = np.eye(4)

    def run(self, *_: object) -> NetworkOutput:
        from mvloc_ros.geometry import quaternion

        position, orientation = se3.to_parts(self.T)
        four, share = np.zeros(4, np.float32), np.array([0.2, 0.4, 0.4], np.float32)
        return NetworkOutput(
            position.astype(np.float32), quaternion.log(orientation).astype(np.float32), four, four, share
        )

    def close(self) -> None:
        """Nothing to release."""


def write_folder(root: Path, scene: Scene, sequences: dict[str, list[np.ndarray]], test: str) -> Path:
    """The 7-Scenes layout with PNG images."""
    rng = np.random.default_rng(3)
    for name, poses in sequences.items():
        (root / name).mkdir(parents=True)
        for i, T in enumerate(poses):
            depth, gray = scene.render(T, CAMERA)
            write_frame(root / name, i, np.repeat(gray[..., None], 3, axis=2), measured(depth, rng), T)
    camera = CAMERA.to_dict()
    settings = {"color": camera, "depth": camera, "depth_registered": True, "pose_of": "depth"}
    (root / "camera.json").write_text(json.dumps(settings))
    write_splits(root, (name for name in sequences if name != test), test)
    return root


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training walks of 60 frames and a test walk of 12."""
    walks = {"seq-01": path(60, 0.0), "seq-02": path(60, 1.7), "seq-03": path(12, 0.33)}
    return write_folder(tmp_path_factory.mktemp("room") / "room", Scene(), walks, test="seq-03")


@pytest.fixture(scope="session")
def lookup_bundle(mapped: Bundle, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The mapped bundle with a network that finds the likest training images (see `lookup_network.py`)."""
    root = tmp_path_factory.mktemp("lookup")
    write_lookup(root / "model.onnx", open_folder(folder), 12, 16)
    manifest = replace(mapped.manifest, scene_map=None)
    bundle = write_bundle(root / "room", manifest, {"model.onnx": root / "model.onnx"})
    spec = mapped.manifest.scene_map
    return add_scene_map(bundle, (mapped.path / spec.file).read_bytes(), spec)


@pytest.fixture(scope="session")
def plain_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network with the room's cameras, errors of 5 cm and 2 degrees, and no map."""
    bundle = read_bundle(tiny_bundle)
    manifest = replace(
        bundle.manifest,
        input=InputSpec(12, 16, 0.1, 6.0),
        position=PositionSpec((0.0, 0.0, 0.0), 1.0),
        frames=FrameSpec("map", "depth"),
        color_camera=CAMERA,
        depth_camera=CAMERA,
        residual_variance=(0.0025,) * 3 + (0.0012,) * 3,
    )
    out = tmp_path_factory.mktemp("plain") / "room"
    return write_bundle(out, manifest, {"model.onnx": bundle.model_path}).path


@pytest.fixture(scope="session")
def mapped(plain_bundle: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with a map."""
    copy = tmp_path_factory.mktemp("mapped") / "room"
    shutil.copytree(plain_bundle, copy)
    return add_map(copy, folder, OPTIONS)


@pytest.fixture(scope="session")
def without_keyframes(mapped: Bundle) -> Bundle:
    """The mapped bundle as `mvloc map` made it before there were keyframes: starts are drawn."""
    return replace(mapped, manifest=replace(mapped.manifest, keyframes=None))


@pytest.fixture(scope="session")
def room() -> SimpleNamespace:
    """What tests make scenes and frames with."""
    return SimpleNamespace(
        Scene=Scene, Guess=Guess, looking=looking, path=path, frame_of=frame_of, camera=CAMERA, options=OPTIONS,
        write_folder=write_folder,
    )  # fmt: skip


class Followed(Localizer):
    """With a tracker of its own, which accepts every pose that is not rejected by its images or the map."""

    def __init__(self, bundle: Bundle, backend: Backend, options: RefinementOptions) -> None:
        super().__init__(bundle, backend, options)
        self.tracker = Tracker(GateLimits(enabled=False), options.unverified_after_s)


@pytest.fixture
def localize(mapped: Bundle) -> Callable[..., tuple[PoseEstimate, Followed]]:
    """Localize a frame whose network pose is given, with the mapped bundle or another one."""

    def run(
        frame: Frame,
        T_network: np.ndarray,
        bundle: Bundle = mapped,
        localizer: Followed | None = None,
        T_odom_camera: np.ndarray | None = None,
        **options: Any,
    ) -> tuple[PoseEstimate, Followed]:
        guess = Guess()
        localizer = localizer or Followed(
            bundle, guess, RefinementOptions(**{"budget_ms": 5000.0, "threads": 1, **options})
        )
        localizer._backend.T = T_network
        estimate, verdict = localizer.follow(frame, localizer.tracker, lambda _: T_odom_camera)
        return replace(estimate, rejection=verdict.reason), localizer

    return run
