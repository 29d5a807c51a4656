# SPDX-License-Identifier: Apache-2.0
"""Folders written exactly as the data sets write them, traps included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from walk import write_walk

from mvloc_ros.geometry import quaternion, se3

SIZE = (24, 32)  # height, width


def color_of(index: int) -> np.ndarray:
    """RGB with three different channels, so that a swap shows."""
    rgb = np.zeros((*SIZE, 3), np.uint8)
    rgb[:, :, 0], rgb[:, :, 1], rgb[:, :, 2] = 200, 10 * index, 30
    return rgb


def depth_of(index: int) -> np.ndarray:
    """Millimetres above 8 bits, with both marks of invalid pixels."""
    depth = np.full(SIZE, 1000 + 256 * index, np.uint16)
    depth[0, 0], depth[0, 1] = 0, 65535
    return depth


def pose_of(index: int) -> np.ndarray:
    turn = quaternion.exp(np.array([0.0, 0.05 * index, 0.02]))
    return se3.from_parts(np.array([0.1 * index, 1.0, -2.0]), turn)


def write_pose(path: Path, pose: np.ndarray, scale: float = 1.0) -> None:
    """As 7-Scenes does; `scale` spoils the rotation as KinectFusion's rounding does."""
    spoilt = pose.copy()
    spoilt[:3, :3] *= scale
    np.savetxt(path, spoilt, fmt="%.18e", delimiter="\t ")


def write_image(path: Path, image: np.ndarray) -> None:
    bgr = image[:, :, ::-1] if image.ndim == 3 else image
    options = [cv2.IMWRITE_JPEG_QUALITY, 100] if path.suffix == ".jpg" else []
    assert cv2.imwrite(str(path), bgr, options)


@pytest.fixture(scope="session")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 frames of 10 seconds, the last fifth for tests."""
    return write_walk(tmp_path_factory.mktemp("walk") / "walk")


@pytest.fixture(name="depth_of")
def _depth_of() -> Callable[[int], np.ndarray]:
    return depth_of


@pytest.fixture(name="color_of")
def _color_of() -> Callable[[int], np.ndarray]:
    return color_of


@pytest.fixture(name="pose_of")
def _pose_of() -> Callable[[int], np.ndarray]:
    return pose_of


@pytest.fixture
def seven_scenes(tmp_path: Path) -> Path:
    """Three sequences of 4 frames: 1 and 3 train, 2 test; PNG in the first, JPEG in the others."""
    root = tmp_path / "scene"
    for number in (1, 2, 3):
        folder = root / f"seq-{number:02d}"
        folder.mkdir(parents=True)
        for index in range(4):
            stem = folder / f"frame-{index:06d}"
            write_image(Path(f"{stem}.color.{'png' if number == 1 else 'jpg'}"), color_of(index))
            write_image(Path(f"{stem}.depth.png"), depth_of(index))
            write_pose(Path(f"{stem}.pose.txt"), pose_of(4 * number + index), scale=1.0004)
    (root / "TrainSplit.txt").write_text("sequence1 \r\nsequence3\r\n")
    (root / "TestSplit.txt").write_text("sequence2\n")
    return root


@pytest.fixture
def tum(tmp_path: Path) -> Path:
    """One recording of 10 colour images; the traps are at indices 0 (no truth), 4 (no depth) and 5 (two depths)."""
    root = tmp_path / "desk"
    (root / "rgb").mkdir(parents=True)
    (root / "depth").mkdir()
    start = 1305031102_000_000_000
    colors, depths = ["# color images", "# timestamp filename"], ["# depth maps"]
    for index in range(10):
        stamp = start + index * 33_000_000
        name = f"rgb/{stamp / 1e9:.6f}.png"
        write_image(root / name, color_of(index))
        colors.append(f"{stamp // 10**9}.{stamp % 10**9 // 1000:06d} {name}")
        skews = {4: [-22_000_000], 5: [12_000_000, 3_000_000]}.get(index, [5_000_000])
        for skew in skews:
            depth_stamp = stamp + skew
            name = f"depth/{index}_{skew}.png"
            write_image(root / name, 5 * depth_of(index))
            depths.append(f"{depth_stamp // 10**9}.{depth_stamp % 10**9 // 1000:06d} {name}")
    truth = ["# ground truth trajectory", "# timestamp tx ty tz qx qy qz qw"]
    for step in range(40):
        stamp = start + 10_000_000 + step * 10_000_000
        truth.append(f"{stamp // 10**9}.{stamp % 10**9 // 100000:04d} {step * 0.01:.4f} 0 1 0 0 0 1")
    (root / "rgb.txt").write_text("\n".join(colors) + "\n")
    (root / "depth.txt").write_text("\n".join(depths) + "\n")
    (root / "groundtruth.txt").write_text("\n".join(truth) + "\n")
    return root
