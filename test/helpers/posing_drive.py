# SPDX-License-Identifier: Apache-2.0
"""A drive through the demo's room, rendered as a recording whose poses are known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from posing_scene import camera

from mvloc_ros.demo.renderer import CAMERA, demo_renderer

COUNT, RATE_HZ = 66, 10


def rendered(root: Path, poses: Iterable[np.ndarray]) -> Path:
    """A folder in the 7-Scenes layout of what the demo's cameras measure at poses (4x4), with these as the truth."""
    renderer, folder = demo_renderer(), root / "seq-01"
    folder.mkdir(parents=True)
    for index, T in enumerate(poses):
        frame, stem = renderer.measure(T, np.random.default_rng((0, index))), folder / f"frame-{index:06d}"
        cv2.imwrite(f"{stem}.color.jpg", frame.color[..., ::-1])
        cv2.imwrite(f"{stem}.depth.png", np.rint(1000.0 * frame.depth).astype(np.uint16))
        np.savetxt(f"{stem}.pose.txt", T)
    both = CAMERA.to_dict()
    settings = {"color": both, "depth": both, "depth_registered": True, "pose_of": "color", "rate_hz": RATE_HZ,
                "depth_units_per_metre": 1000}  # fmt: skip
    (root / "camera.json").write_text(json.dumps(settings))
    return root


def around(count: int) -> list[np.ndarray]:
    """A bit more than once around the middle of the room, looking outwards and a little down."""
    turn = np.linspace(0.0, 2.2 * np.pi, count)
    return [
        camera(0.8 * np.cos(t), 0.8 * np.sin(t), 1.2 + 0.1 * np.sin(2 * t), np.rad2deg(t + 0.6 + 0.2 * np.sin(3 * t)),
               20.0 + 3.0 * np.cos(2 * t)) for t in turn
    ]  # fmt: skip
