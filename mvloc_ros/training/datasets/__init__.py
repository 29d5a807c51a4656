# SPDX-License-Identifier: Apache-2.0
"""Posed recordings as arrays, split into training and validation."""

from __future__ import annotations

from mvloc_ros.training.datasets.arrays import PosedFrames, as_tensor, network_size
from mvloc_ros.training.datasets.clips import clip_indices, windows
from mvloc_ros.training.datasets.load import Reading, load_frames, open_readable, read_frames
from mvloc_ros.training.datasets.split import hold_out

__all__ = [
    "PosedFrames",
    "Reading",
    "as_tensor",
    "clip_indices",
    "hold_out",
    "load_frames",
    "network_size",
    "open_readable",
    "read_frames",
    "windows",
]
