# SPDX-License-Identifier: Apache-2.0
"""`mvloc bag to-dataset --poses none` keeps the samples of an IMU that can be used, and says what it assumes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin
from synthetic_bag import COUNT, FRAME, PERIOD, START, T_BASE_CAMERA, Recording

from mvloc_ros.cli import main
from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bare_folder import open_bare_folder
from mvloc_ros.recordings.imu.samples import Imu

STEP = 5_000_000
T_BASE_IMU = se3.from_parts([0.1, 0.0, 0.2], quaternion.exp(np.array([0.1, -0.4, 0.3])))
Values = Callable[[float], np.ndarray]


def gyro(seconds: float) -> np.ndarray:
    return np.array([0.1 * np.sin(seconds), -0.3, 0.5 + seconds])


def accel(seconds: float) -> np.ndarray:
    return np.array([0.4, 0.3 * seconds, 9.75])


def add_imu(
    recording: Recording,
    topic: str = "/imu",
    *,
    rate: Values = gyro,
    force: Values = accel,
    frame: str = "imu_link",
    missing: str = "",
    shift_ns: int = 0,
    period: int = STEP,
) -> None:
    for stamp in range(START - 50_000_000, START + COUNT * PERIOD, period):
        seconds = 1e-9 * (stamp - START)
        message = recording.build.imu(stamp + shift_ns, frame, rate(seconds), force(seconds), missing)
        recording.add(topic, stamp, message)


def with_images(ros1: bool = False) -> Recording:
    recording = Recording(ros1)
    recording.add_images()
    return recording


def converted(recording: Recording, tmp_path: Path, *more: str, **how: object) -> Imu | None:
    bag = recording.write(tmp_path / ("office.bag" if recording.ros1 else "bag"), **how)
    assert main(["bag", "to-dataset", str(bag), "--out", str(tmp_path / "out"), "--poses", "none", *more]) == 0
    return open_bare_folder(tmp_path / "out").sequences[0].imu


@pytest.mark.parametrize("kind", ["sqlite3", "mcap", "ros1"])
def test_all_samples_are_kept_with_their_times(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]):
    recording = with_images(kind == "ros1")
    add_imu(recording)
    for child, T in ((FRAME, T_BASE_CAMERA), ("imu_link", T_BASE_IMU)):
        recording.add(topics.TF_STATIC, START, recording.build.transform(START, "base_link", child, T))
    plugin = StoragePlugin.MCAP if kind == "mcap" else StoragePlugin.SQLITE3
    imu = converted(recording, tmp_path, plugin=plugin)
    assert imu is not None
    assert imu.rates is not None
    assert imu.accelerations is not None
    stamps = np.arange(START - 50_000_000, START + COUNT * PERIOD, STEP)
    for part, values in ((imu.rates, gyro), (imu.accelerations, accel)):
        np.testing.assert_array_equal(part.stamps_ns, stamps)
        np.testing.assert_allclose(part.values, [values(1e-9 * (stamp - START)) for stamp in stamps], atol=1e-12)
    np.testing.assert_allclose(imu.R_camera_imu, T_BASE_CAMERA[:3, :3].T @ T_BASE_IMU[:3, :3], atol=1e-8)
    frames = open_bare_folder(tmp_path / "out").sequences[0].frames
    assert [imu.recorded(frame.stamp_ns) for frame in frames] == [START + i * PERIOD for i in range(COUNT)]
    printed = capsys.readouterr().out
    assert "imu: /imu, angular velocity at 200 Hz and acceleration at 200 Hz, over 10 of 10 frames" in printed
    assert "rotation to the camera from /tf_static" in printed
    text = (tmp_path / "out" / "seq-01" / "imu.csv").read_text()
    assert (
        "\nstamp_s,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2\n99.950000000," in text
    )


def test_a_rotation_that_changes_is_not_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """An IMU on the base and a camera on a pan-tilt unit."""
    recording = with_images()
    add_imu(recording, frame="base_link")
    for k in range(COUNT):
        T = T_BASE_CAMERA @ se3.from_parts([0.0, 0.0, 0.0], quaternion.exp(np.array([0.0, 0.02 * k, 0.0])))
        recording.add("/tf", START + k * PERIOD, recording.build.transform(START + k * PERIOD, "base_link", FRAME, T))
    imu = converted(recording, tmp_path)
    assert imu is not None
    assert imu.R_camera_imu is None
    assert "rotation to the camera not in /tf_static, `mvloc pose` estimates it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("how", "kept", "sentence"),
    [
        ({"rate": lambda s: np.rad2deg(gyro(s))}, "accel", "too much for rad/s; it looks like deg/s and is not used"),
        ({"force": lambda s: accel(s) / 9.81}, "gyro", "acceleration has a median of 0.9948 and looks like g (9.81 is"),
        ({"force": lambda s: accel(s) - [0, 0, 9.7]}, "gyro", "is no acceleration with gravity in m/s^2"),
        ({"missing": "accel"}, "gyro", "/imu states that it has no acceleration (covariance -1)"),
        ({"missing": "gyro"}, "accel", "/imu states that it has no angular velocity (covariance -1)"),
        ({"rate": lambda _: np.zeros(3)}, "accel", "the angular velocity never changes and is not used"),
        ({"force": lambda s: accel(s) * (np.nan if 0.1 < s < 0.112 else 1.0)}, "both", "2 samples of the acceleration"),
    ],
    ids=["deg/s", "g", "without gravity", "no accelerometer", "no gyroscope", "zeros", "NaN"],
)
def test_what_cannot_be_used_is_left_out_and_said(
    tmp_path: Path, how: dict, kept: str, sentence: str, capsys: pytest.CaptureFixture[str]
):
    recording = with_images()
    add_imu(recording, **how)
    imu = converted(recording, tmp_path)
    assert imu is not None
    assert (imu.rates is not None) == (kept in ("gyro", "both"))
    assert (imu.accelerations is not None) == (kept in ("accel", "both"))
    assert sentence in capsys.readouterr().out


def test_two_topics_with_one_sensor_each_are_one_imu(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """As cameras with an IMU publish: their stamps and rates differ, their frames are aligned."""
    recording = with_images()
    add_imu(recording, "/camera/accel/sample", frame="accel_frame", missing="gyro", period=10_000_000, shift_ns=1_000)
    add_imu(recording, "/camera/gyro/sample", frame="gyro_frame", missing="accel")
    for child in ("accel_frame", "gyro_frame"):
        recording.add(topics.TF_STATIC, START, recording.build.transform(START, FRAME, child, T_BASE_IMU))
    imu = converted(recording, tmp_path)
    assert imu is not None
    assert imu.rates is not None
    assert imu.accelerations is not None
    assert (imu.rates.rate_hz, imu.accelerations.rate_hz) == pytest.approx((200.0, 100.0))
    np.testing.assert_allclose(imu.R_camera_imu, T_BASE_IMU[:3, :3], atol=1e-8)
    assert "imu: /camera/gyro/sample and /camera/accel/sample, angular velocity at 200 Hz" in capsys.readouterr().out


def test_the_topic_can_be_chosen_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = with_images()
    add_imu(recording, "/a/imu")
    add_imu(recording, "/b/imu", rate=lambda s: 2.0 * gyro(s))
    first = converted(recording, tmp_path)
    assert "of 2 topics /a/imu is used; --imu-topic chooses another" in capsys.readouterr().out
    second = converted(recording, tmp_path / "second", "--imu-topic", "/b/imu")
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(second.rates.values, 2.0 * first.rates.values)
    assert converted(recording, tmp_path / "none", "--imu-topic", "none") is None
    assert "imu: none (not asked for)" in capsys.readouterr().out
    bag = str(tmp_path / "bag")
    for more, sentence in (
        (["--poses", "none", "--imu-topic", "/c/imu"], "has no message on /c/imu"),
        (["--imu-topic", "/a/imu"], "--imu-topic is for folders without poses: give --poses none, or remove it."),
    ):
        assert main(["bag", "to-dataset", bag, "--out", str(tmp_path / "other"), *more]) == 2
        assert sentence in capsys.readouterr().err


def test_an_imu_of_another_clock_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recording = with_images()
    add_imu(recording, shift_ns=3_600_000_000_000)
    assert converted(recording, tmp_path) is None
    assert "imu: none (/imu has no sample at the time of any image, 3599.05 s apart" in capsys.readouterr().out


def test_no_imu_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert converted(with_images(), tmp_path) is None
    assert "imu: none (the recording has no topic of sensor_msgs/Imu)" in capsys.readouterr().out
    assert not list((tmp_path / "out").rglob("*.csv"))
