# SPDX-License-Identifier: Apache-2.0
"""Opens a folder of posed RGB-D frames, whatever its layout."""

from __future__ import annotations

from pathlib import Path

from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import PosedFolder
from mvloc_ros.recordings.seven_scenes import is_seven_scenes, open_seven_scenes
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.recordings.tum import is_tum, open_tum


def open_folder(path: Path | str, test_fraction: float = TEST_FRACTION) -> PosedFolder:
    """Detect the layout of a folder (7-Scenes or TUM RGB-D) and list its posed frames.

    `test_fraction` is the share of each sequence, taken from its end, that becomes test where the
    folder itself does not say (TUM, or 7-Scenes without split files). Only text files and one image
    of each camera are read here. Raises RecordingError where the folder cannot be used.
    """
    root = Path(path)
    if not root.is_dir():
        raise RecordingError(f"The recording {root} does not exist or is not a folder: check the path.")
    if is_seven_scenes(root):
        return open_seven_scenes(root, test_fraction)
    if is_tum(root):
        return open_tum(root, test_fraction)
    raise RecordingError(
        f"{root} has neither the 7-Scenes layout (seq-01/frame-000000.color.png ...) nor the TUM RGB-D layout "
        "(rgb.txt, depth.txt, groundtruth.txt)."
    )
