# SPDX-License-Identifier: Apache-2.0
"""All recordings tracked one after another, by one robot whose camera keeps its place; what is done is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from tqdm import tqdm

from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.posing.base_odometry import BaseOdometry, Mount
from mvloc_ros.posing.imu_motion import ImuMotion, ImuMount
from mvloc_ros.posing.kept_work import KeptWork
from mvloc_ros.posing.options import PosingOptions
from mvloc_ros.posing.summary import Recording
from mvloc_ros.posing.tracks import Missed, Track
from mvloc_ros.posing.view import Rig, View, read_view
from mvloc_ros.posing.visual_odometry import VisualOdometry
from mvloc_ros.recordings import FrameRecord, RecordingError
from mvloc_ros.recordings.imu.samples import Imu

Mounts = tuple[Mount | None, ImuMount | None]

# Images that are read ahead.
_AHEAD = 6
# Frames of a recording in which the camera's place on the robot is looked for before it is tracked.
_MOST_FOR_MOUNT = 600
_KEPT = "tracking"


@dataclass
class Progress:
    """How far it has come.

    Attributes:
        recordings: how many are done.
        frames: of the recording that is not, those that are.
        tracker: of that recording; None between two.
        tracks, missed: of the recordings that are done, and frames that cannot be read.
        mount: the camera's place on the robot, once it is known.
        imu_mount: likewise how the IMU is turned against the camera.
    """

    recordings: int = 0
    frames: int = 0
    tracker: VisualOdometry | None = None
    tracks: list[Track] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    mount: Mount | None = None
    imu_mount: ImuMount | None = None


def track(
    recordings: Sequence[Recording], rig: Rig, options: PosingOptions, kept: KeptWork
) -> tuple[list[Track], list[Missed]]:
    """The tracks of all recordings, and the frames in none; goes on where an interrupted run was."""
    total = sum(len(recording.frames) for recording in recordings)
    with tqdm(total=total, desc="tracking", unit="frame") as bar:
        done = Progress(*(kept.load(_KEPT, lambda record: read_view(record, rig)) or ()))
        bar.update(sum(len(one.frames) for one in recordings[: done.recordings]) + done.frames)
        for number in range(done.recordings, len(recordings)):
            recording = recordings[number]
            if done.tracker is None:
                done.tracker = _tracker(number, recording, rig, options, (done.mount, done.imu_mount))
            for view in views(recording.frames[done.frames :], rig, options.threads):
                bar.update()
                done.frames += 1
                if isinstance(view, Missed):
                    done.missed.append(view)
                else:
                    done.tracker.add(view)
                if kept.is_due():
                    kept.keep(_KEPT, list(vars(done).values()))
            _finish(done)
            kept.keep(_KEPT, list(vars(done).values()))
    return done.tracks, done.missed


def _finish(done: Progress) -> None:
    """The recording that was tracked is at its end."""
    tracker = done.tracker
    assert tracker is not None
    tracker.finish()
    done.mount = tracker.odometry.mount if tracker.odometry is not None else done.mount
    done.imu_mount = tracker.imu.mount if tracker.imu is not None else done.imu_mount
    done.tracks += tracker.tracks
    done.missed += tracker.missed
    done.recordings, done.frames, done.tracker = done.recordings + 1, 0, None


def _tracker(number: int, recording: Recording, rig: Rig, options: PosingOptions, known: Mounts) -> VisualOdometry:
    odometry = recording.odometry if options.use_odometry else None
    imu = recording.imu if options.use_imu else None
    mount, imu_mount = _mounts(recording, odometry, imu, known, rig, options.threads)
    return VisualOdometry(
        number,
        None if odometry is None else BaseOdometry(odometry, mount),
        None if imu is None else ImuMotion(imu, imu_mount),
    )


def _mounts(
    recording: Recording, odometry: Trajectory | None, imu: Imu | None, known: Mounts, rig: Rig, threads: int
) -> Mounts:
    """Where the camera is on the robot and how the IMU is turned, by a first look at the recording until that is known.

    Without it the first frames would be tracked without odometry, and in a corridor would slide along it. `known` are
    those of the recordings before.
    """
    base = None if odometry is None else BaseOdometry(odometry, known[0])
    motion = None if imu is None else ImuMotion(imu)
    tracker = VisualOdometry(0, base, motion)
    frames = views(recording.frames[:_MOST_FOR_MOUNT], rig, threads)
    while (base is not None and base.mount is None) or (motion is not None and motion.wants_a_look):
        if (view := next(frames, None)) is None:
            break
        if not isinstance(view, Missed):
            tracker.add(view)
    mount = known[0] if base is None else base.mount
    # How an IMU is turned may change from recording to recording: that of another counts where this one tells nothing.
    return mount, known[1] if motion is None or not (motion.mount or motion.why) else motion.mount


def views(frames: Sequence[FrameRecord], rig: Rig, threads: int) -> Iterator[View | Missed]:
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
