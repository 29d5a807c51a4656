# SPDX-License-Identifier: Apache-2.0
"""`mvloc learn` with further cameras: they come from the topics into the folder, the network and the bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.cli import main
from mvloc_ros.demo.write_folder import write_folder
from mvloc_ros.learn.given import given_recordings
from mvloc_ros.learn.job import Job
from mvloc_ros.learn.options import LearnOptions, Places
from mvloc_ros.learn.report.inputs import ReportInputs
from mvloc_ros.learn.report.next_commands import next_commands
from mvloc_ros.learn.state import State
from mvloc_ros.learn.step import run_steps
from mvloc_ros.learn.steps_bundle import export_step, network_step
from mvloc_ros.learn.steps_data import poses_step, read_step
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.from_folder import select_frames, write_bag
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.pose_source import PoseOptions
from mvloc_ros.recordings.to_dataset.sensor_choice import SensorChoice

FRAMES = 30
CHOICES = (SensorChoice("rear", "/camera/rear/image_raw"), SensorChoice("infrared", "/camera/infrared/image_raw"))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few seconds of the demo's robot with its rear color and its infrared camera; one frame lacks the rear image."""
    root = tmp_path_factory.mktemp("rig") / "rig"
    write_folder(root, split="test", frames=FRAMES, sensors="rear,infrared", workers=1, progress=False)
    (root / "seq-09" / "frame-000005.rear.jpg").unlink()
    return root


def job_of(recording: Path, out: Path, tiny: Path, conversion: DatasetOptions) -> Job:
    options = LearnOptions((recording,), out, conversion, quick=True, preset=str(tiny), device="cpu")
    places = Places(out)
    places.frames.mkdir(parents=True)
    return Job(options, places, tuple(given_recordings(options.recordings, options.trajectories, places.frames)))


@pytest.mark.timeout(600)
def test_a_bag_without_poses_becomes_a_bundle_that_takes_its_sensors(rig: Path, tiny: Path, tmp_path: Path) -> None:
    folder = open_folder(rig)
    bare = [replace(frame, T_map_camera=None) for frame in select_frames(folder)]
    write_bag(folder, bare, tmp_path / "bag", progress=False)
    conversion = DatasetOptions(poses=PoseOptions(map_alone=True), sensors=CHOICES)
    job = job_of(tmp_path / "bag", tmp_path / "model", tiny, conversion)
    # The map of such a bundle is that of test/mapping/test_rig_map.py; it needs more frames than are rendered here.
    steps = [read_step(job), poses_step(job), network_step(job), export_step(job)]
    run_steps(steps, State(job.places.state), lambda _: "")
    read = open_bare_folder(job.given[0].folder)
    assert [(sensor.name, sensor.kind) for sensor in read.sensors] == [("rear", "color"), ("infrared", "gray")]
    posed = open_folder(job.places.posed)
    assert posed.sensors == read.sensors
    images = [dict(frame.further).keys() for frame in posed.frames()]
    assert len(images) > FRAMES // 2
    assert sum("rear" not in there for there in images) == 1
    assert all("infrared" in there for there in images)
    manifest = read_bundle(job.places.bundle).manifest
    assert [item.sensor.name for item in manifest.sensors] == ["rear", "infrared"]
    for item, sensor in zip(manifest.sensors, folder.sensors, strict=True):
        np.testing.assert_allclose(item.sensor.pose, sensor.pose, atol=1e-6)


def test_a_folder_is_trained_with_what_it_declares(rig: Path, walk: Path, tiny: Path, tmp_path: Path) -> None:
    with_sensors = network_step(job_of(rig, tmp_path / "a", tiny, DatasetOptions())).inputs()
    without = network_step(job_of(walk, tmp_path / "b", tiny, DatasetOptions())).inputs()
    assert [sensor["name"] for sensor in with_sensors["input sensors"]] == ["rear", "infrared"]
    assert "input sensors" not in without


def test_sensors_of_topics_are_refused_of_a_folder(rig: Path, tmp_path: Path, capsys) -> None:
    words = ["learn", str(rig), "--out", str(tmp_path / "model"), "--sensor", "rear:=/rear/image"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--sensor is said of a recording of messages" in said
    assert "camera.json in the folder says what its images are" in said


def test_the_next_commands_name_the_topics_of_the_sensors(rig: Path, tmp_path: Path) -> None:
    folder = open_folder(rig)
    write_bag(folder, select_frames(folder), tmp_path / "bag", progress=False)
    inputs = ReportInputs(
        name="rig", recordings=(str(tmp_path / "bag"),), posed=rig, bundle=tmp_path / "model", evaluation=None,
        posing=None, grid=None, out_html=tmp_path / "a", out_json=tmp_path / "b",
        topics=DatasetOptions(sensors=CHOICES),
    )  # fmt: skip
    launch, replay, _ = next_commands(inputs)
    assert "'sensor_topics:=rear:=/camera/rear/image_raw infrared:=/camera/infrared/image_raw'" in launch.lines[0]
    assert "--sensor rear:=/camera/rear/image_raw --sensor infrared:=/camera/infrared/image_raw" in replay.lines[-1]
