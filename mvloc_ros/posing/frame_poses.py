# SPDX-License-Identifier: Apache-2.0
"""Poses of all frames by those of the keyframes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.posing.tracks import Track, TrackedFrame
from mvloc_ros.posing.whole_map import WholeMap
from mvloc_ros.recordings import FrameRecord

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlacedFrame:
    """A frame, its pose (4x4) in the frame of the whole map, and its keyframe's number there."""

    record: FrameRecord
    T: Array
    member: int


def frame_poses(whole: WholeMap, tracks: Sequence[Track]) -> tuple[list[PlacedFrame], list[FrameRecord]]:
    """The frames of all tracks, and those of tracks that are not in the map."""
    number = {node: index for index, node in enumerate(whole.members)}
    first, placed, left = 0, list[PlacedFrame](), list[FrameRecord]()
    for track in tracks:
        nodes = range(first, first + len(track.keyframes))
        first += len(track.keyframes)
        if nodes[0] in number:
            placed += _placed(whole, track, [number[node] for node in nodes])
        else:
            left += [frame.record for frame in track.frames]
    return placed, left


def _placed(whole: WholeMap, track: Track, members: Sequence[int]) -> list[PlacedFrame]:
    """Between two keyframes the correction of odometry goes over from that of the one to that of the other."""
    corrections = np.array(
        [whole.poses[member] @ se3.inverse(k.T) for member, k in zip(members, track.keyframes, strict=True)]
    )
    stamps = [keyframe.view.stamp_ns for keyframe in track.keyframes]

    def corrected(frame: TrackedFrame) -> Array:
        k = frame.keyframe
        correction = corrections[k]
        if k + 1 < len(stamps):
            share = (frame.record.stamp_ns - stamps[k]) / max(1, stamps[k + 1] - stamps[k])
            correction = se3.interpolate(correction, corrections[k + 1], float(np.clip(share, 0.0, 1.0)))
        return np.asarray(correction @ track.keyframes[k].T @ frame.T_keyframe_camera)

    return [PlacedFrame(frame.record, corrected(frame), members[frame.keyframe]) for frame in track.frames]
