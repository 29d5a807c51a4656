# SPDX-License-Identifier: Apache-2.0
"""The first step: which recordings have poses, which get a trajectory, and which are without."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from synthetic_bag import (
    COUNT,
    FRAME,
    PERIOD,
    START,
    T_BASE_CAMERA,
    Recording,
    add_pose_topic,
    base_pose,
)
from walk import FRAMES, RATE_HZ, pose_at

from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.learn.errors import LearnError
from mvloc_ros.learn.given import given_recordings
from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import LearnOptions, Places
from mvloc_ros.learn.state import State
from mvloc_ros.learn.step import run_steps
from mvloc_ros.learn.steps_data import poses_step, read_step
from mvloc_ros.recordings import open_folder, topics
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.seven_scenes import FIRST_STAMP_NS
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.pose_source import PoseOptions
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions


def bag(path: Path, *add: Callable[[Recording], None]) -> Path:
    recording = Recording()
    recording.add_images()
    for one in add:
        one(recording)
    return recording.write(path)


def odometry(frame: str) -> Callable[[Recording], None]:
    def add(recording: Recording) -> None:
        build = recording.build
        recording.add_poses("/odom", lambda stamp: build.odometry(stamp, frame, "base_link", base_pose(stamp)))
        recording.add(topics.TF_STATIC, START, build.transform(START, "base_link", FRAME, T_BASE_CAMERA))

    return add


def read(tmp_path: Path, *recordings: Path, **options: object) -> Job:
    chosen = LearnOptions(recordings, tmp_path / "model", **options)
    places = Places(chosen.out)
    places.frames.mkdir(parents=True, exist_ok=True)
    job = Job(chosen, places, tuple(given_recordings(recordings, chosen.trajectories, places.frames)))
    read_step(job).work()
    return job


def test_a_recording_with_poses_becomes_a_posed_folder(tmp_path: Path):
    job = read(tmp_path, bag(tmp_path / "walk", add_pose_topic), force=True)
    assert not job.poses_are_made
    assert job.folders == [tmp_path / "model.learn" / "frames" / "walk"]
    assert len(list(open_folder(job.folders[0]).frames())) == COUNT
    assert poses_step(job).idle() == "the recordings have them"


def test_odometry_alone_is_no_poses_but_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = bag(tmp_path / "walk", odometry("odom"))
    job = read(tmp_path, path)
    assert job.poses_are_made
    assert f"{path} has no poses, so that they are made from the images." in capsys.readouterr().out
    assert poses_step(job).idle() == ""
    assert job.folders == [tmp_path / "model.learn" / "posed"]
    (sequence,) = open_bare_folder(job.given[0].folder).sequences
    np.testing.assert_allclose(
        sequence.odometry.poses, [base_pose(START + i * PERIOD) for i in range(COUNT)], atol=1e-6
    )


def test_odometry_in_the_map_or_by_name_is_taken_as_it_is(tmp_path: Path):
    job = read(tmp_path, bag(tmp_path / "walk", odometry("map")), force=True)
    assert not job.poses_are_made
    shutil.rmtree(tmp_path / "model.learn")
    named = DatasetOptions(poses=PoseOptions(source="/odom"))
    job = read(tmp_path, bag(tmp_path / "other", odometry("odom")), force=True, conversion=named)
    assert not job.poses_are_made


def test_several_sources_ask_for_one(tmp_path: Path):
    path = bag(tmp_path / "walk", odometry("map"), add_pose_topic)
    with pytest.raises(RecordingError, match=r"has 2 sources of poses, /odom, /pose: choose one with --poses"):
        read(tmp_path, path)


def test_poses_can_be_left_unread(tmp_path: Path, walk: Path):
    unread = DatasetOptions(poses=PoseOptions(source="none"))
    job = read(tmp_path, bag(tmp_path / "bag", add_pose_topic), walk, conversion=unread, test_fraction=0.3)
    assert job.poses_are_made
    assert not list(job.given[0].folder.rglob("*.pose.txt"))


def test_recordings_with_and_without_poses_do_not_mix(tmp_path: Path, walk: Path):
    path = bag(tmp_path / "bare")
    with pytest.raises(LearnError, match=r"walk has poses and .*bare has none: give --poses none, so that the"):
        read(tmp_path, walk, path)


def test_a_trajectory_poses_a_folder_of_images(tmp_path: Path, walk: Path):
    images = tmp_path / "images"
    shutil.copytree(walk, images, ignore=shutil.ignore_patterns("*.pose.txt"))
    assert read(tmp_path, images).poses_are_made
    poses = np.array([pose_at(i / RATE_HZ) for i in range(FRAMES)])
    stamps = FIRST_STAMP_NS + np.round(np.arange(FRAMES) * 1e9 / RATE_HZ).astype(np.int64)
    write_tum(tmp_path / "poses.txt", Trajectory(stamps, poses))
    job = read(tmp_path, images, trajectories=(TrajectoryOptions(tmp_path / "poses.txt"),))
    assert job.folders == [tmp_path / "model.learn" / "frames" / "images"]
    found = [frame.T_map_camera for frame in open_folder(job.folders[0]).frames()]
    np.testing.assert_allclose(found, poses, atol=1e-6)


def test_images_alone_are_posed_and_that_is_not_done_again(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Sixty frames of a real recording, whose ground truth is not there."""
    pytest.importorskip("gtsam", reason="poses are found with gtsam, which is not installed")
    source, images = shared_data / "tum_fr1_half" / "rgbd_dataset_freiburg1_xyz", tmp_path / "images"
    images.mkdir()
    for name in ("rgb", "depth"):
        (images / name).symlink_to(source / name)
        (images / f"{name}.txt").write_text("\n".join((source / f"{name}.txt").read_text().splitlines()[:63]) + "\n")
    options = LearnOptions((images,), tmp_path / "model")
    for said in ("[2/2] poses\n", "[2/2] poses: done already\n"):
        places = Places(options.out)
        places.frames.mkdir(parents=True, exist_ok=True)
        job = Job(options, places, tuple(given_recordings((images,), (), places.frames)))
        run_steps([read_step(job), poses_step(job)], State(places.state), lambda _: "")
        assert said in capsys.readouterr().out
    assert (places.posed / "posing.json").is_file()
    assert job.folders == [places.posed]
    assert len(list(open_folder(places.posed).frames())) >= 55
