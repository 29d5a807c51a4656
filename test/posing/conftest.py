# SPDX-License-Identifier: Apache-2.0
"""A drive through the demo's room as a folder, and copies of it with faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from posing_scene import apart_when_aligned, camera

from mvloc_ros.demo.renderer import CAMERA, demo_renderer
from mvloc_ros.recordings import open_folder

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


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """66 frames at 10 Hz, once around; never changed."""
    return rendered(tmp_path_factory.mktemp("posing") / "drive", around(COUNT))


@pytest.fixture
def copy_of(drive: Path, tmp_path: Path) -> Callable[[Iterable[int]], Path]:
    """Frames of the drive, in the order and of the numbers given, as a new recording."""

    def copied(numbers: Iterable[int]) -> Path:
        root = tmp_path / "recording"
        (root / "seq-01").mkdir(parents=True)
        shutil.copy(drive / "camera.json", root)
        for new, old in enumerate(numbers):
            for kind in ("color.jpg", "depth.png", "pose.txt"):
                source = drive / "seq-01" / f"frame-{old:06d}.{kind}"
                shutil.copy(source, root / "seq-01" / f"frame-{new:06d}.{kind}")
        return root

    return copied


@pytest.fixture
def errors() -> Callable[[Path, Path], np.ndarray]:
    """Distances `[N]` in metres of posed frames from the truth after one rigid alignment (as the ATE's)."""

    def compared(posed: Path, truth: Path) -> np.ndarray:
        true = {(frame.sequence, frame.index): frame.T_map_camera for frame in open_folder(truth).frames()}
        frames = [frame for frame in open_folder(posed).frames() if (frame.sequence, frame.index) in true]
        found = np.array([frame.T_map_camera for frame in frames])
        wanted = np.array([true[frame.sequence, frame.index] for frame in frames])
        return apart_when_aligned(found, wanted)

    return compared
