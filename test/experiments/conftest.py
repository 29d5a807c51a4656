# SPDX-License-Identifier: Apache-2.0
"""Tiny scenes that a tiny network can be trained on in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from frame_folder import write_frame, write_splits

# Options of a network and a run small enough for tests.
TINY = (
    *("--short-side", "32", "--width", "0.125", "--latent-size", "64", "--dropout", "0", "--samples", "2"),
    *("--epochs", "2", "--stage2-epochs", "2", "--batch-size", "8", "--resamples", "50", "--device", "cpu"),
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """The order of sums, and so the last bits of a result, depends on the number of threads.

    For the runs of the modules' fixtures too, with which the tests compare.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    return TINY


@pytest.fixture(scope="session", name="write_scene")
def _write_scene() -> Callable[..., Path]:
    return write_scene


def write_scene(root: Path, frames: int = 12, names: tuple[str, ...] = ("seq-01", "seq-02", "seq-03")) -> Path:
    """A camera that slides along a wall, there and back; the last sequence is for tests, between the others' frames."""
    texture = np.random.default_rng(5).integers(0, 256, (6, 12, 3), dtype=np.uint8)
    wall = cv2.resize(texture, (384, 192), interpolation=cv2.INTER_CUBIC)
    for number, name in enumerate(names):
        (root / name).mkdir(parents=True)
        for i in range(frames):
            phase = 2 * np.pi * (i + number / len(names)) / frames
            x, z = np.cos(phase), np.sin(phase)
            left, top = round(160 + 60 * x), round(70 + 40 * z)
            depth = np.full((48, 64), round(1000 * (2 - z)), dtype=np.uint16)
            pose = np.eye(4)
            pose[:3, 3] = (x, 0.0, z)
            write_frame(root / name, i, wall[top : top + 48, left : left + 64], depth, pose)
    write_splits(root, names[:-1], names[-1])
    return root


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two scenes: `heads`, which the paper has, and `wall`."""
    data = tmp_path_factory.mktemp("scenes")
    write_scene(data / "wall")
    # The official split of Heads: trained on its second sequence, tested on its first.
    write_scene(data / "heads", names=("seq-02", "seq-01"))
    return data
