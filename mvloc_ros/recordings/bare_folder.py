# SPDX-License-Identifier: Apache-2.0
"""Opens a folder of RGB-D images whose poses are not known: the layouts of `folder`, without their poses.

Beside the images of a sequence there may be its odometry, `odometry.tum`: the pose of the robot's base in the frame of
its odometry, at times near those of the frames; and its IMU, `imu.csv` (or `accelerometer.txt` of TUM RGB-D).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mvloc_ros.recordings import seven_scenes, tum
from mvloc_ros.recordings.camera_file import apply_camera_file, fit_to_images
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.frames import BareFolder, BareSequence, FrameRecord
from mvloc_ros.recordings.imu.imu_file import (
    ACCELEROMETER_FILE,
    IMU_FILE,
    TIMES_FILE,
    read_accelerometer,
    read_image_times,
    read_imu,
)
from mvloc_ros.recordings.imu.samples import ImageTimes, Imu
from mvloc_ros.recordings.odometry_file import read_odometry


def open_bare_folder(path: Path | str) -> BareFolder:
    """List the frames of a folder in the 7-Scenes or TUM RGB-D layout; poses in it are not read.

    Raises:
        RecordingError: the folder has neither layout, no frame, or cameras that do not fit the images.
    """
    root = Path(path)
    if not root.is_dir():
        raise RecordingError(f"The recording {root} does not exist or is not a folder: check the path.")
    if seven_scenes.is_seven_scenes(root):
        folder = _seven_scenes(root)
    elif tum.is_tum(root):
        folder = _tum(root)
    else:
        raise RecordingError(
            f"{root} has neither the 7-Scenes layout (seq-01/frame-000000.color.png ...) nor the TUM RGB-D layout "
            "(rgb.txt, depth.txt)."
        )
    if not folder.frames:
        raise RecordingError(f"{root} has no image: check the path, or copy the recording again.")
    return folder


def _seven_scenes(root: Path) -> BareFolder:
    settings, stated = apply_camera_file(root, seven_scenes.DEFAULTS)
    sequences = []
    start_ns = seven_scenes.FIRST_STAMP_NS
    for folder in seven_scenes.sequence_folders(root):
        names = [sensor.name for sensor in settings.sensors]
        frames = seven_scenes.read_images(folder, start_ns, settings.rate_hz, names)
        # Times in odometry.tum count from the sequence's first number, whatever stamps the sequences get here.
        odometry = read_odometry(folder, start_ns)
        imu = _imu(folder, frames, settings.rate_hz)
        sequences.append(BareSequence(folder.name, tuple(frames), odometry, imu))
        start_ns = (frames[-1].stamp_ns if frames else start_ns) + seven_scenes.PAUSE_NS
    every = [frame for sequence in sequences for frame in sequence.frames]
    settings = fit_to_images(root, settings, stated, every)
    return BareFolder(root=root, layout="7scenes", sequences=tuple(sequences), **vars(settings))


def _tum(root: Path) -> BareFolder:
    settings, stated = apply_camera_file(root, tum.DEFAULTS)
    folders = tum.recording_folders(root)
    sequences = tuple(
        BareSequence(folder.name, tuple(tum.read_images(folder)), read_odometry(folder), _imu_by_stamps(folder))
        for folder in folders
    )
    settings = fit_to_images(root, settings, stated, [frame for sequence in sequences for frame in sequence.frames])
    if "rate_hz" not in stated:
        settings = replace(settings, rate_hz=tum.rate_of([list(sequence.frames) for sequence in sequences]))
    return BareFolder(root=root, layout="tum", sequences=sequences, **vars(settings))


def _imu_by_stamps(folder: Path) -> Imu | None:
    """The IMU of a recording whose frames have stamps of their own."""
    if (folder / IMU_FILE).is_file():
        return read_imu(folder / IMU_FILE)
    return read_accelerometer(folder / ACCELEROMETER_FILE) if (folder / ACCELEROMETER_FILE).is_file() else None


def _imu(folder: Path, frames: list[FrameRecord], rate_hz: float) -> Imu | None:
    """The IMU of a sequence whose frames are counted: by the times of its images, else from the number 0 on."""
    imu = _imu_by_stamps(folder)
    if imu is None or not frames:
        return None
    if (folder / TIMES_FILE).is_file():
        of_frames = read_image_times(folder / TIMES_FILE)
    else:
        of_frames = {frame.index: seven_scenes.counted_stamp(0, frame.index, rate_hz) for frame in frames}
    known = [frame for frame in frames if frame.index in of_frames]
    if not known:
        raise RecordingError(f"{folder / TIMES_FILE} has the time of no frame in {folder}: correct or remove the file.")
    stamps = np.array([frame.stamp_ns for frame in known], dtype=np.int64)
    recorded = np.array([of_frames[frame.index] for frame in known], dtype=np.int64)
    return replace(imu, times=ImageTimes(stamps, recorded))
