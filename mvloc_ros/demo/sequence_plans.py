# SPDX-License-Identifier: Apache-2.0
"""The sequences of the demo recording: camera path, light, exposure, and frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mvloc_ros.demo.camera_paths import Volume, drive
from mvloc_ros.demo.lighting import SETTINGS, Setting, between

RATE_HZ = 15.0
TRAIN_SEQUENCES = 8
TRAIN_FRAMES = 2400
TEST_FRAMES = 300  # 20 s
# Training uses every sixth frame of a 15 Hz recording, since neighboring frames are nearly equal.
TRAIN_STRIDE = 6
TEST_SEQUENCE = TRAIN_SEQUENCES + 1
TEST_SHARE_OF_VOLUME = 0.85
SPLITS = ("train", "test", "both")


@dataclass(frozen=True)
class SequencePlan:
    """One sequence: its number (folder seq-NN), light, exposure, frame indices at RATE_HZ and poses [N, 4, 4]."""

    number: int
    split: str
    light: Setting
    exposure: float
    indices: tuple[int, ...]
    poses: npt.NDArray[np.float64]

    @property
    def name(self) -> str:
        """The folder's name in the 7-Scenes layout."""
        return f"seq-{self.number:02d}"


def plan_training(seed: int, frames: int = TRAIN_FRAMES) -> list[SequencePlan]:
    """Eight paths through the whole volume, in all lights in turn; `frames` is their total."""
    counts = [len(part) for part in np.array_split(np.arange(frames), TRAIN_SEQUENCES)]
    lights = list(SETTINGS.values())
    plans = []
    for number, count in enumerate(counts, start=1):
        if count:
            exposure = float(np.random.default_rng((seed, number, 1)).uniform(0.85, 1.15))
            light = lights[(number - 1) % len(lights)]
            plans.append(_plan(number, "train", light, exposure, seed, count, TRAIN_STRIDE, Volume()))
    return plans


def plan_test(seed: int, frames: int = TEST_FRAMES) -> SequencePlan:
    """A separate path at the full rate, inside the trained volume, in a light between two trained ones."""
    light = between(SETTINGS["day"], SETTINGS["evening"], 0.5)
    return _plan(TEST_SEQUENCE, "test", light, 1.0, seed, frames, 1, Volume().shrunk(TEST_SHARE_OF_VOLUME))


def _plan(
    number: int, split: str, light: Setting, exposure: float, seed: int, count: int, stride: int, volume: Volume
) -> SequencePlan:
    indices = np.arange(count) * stride
    poses = drive(volume, (seed, number), indices / RATE_HZ)
    return SequencePlan(number, split, light, exposure, tuple(indices.tolist()), poses)
