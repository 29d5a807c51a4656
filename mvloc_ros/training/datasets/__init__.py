# SPDX-License-Identifier: Apache-2.0
"""Posed recordings as arrays, split into training and validation."""

from __future__ import annotations

from mvloc_ros.training.datasets.clips import clip_indices, windows
from mvloc_ros.training.datasets.load_frames import ReadOptions, load_frames, open_usable_folder, read_frames
from mvloc_ros.training.datasets.posed_frames import (
    COLOR,
    DEPTH,
    PosedFrames,
    as_tensor,
    evenly_spaced,
    network_size,
)

__all__ = [
    "COLOR",
    "DEPTH",
    "PosedFrames",
    "ReadOptions",
    "as_tensor",
    "clip_indices",
    "evenly_spaced",
    "load_frames",
    "network_size",
    "open_usable_folder",
    "read_frames",
    "windows",
]
