# SPDX-License-Identifier: Apache-2.0
"""A drive through the demo's room as a folder, and copies of it with faults."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from posing_drive import COUNT, around, rendered
from posing_scene import apart_when_aligned

from mvloc_ros.recordings import open_folder


@pytest.fixture(scope="session")
def render() -> Callable[[Path, Iterable[np.ndarray]], Path]:
    """Makes a folder of poses at 10 Hz."""
    return rendered


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
