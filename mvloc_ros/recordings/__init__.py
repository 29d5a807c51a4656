# SPDX-License-Identifier: Apache-2.0
"""Recordings: posed RGB-D folders (7-Scenes, TUM RGB-D) and rosbag2 files. No ROS, no torch."""

from __future__ import annotations

from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder import open_folder
from mvloc_ros.recordings.frames import FrameRecord, LeftOut, PosedFolder
from mvloc_ros.recordings.images import read_color, read_depth
from mvloc_ros.recordings.joined_folders import Folders, open_folders

__all__ = [
    "Folders",
    "FrameRecord",
    "LeftOut",
    "PosedFolder",
    "RecordingError",
    "open_folder",
    "open_folders",
    "read_color",
    "read_depth",
]
