# SPDX-License-Identifier: Apache-2.0
"""Poses found again with depth corrected by what a first map of the recording tells about the camera.

A first-generation Kinect shows bands of up to 3 cm at 3 m, which bend a map of its own images. A map of many views
averages over the image, so that each view differs from it by what is peculiar to a place in the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.mapping.build import Cameras, MapOptions, build_map
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.posing.alignment import align
from mvloc_ros.posing.frame_poses import frame_poses
from mvloc_ros.posing.kept_work import KeptWork
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.posing.tracks import Keyframe, Track, matched, recent
from mvloc_ros.posing.view import FAR_M, NEAR_M, Rig, read_view
from mvloc_ros.posing.whole_map import WholeMap, build
from mvloc_ros.recordings.frames import CameraSettings

# Corrections below this, in 1/m, move a point at 3 m by less than 3 mm: nothing is gained.
_LEAST_CORRECTION = 3e-4
_RESOLUTION_M = 0.025
_MOST_FRAMES = 200
_KEPT = "realigned"


def with_corrected_depth(
    whole: WholeMap, tracks: list[Track], rig: Rig, cameras: CameraSettings, options: PosingOptions, kept: KeptWork
) -> WholeMap:
    """The map again, of keyframes with corrected depth; as it was where there is little to correct.

    The keyframes of `tracks` are replaced by corrected ones.
    """
    if cameras.depth_projection != "pinhole":
        return whole
    correction = _correction(whole, tracks, rig, cameras)
    if correction is None or float(np.abs(correction).mean()) < _LEAST_CORRECTION:
        return whole
    depth = replace(rig.sensors.depth, correction=correction)
    corrected = replace(rig, sensors=replace(rig.sensors, depth=depth))
    again = kept.load(_KEPT, lambda record: read_view(record, corrected)) or []
    for track in tracks[len(again) :]:
        again.append(_realigned(track, corrected, options.threads))
        kept.keep(_KEPT, again)
    tracks[:] = again
    return build(tracks, corrected, options, kept, "corrected")


def _correction(
    whole: WholeMap, tracks: Sequence[Track], rig: Rig, cameras: CameraSettings
) -> NDArray[np.float32] | None:
    frames = frame_poses(whole, tracks)[0]
    some = frames[:: max(1, len(frames) // _MOST_FRAMES)]
    records = [replace(frame.record, T_map_camera=frame.T) for frame in some]
    far_m = min(FAR_M, rig.sensors.depth.far_m)
    how = MapOptions(resolution_m=_RESOLUTION_M, min_frames=2, near_m=NEAR_M, far_m=far_m)
    try:
        return build_map(records, Cameras.of(cameras), how).correction
    except MappingError:
        return None


def _realigned(track: Track, rig: Rig, threads: int) -> Track:
    """The track with its keyframes read again by a rig of corrected depth, and aligned to each other again."""
    with ThreadPoolExecutor(threads) as pool:
        views = list(pool.map(lambda keyframe: read_view(keyframe.view.record, rig), track.keyframes))
    keyframes: list[Keyframe] = []
    for old, view in zip(track.keyframes, views, strict=True):
        if not keyframes:
            keyframes.append(replace(old, view=view))
            continue
        before = track.keyframes[len(keyframes) - 1]
        start = keyframes[-1].T @ se3.inverse(before.T) @ old.T
        aligned = align(view, recent(keyframes), start, matched(view, keyframes), is_near=True)
        keyframes.append(Keyframe(view, aligned.T, aligned.information))
    return replace(track, keyframes=keyframes)
