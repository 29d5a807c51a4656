# SPDX-License-Identifier: Apache-2.0
"""`mvloc pose`: folders of images -> one folder of posed frames.

Each recording is tracked, the tracks are joined by loop closures, and all keyframes' poses are optimized together. Then
a first map of them tells what the calibration of the depth camera misses, and with depth corrected by that the poses
are found again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros import __version__
from mvloc_ros.geometry import se3
from mvloc_ros.posing.corrected import with_corrected_depth
from mvloc_ros.posing.errors import PosingError
from mvloc_ros.posing.frame_poses import frame_poses
from mvloc_ros.posing.held_out import held_out_blocks, stretches_of
from mvloc_ros.posing.kept_work import kept_work
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.posing.posed_folder import PosedFrame, require_usable, write_posed
from mvloc_ros.posing.robot_mount import with_mount
from mvloc_ros.posing.summary import Recording, content_of, summary_text
from mvloc_ros.posing.tracking import track
from mvloc_ros.posing.tracks import Missed, Track, fused
from mvloc_ros.posing.upright import Upright, upright
from mvloc_ros.posing.view import FAR_M, NEAR_M, Rig
from mvloc_ros.posing.whole_map import WholeMap, build
from mvloc_ros.recordings import digests
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.contents import bare_contents_text
from mvloc_ros.recordings.depth_summary import depth_summary
from mvloc_ros.recordings.frames import BareFolder
from mvloc_ros.recordings.joined_folders import paths_of, require_same_cameras
from mvloc_ros.recordings.train_test_split import require_test_fraction

Array = NDArray[np.float64]
_log = logging.getLogger(__name__)

_LEAST_FRAMES = 10
# A camera that moved less than this shows one view only.
_AT_REST_M, _AT_REST_RAD = 0.05, np.deg2rad(5.0)
_RESOLUTION_M = 0.025


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
    given: dict[str, object] = {
        f"odometry of {one.name}": one.odometry for one in recordings if one.odometry is not None
    }
    given |= {f"IMU of {one.name}": one.imu for one in recordings if one.imu is not None}
    with kept_work(out, _source(opened, options), given) as kept:
        tracks, missed = track(recordings, rig, options, kept)
        _require_tracks(tracks, missed)
        whole = build(tracks, rig, options, kept, "first")
        whole = with_corrected_depth(whole, tracks, rig, opened[0], options, kept)
        summary = _written(whole, tracks, missed, recordings, opened[0], out, options, kept.seconds)
    return summary


def _source(folders: Sequence[BareFolder], options: PosingOptions) -> dict[str, Any]:
    """All that the work before the map's frame depends on."""
    values = asdict(options)
    for name in ("threads", "origin", "test_fraction"):
        del values[name]
    return {
        "mvloc_ros": __version__,
        "options": values,
        "recordings": {str(folder.root.resolve()): digests.of_folder(folder.root) for folder in folders},
    }


def _written(
    whole: WholeMap,
    tracks: Sequence[Track],
    missed: Sequence[Missed],
    recordings: Sequence[Recording],
    cameras: BareFolder,
    out: Path,
    options: PosingOptions,
    seconds: float,
) -> PosingSummary:
    """The folder of posed frames, in the map's frame."""
    frame = _upright(whole, options.origin)
    posed, unjoined = _posed_frames(whole, tracks, frame, recordings)
    missed = sorted([*missed, *unjoined], key=lambda one: (one.record.sequence, one.record.index))
    _require_motion(posed)
    mount = next((track.odometry.mount for track in tracks if track.odometry is not None), None)
    blocks = held_out_blocks(posed, options.test_fraction)
    imus = {recordings[track.sequence].name: track.imu for track in tracks if track.imu is not None}
    content = content_of(recordings, posed, missed, whole, frame, mount, blocks, seconds, imus)
    odometry = {} if mount is None else {one.name: one.odometry for one in recordings if one.odometry is not None}
    write_posed(
        out, with_mount(cameras, mount, whole.camera_height_m), posed, content, stretches_of(blocks, posed), odometry
    )
    return PosingSummary(out, content)


def _say_what_is_assumed(folder: BareFolder) -> None:
    """Print frames, cameras, times and the unit of depth, by a few images; warn of what is implausible."""
    print(f"{bare_contents_text(folder)}.")
    depth = depth_summary(folder, NEAR_M, min(FAR_M, folder.max_depth_m or FAR_M), "mvloc pose")
    print(f"{depth.text}.")
    for sequence in folder.sequences:
        for line in () if sequence.imu is None else sequence.imu.lines([frame.stamp_ns for frame in sequence.frames]):
            print(f"{sequence.name}: {line}.")
    if depth.problem:
        _log.warning("%s.", depth.problem)


def _recordings(folders: Sequence[BareFolder]) -> list[Recording]:
    found = [(folder.root, sequence) for folder in folders for sequence in folder.sequences if sequence.frames]
    result = []
    for number, (root, sequence) in enumerate(found, start=1):
        name = f"seq-{number:02d}"
        frames = tuple(replace(frame, sequence=name) for frame in sequence.frames)
        where = root / sequence.name if sequence.name != root.name else root
        result.append(Recording(name, where, frames, sequence.odometry, sequence.imu))
    return result


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
    return upright(surface.points, surface.normals, whole.poses, _RESOLUTION_M, origin, whole.up)


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
    metres = float(np.max(se3.translation_error(poses, poses[0])))
    radians = float(np.max(se3.rotation_error(poses, poses[0])))
    if metres < _AT_REST_M and radians < _AT_REST_RAD:
        raise PosingError(
            f"The camera stood still: in {len(poses)} frames it moved {metres:.2f} m and turned "
            f"{np.rad2deg(radians):.1f} degrees. Drive or carry it through the place while recording."
        )
