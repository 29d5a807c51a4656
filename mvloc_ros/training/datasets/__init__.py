# SPDX-License-Identifier: Apache-2.0
"""Posed recordings as arrays in memory, split into training and validation."""

from __future__ import annotations

from mvloc_ros.training.datasets.arrays import PosedFrames, load_frames, network_size
from mvloc_ros.training.datasets.clips import clip_indices, windows
from mvloc_ros.training.datasets.split import hold_out

__all__ = ["PosedFrames", "clip_indices", "hold_out", "load_frames", "network_size", "windows"]
