# SPDX-License-Identifier: Apache-2.0
"""`mvloc pose`: folders of images -> one folder of posed frames.

Each recording is tracked, the tracks are joined by loop closures, and all keyframes' poses are optimized together. Then
a first map of them tells what the calibration of the depth camera misses, and with depth corrected by that the poses
are found again.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.posing.base_odometry import BaseOdometry, Mount
from mvloc_ros.posing.corrected import with_corrected_depth
from mvloc_ros.posing.errors import PosingError
from mvloc_ros.posing.frame_poses import frame_poses
from mvloc_ros.posing.held_out import held_out_blocks, held_out_content, stretches_of
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.posing.posed_folder import PosedFrame, require_usable, write_posed
from mvloc_ros.posing.summary import Recording, content_of, summary_text
from mvloc_ros.posing.tracks import Missed, Track, fused
from mvloc_ros.posing.upright import Upright, upright
from mvloc_ros.posing.view import FAR_M, NEAR_M, Rig, View, read_view
from mvloc_ros.posing.visual_odometry import VisualOdometry
from mvloc_ros.posing.whole_map import WholeMap, build
from mvloc_ros.recordings import FrameRecord, RecordingError
from mvloc_ros.recordings.bare_folder import BareFolder, open_bare_folder
from mvloc_ros.recordings.contents import bare_contents_text
from mvloc_ros.recordings.depth_summary import depth_summary
from mvloc_ros.recordings.joined_folders import paths_of, require_same_cameras
from mvloc_ros.recordings.train_test_split import require_test_fraction

Array = NDArray[np.float64]
_log = logging.getLogger(__name__)

# Images that are read ahead.
_AHEAD = 6
_LEAST_FRAMES = 10
# A camera that moved less than this shows one view only.
_AT_REST_M, _AT_REST_RAD = 0.05, np.deg2rad(5.0)
_RESOLUTION_M = 0.025
# Frames of a recording in which the camera's place on the robot is looked for before it is tracked.
_MOST_FOR_MOUNT = 600


@dataclass(frozen=True, eq=False)
class PosingSummary:
    """What `pose_folders` found; `content` is that of posing.json."""

    out: Path
    content: dict[str, Any]

    @property
    def text(self) -> str:
        """A few lines for the terminal."""
        return summary_text(self.content)


def pose_folders(folders: Sequence[Path], out: Path, options: PosingOptions | None = None) -> PosingSummary:
    """Find the poses of recordings of one place, by the same cameras, and write them as one folder.

    Raises:
        RecordingError: a folder cannot be used.
        PosingError: no poses can be found, or `out` holds something else.
        StorageError: the folder cannot be written.
    """
    options = options or PosingOptions()
    began = time.monotonic()
    paths = paths_of(folders)
    require_usable(out, paths)
    require_test_fraction(options.test_fraction)
    opened = [open_bare_folder(path) for path in paths]
    for other in opened[1:]:
        require_same_cameras(opened[0], other)
    for folder in opened:
        _say_what_is_assumed(folder)
    recordings = _recordings(opened)
    rig = Rig.of(opened[0])
    tracks, missed = _track(recordings, rig, options)
    _require_tracks(tracks, missed)
    whole = build(tracks, rig, options)
    whole = with_corrected_depth(whole, tracks, rig, opened[0], options)
    frame = _upright(whole, options.origin)
    posed, unjoined = _posed_frames(whole, tracks, frame, recordings)
    missed = sorted(missed + unjoined, key=lambda one: (one.record.sequence, one.record.index))
    _require_motion(posed)
    mount = next((track.odometry.mount for track in tracks if track.odometry is not None), None)
    blocks = held_out_blocks(posed, options.test_fraction)
    content = content_of(recordings, posed, missed, whole, frame, mount, time.monotonic() - began)
    content |= {"held_out": held_out_content(blocks, posed)}
    write_posed(out, opened[0], posed, stretches_of(blocks, posed), content)
    return PosingSummary(out, content)


def _say_what_is_assumed(folder: BareFolder) -> None:
    """Print frames, cameras, times and the unit of depth, by a few images; warn of what is implausible."""
    print(f"{bare_contents_text(folder)}.")
    depth = depth_summary(folder, NEAR_M, min(FAR_M, folder.max_depth_m or FAR_M), "mvloc pose")
    print(f"{depth.text}.")
    if depth.problem:
        _log.warning("%s.", depth.problem)


def _recordings(folders: Sequence[BareFolder]) -> list[Recording]:
    found = [(folder.root, sequence) for folder in folders for sequence in folder.sequences if sequence.frames]
    result = []
    for number, (root, sequence) in enumerate(found, start=1):
        name = f"seq-{number:02d}"
        frames = tuple(replace(frame, sequence=name) for frame in sequence.frames)
        result.append(
            Recording(name, root / sequence.name if sequence.name != root.name else root, frames, sequence.odometry)
        )
    return result


def _track(recordings: Sequence[Recording], rig: Rig, options: PosingOptions) -> tuple[list[Track], list[Missed]]:
    tracks: list[Track] = []
    missed: list[Missed] = []
    mount: Mount | None = None
    total = sum(len(recording.frames) for recording in recordings)
    with tqdm(total=total, desc="tracking", unit="frame") as progress:
        for number, recording in enumerate(recordings):
            odometry = recording.odometry if options.use_odometry else None
            if odometry is not None and mount is None:
                mount = _mount(recording, odometry, rig, options.threads)
            base = None if odometry is None else BaseOdometry(odometry, mount)
            tracker = VisualOdometry(number, base)
            for view in _views(recording.frames, rig, options.threads):
                progress.update()
                if isinstance(view, Missed):
                    missed.append(view)
                else:
                    tracker.add(view)
            tracker.finish()
            mount = base.mount if base is not None else mount
            tracks += tracker.tracks
            missed += tracker.missed
    return tracks, missed


def _mount(recording: Recording, odometry: Trajectory, rig: Rig, threads: int) -> Mount | None:
    """Where the camera is on the robot, by a first look at the recording until that is known.

    Without it the first frames would be tracked without odometry, and in a corridor would slide along it.
    """
    base = BaseOdometry(odometry)
    tracker = VisualOdometry(0, base)
    for view in _views(recording.frames[:_MOST_FOR_MOUNT], rig, threads):
        if not isinstance(view, Missed):
            tracker.add(view)
        if base.mount is not None:
            break
    return base.mount


def _views(frames: Sequence[FrameRecord], rig: Rig, threads: int) -> Iterator[View | Missed]:
    """The views of frames in their order, read ahead by threads."""

    def read(record: FrameRecord) -> View | Missed:
        try:
            return read_view(record, rig)
        except RecordingError as error:
            return Missed(record, f"damaged: {error}")

    left = iter(frames)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(read, record) for record in islice(left, _AHEAD)]
        while waiting:
            view = waiting.pop(0).result()
            waiting += [pool.submit(read, record) for record in islice(left, 1)]
            yield view


def _require_tracks(tracks: Sequence[Track], missed: Sequence[Missed]) -> None:
    aligned = sum(len(track.frames) for track in tracks)
    if aligned >= _LEAST_FRAMES:
        return
    reasons = Counter(one.reason for one in missed)
    because = "".join(f" ({reason}, {count} frames)" for reason, count in reasons.most_common(1))
    raise PosingError(
        f"No poses can be found: {aligned} of {aligned + len(missed)} frames could be aligned to each other, at least "
        f"{_LEAST_FRAMES} are needed{because}. Check that depth and color show the same scene, in camera.json the "
        "intrinsics and depth_units_per_metre, and that the camera moved slowly."
    )


def _upright(whole: WholeMap, origin: tuple[float, float, float]) -> Upright:
    surface = fused(
        replace(whole.nodes[node].keyframe, T=T) for node, T in zip(whole.members, whole.poses, strict=True)
    )
    return upright(surface.points, surface.normals, whole.poses, _RESOLUTION_M, origin)


def _posed_frames(
    whole: WholeMap, tracks: Sequence[Track], frame: Upright, recordings: Sequence[Recording]
) -> tuple[dict[str, list[PosedFrame]], list[Missed]]:
    """All frames in the map's frame by sequence, and those of tracks that were not joined."""
    placed, unjoined = frame_poses(whole, tracks)
    turn = np.kron(np.eye(2), frame.T_map_first[:3, :3])
    posed: dict[str, list[PosedFrame]] = {recording.name: [] for recording in recordings}
    for one in placed:
        covariance = turn @ whole.covariances[one.member] @ turn.T
        posed[one.record.sequence].append(PosedFrame(one.record, frame.T_map_first @ one.T, covariance))
    reason = "not joined to the rest: no other part of the recordings surely shows the same place"
    found = {name: sorted(frames, key=lambda f: f.record.index) for name, frames in posed.items() if frames}
    return found, [Missed(record, reason) for record in unjoined]


def _require_motion(posed: dict[str, list[PosedFrame]]) -> None:
    poses = np.array([frame.T_map_camera for frames in posed.values() for frame in frames])
    metres = float(se3.translation_error(poses, poses[0]).max())
    radians = float(se3.rotation_error(poses, poses[0]).max())
    if metres < _AT_REST_M and radians < _AT_REST_RAD:
        raise PosingError(
            f"The camera stood still: in {len(poses)} frames it moved {metres:.2f} m and turned "
            f"{np.rad2deg(radians):.1f} degrees. Drive or carry it through the place while recording."
        )
