# SPDX-License-Identifier: Apache-2.0
"""A tiny posed recording that a tiny network can learn in seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from frame_folder import write_frame, write_splits
from torch import Tensor, nn

from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.networks.pose_network import PoseNetwork, PoseOutput, deterministic_output, presence_shares
from mvloc_ros.training.options import all_options
from mvloc_ros.training.presets import PRESETS
from mvloc_ros.training.systems import NETWORKS

# Options of a network and a run small enough for tests.
TINY = {
    "short_side": 32,
    "width": 0.125,
    "latent_size": 64,
    "dropout": 0.0,
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 5e-3,
    "erasing_size": 0.2,
    "validation_gap": 2,
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The order of sums, and so the last bits of a result, depends on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def no_augmentation() -> dict[str, int]:
    """Values of the options that leave every frame as it is."""
    names = [item.name for section, item in all_options() if section == "augmentation"]
    return dict.fromkeys(names, 0)


class Plain(PoseNetwork):
    """Coarse image, linear layers: nothing in it knows other frames of the batch, or chance."""

    def __init__(self, _network: object, inputs: object) -> None:
        super().__init__(inputs)
        self.hidden, self.head = nn.Linear(4 * 4 * 4, 16), nn.Linear(16, 6)

    def forward(self, color: Tensor, depth: Tensor, present: Tensor) -> PoseOutput:
        image = torch.cat([self.normalise_color(color), self.normalise_depth(depth)], dim=1)
        features = torch.tanh(self.hidden(nn.functional.adaptive_avg_pool2d(image, 4).flatten(1)))
        return deterministic_output(self.head(features), features, presence_shares(present))

    def start_from(self, weights: Mapping[str, Tensor]) -> None:
        raise AssertionError(f"no encoder for {len(weights)} weights")


@pytest.fixture
def plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """`mvloc` is `Plain` meanwhile."""
    monkeypatch.setitem(NETWORKS, "mvloc", Plain)


@pytest.fixture(scope="session")
def tiny_config() -> TrainingConfig:
    return PRESETS["small"].with_options(TINY)


def write_folder(root: Path, frames: int, sequences: int = 2) -> Path:
    """A camera that slides along a textured wall: colour tells where it is, depth how far the wall is."""
    rng = np.random.default_rng(3)
    wall = cv2.resize(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8), (256, 192), interpolation=cv2.INTER_CUBIC)
    for number in range(1, sequences + 2):
        folder = root / f"seq-{number:02d}"
        folder.mkdir(parents=True)
        for i in range(frames):
            phase = 2 * np.pi * i / 12 + number
            x, y, z = np.cos(phase), 0.5 * np.sin(2 * phase), 0.4 * np.sin(phase)
            left, top = round(96 + 90 * x), round(72 + 100 * y)
            depth = np.full((48, 64), round(1000 * (2.0 + z)), dtype=np.uint16)
            depth[:4] = 65535
            pose = np.eye(4)
            turn = 0.3 * np.sin(phase)
            pose[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
            pose[:3, 3] = (x + 5.0, y, -z)
            write_frame(folder, i, wall[top : top + 48, left : left + 64], depth, pose)
    camera = {"width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5}
    settings = {
        "color": camera,
        "depth": camera,
        "depth_registered": True,
        "pose_of": "color",
        "rate_hz": 10,
        "depth_units_per_metre": 1000,
        "licence": "CC0-1.0",
    }
    (root / "camera.json").write_text(json.dumps(settings))
    write_splits(root, (f"sequence{n}" for n in range(1, sequences + 1)), f"sequence{sequences + 1}")
    return root


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("wall"), frames=48)
