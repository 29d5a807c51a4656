# SPDX-License-Identifier: Apache-2.0
"""What was found in a folder, in one line: every command that opens one prints it. Of several, a line each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mvloc_ros.recordings.frames import BareFolder, FrameRecord, PosedFolder

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
    text = (
        f"{folder.root}: {_LAYOUTS.get(folder.layout, folder.layout)} layout, {len(folder.train)} training and "
        f"{len(folder.test)} test frames with {_images(frames)}, {folder.rate_hz:.4g} Hz, "
        f"poses of the {folder.pose_of} camera"
    )
    text += f"; {len(folder.unused)} beside test frames are not used" if folder.unused else ""
    return text + (f"; {len(folder.left_out)} left out" if folder.left_out else "")


def bare_contents_text(folder: BareFolder) -> str:
    """The same of a folder without poses, and what is taken of its cameras and times."""
    frames = folder.frames
    apart = [abs(f.depth_stamp_ns - f.stamp_ns) for f in frames if f.depth is not None and f.depth_stamp_ns is not None]
    skew = f", up to {1e-6 * max(apart):.3g} ms apart and taken as of one time" if any(apart) else ""
    if folder.depth_registered:
        place = "depth is registered to color"
    elif folder.T_color_depth is not None:
        place = "depth is not registered to color, T_color_depth is known"
    else:
        place = "depth is not registered to color, T_color_depth is unknown: both cameras are taken to be in one place"
    odometry = sum(sequence.odometry is not None for sequence in folder.sequences)
    imu = sum(sequence.imu is not None for sequence in folder.sequences)
    inertial = f", an IMU of {imu}" if imu else ""
    return (
        f"{folder.root}: {_LAYOUTS.get(folder.layout, folder.layout)} layout, {len(frames)} frames without poses in "
        f"{len(folder.sequences)} sequences with {_images(frames)}{skew}, {folder.rate_hz:.4g} Hz, "
        f"odometry of {odometry}{inertial}; {place}; poses are to be of the {folder.pose_of} camera"
    )


def _images(frames: Sequence[FrameRecord]) -> str:
    colors, depths = (sum(getattr(frame, kind) is not None for frame in frames) for kind in ("color", "depth"))
    further = Counter(name for frame in frames for name, _ in frame.further)
    if not further:
        return f"{colors} color and {depths} depth images"
    *others, (name, count) = further.items()
    listed = "".join(f", {number} {other}" for other, number in others)
    return f"{colors} color, {depths} depth{listed} and {count} {name} images"
