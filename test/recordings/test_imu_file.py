# SPDX-License-Identifier: Apache-2.0
"""The files of an IMU beside the images: what is read, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvloc_ros.recordings import RecordingError
from mvloc_ros.recordings.imu.imu_file import read_accelerometer, read_image_times, read_imu, write_imu
from mvloc_ros.recordings.imu.samples import Imu, Readings, checked_accelerations, checked_rates

HEADER = "stamp_s,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2"
STAMPS = 1_700_000_000_123_456_789 + 5_000_000 * np.arange(40, dtype=np.int64)


def readings(scale: float, offset: float = 0.0, every: int = 1) -> Readings:
    values = scale * np.random.default_rng(0).standard_normal((40, 3)) + [0.0, 0.0, offset]
    return Readings(STAMPS[::every], values[::every])


def written(path: Path, *rows: str, header: str = HEADER) -> Path:
    lines = [f"{0.005 * k:.3f},0.1,{0.01 * k},0,0,0,9.8" for k in range(20)]
    path.write_text("\n".join([header, *lines, *rows]) + "\n")
    return path


def test_what_is_written_is_read_back(tmp_path: Path):
    """Both sensors with stamps of their own, to the nanosecond and the last digit."""
    R = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])
    imu = Imu(readings(0.3), readings(0.2, 9.81, every=2), R)
    write_imu(tmp_path / "imu.csv", imu, ("of a test",))
    found = read_imu(tmp_path / "imu.csv")
    for part, wanted in ((found.rates, imu.rates), (found.accelerations, imu.accelerations)):
        np.testing.assert_array_equal(part.stamps_ns, wanted.stamps_ns)
        np.testing.assert_array_equal(part.values, wanted.values)
    np.testing.assert_allclose(found.R_camera_imu, R, atol=1e-9)
    assert found.remarks == ()


def test_a_file_with_one_sensor_is_enough(tmp_path: Path):
    path = tmp_path / "imu.csv"
    path.write_text(
        "stamp_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2\n" + "".join(f"0.{k:02d},0,{k}e-3,9.8\n" for k in range(20))
    )
    found = read_imu(path)
    assert found.rates is None
    assert len(found.accelerations.stamps_ns) == 20


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEADER.replace("rad_s", "deg_s"), "must name the columns stamp_s, gyro_x_rad_s"),
        ("timestamp,wx,wy,wz,ax,ay,az", "convert other units"),
        (HEADER + ",temperature", "must name the columns"),
        ("stamp_s", "must name the columns"),
        (HEADER + "\n1.0,0,0,0,0,0", "Line 2 of .* has 6 columns and its header 7"),
        (HEADER + "\n1.0,0,0,0,0,0,down", "Line 2 of .* has 'down' in the place of a number"),
        (HEADER + "\nnoon,0,0,0,0,0,9.8", "The times in .* cannot be used: 'noon' is not a number"),
        ("# R_camera_imu 1 0 0 0 1 0 0 0\n" + HEADER, "Line 1 of .* has no rotation matrix behind R_camera_imu"),
        ("# R_camera_imu 2 0 0 0 1 0 0 0 1\n" + HEADER, "has no rotation matrix"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, sentence: str):
    (tmp_path / "imu.csv").write_text(text + "\n")
    with pytest.raises(RecordingError, match=sentence):
        read_imu(tmp_path / "imu.csv")


def test_samples_that_cannot_be_are_left_out_and_counted(tmp_path: Path):
    path = written(tmp_path / "imu.csv", "0.050,0.1,0,0,0,0,9.8", "0.200,nan,0,0,0,0,inf", "0.500,0.1,0,0,0,0,9.7")
    found = read_imu(path)
    assert found.rates is not None
    assert len(found.rates.stamps_ns) == 21
    assert set(found.remarks) == {
        f"1 samples of the {name} are left out: a number is not finite" for name in ("angular velocity", "acceleration")
    } | {
        f"1 samples of the {name} are left out: their stamps do not increase"
        for name in ("angular velocity", "acceleration")
    } | {f"the {name} has 1 gaps of up to 0.41 s" for name in ("angular velocity", "acceleration")}  # fmt: skip


@pytest.mark.parametrize(
    ("scale", "looks"),
    [(1.0, None), (1 / 9.81, "looks like g"), (100.0, "looks like cm/s^2"), (1000.0, "looks like mm/s^2"),
     (0.5, "is no acceleration with gravity"), (0.9, None), (1.1, None)],
)  # fmt: skip
def test_units_of_acceleration(scale: float, looks: str | None):
    part = readings(0.3, 9.81)
    found, remarks = checked_accelerations(part.stamps_ns, scale * part.values)
    assert (found is None) == (looks is not None)
    assert (looks or "") in " ".join(remarks)


@pytest.mark.parametrize(("scale", "usable"), [(0.5, True), (2.0, True), (57.3, False)])
def test_units_of_angular_velocity(scale: float, usable: bool):
    part = readings(scale)
    found, remarks = checked_rates(part.stamps_ns, part.values)
    assert (found is not None) == usable
    assert usable or "looks like deg/s" in remarks[0]


def test_the_accelerometer_of_a_tum_recording(tmp_path: Path):
    path = tmp_path / "accelerometer.txt"
    lines = [f"{1305031098.5 + 0.002 * k:.6f} 0.2 {-9.6 - 0.01 * k:.3f} 1.1" for k in range(30)]
    path.write_text("# accelerometer data\n# timestamp ax ay az\n" + "\n".join(lines) + "\n")
    found = read_accelerometer(path)
    assert found.rates is None
    assert found.accelerations.stamps_ns[0] == 1305031098_500000000
    assert found.accelerations.values[0].tolist() == [0.2, -9.6, 1.1]
    path.write_text("1.0 0 0\n")
    with pytest.raises(RecordingError, match=r"Line 1 of .* has 3 columns, not `timestamp ax ay az`"):
        read_accelerometer(path)


def test_times_of_images(tmp_path: Path):
    path = tmp_path / "image_times.csv"
    path.write_text("frame,stamp_s\n0,1700000000.100000001\n2,1700000000.3\n")
    assert read_image_times(path) == {0: 1_700_000_000_100_000_001, 2: 1_700_000_000_300_000_000}
    path.write_text("0,2.0\n1,1.0\n")
    with pytest.raises(RecordingError, match="do not increase with the frames"):
        read_image_times(path)
    path.write_text("zero,2.0\n")
    with pytest.raises(RecordingError, match=r"Line 1 of .* is 'zero,2.0', not the number of a frame"):
        read_image_times(path)
