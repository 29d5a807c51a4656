# SPDX-License-Identifier: Apache-2.0
"""Ten seconds of a camera that walks through a small furnished room."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from box_room import FURNITURE, ROOM, Scene, looking
from frame_folder import write_frame

from mvloc_ros.geometry.camera import PinholeCamera

CAMERA = {"width": 80, "height": 60, "fx": 65.0, "fy": 65.0, "cx": 39.5, "cy": 29.5}
RATE_HZ = 10.0
FRAMES = 100
# Boxes and not noise, whose image has thousands of features: most of a test's time would be theirs.
PAINT = np.random.default_rng(1).integers(20, 235, (16, 16, 16, 3), dtype=np.uint8)
SCENE = Scene(ROOM, (*FURNITURE[:2], ((0.9, -0.3, 0.0), (1.3, 0.2, 0.7))))


def pose_at(seconds: float) -> np.ndarray:
    """A camera that walks and looks about with changing speed."""
    t = 0.9 * seconds
    yaw, pitch = 0.6 * np.sin(t + 1.0) + 0.2 * np.sin(2.7 * t), 0.2 + 0.15 * np.cos(1.3 * t)
    return looking(-0.9 + 0.5 * np.sin(t), 0.5 * np.cos(1.4 * t), 1.2 + 0.2 * np.sin(2.0 * t), yaw, pitch)


def depth_at(T: np.ndarray) -> np.ndarray:
    """Millimetres, uint16."""
    return np.rint(1e3 * SCENE.depth(T, PinholeCamera(**CAMERA))).astype(np.uint16)


def color_at(T: np.ndarray) -> np.ndarray:
    """BGR of surfaces that are painted in boxes of 0.35 m, so that the image tells where the camera is."""
    camera = PinholeCamera(**CAMERA)
    z = SCENE.depth(T, camera)
    row, column = np.indices(z.shape)
    rays = np.stack([(column - camera.cx) / camera.fx, (row - camera.cy) / camera.fy, np.ones(z.shape)], axis=-1)
    box = np.floor(((rays * z[..., None]) @ T[:3, :3].T + T[:3, 3]) / 0.35 + 0.01).astype(int) % len(PAINT)
    return PAINT[box[..., 0], box[..., 1], box[..., 2]]


def write_walk(root: Path) -> Path:
    """100 frames of 10 seconds in the layout of 7-Scenes, the last fifth for tests."""
    (root / "seq-01").mkdir(parents=True)
    for i in range(FRAMES):
        pose = pose_at(i / RATE_HZ)
        write_frame(root / "seq-01", i, color_at(pose), depth_at(pose), pose)
    settings = {"color": CAMERA, "depth": CAMERA, "depth_registered": True, "pose_of": "color", "rate_hz": RATE_HZ}
    (root / "camera.json").write_text(json.dumps(settings))
    return root
