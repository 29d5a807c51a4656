# SPDX-License-Identifier: Apache-2.0
"""What was found in a folder, in one line: every command that opens one prints it. Of several, a line each."""

from __future__ import annotations

from mvloc_ros.recordings.frames import PosedFolder

_LAYOUTS = {"7scenes": "7-Scenes", "tum": "TUM RGB-D"}


def contents_text(folder: PosedFolder) -> str:
    """Layout, frames, images of each kind, and rate, without a full stop; of several folders a line each and a sum."""
    if folder.parts:
        sequences = len({frame.sequence for frame in folder.frames()})
        total = (
            f"together: {len(folder.parts)} folders, {sequences} sequences, {len(folder.train)} training and "
            f"{len(folder.test)} test frames"
        )
        return ".\n".join([*map(contents_text, folder.parts), total])
    frames = (*folder.train, *folder.test)
    colors, depths = (sum(getattr(frame, kind) is not None for frame in frames) for kind in ("color", "depth"))
    text = (
        f"{folder.root}: {_LAYOUTS.get(folder.layout, folder.layout)} layout, {len(folder.train)} training and "
        f"{len(folder.test)} test frames with {colors} color and {depths} depth images, {folder.rate_hz:.4g} Hz, "
        f"poses of the {folder.pose_of} camera"
    )
    return text + (f"; {len(folder.left_out)} left out" if folder.left_out else "")
