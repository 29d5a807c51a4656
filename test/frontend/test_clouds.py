# SPDX-License-Identifier: Apache-2.0
"""PointCloud2 messages to points: every layout, and damage."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.frontend.clouds import decode_cloud, project_cloud
from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import project_pinhole, transform_points, unproject
from mvloc_ros.recordings.typestore import new_typestore

CLOUD, FIELD = "sensor_msgs/msg/PointCloud2", "sensor_msgs/msg/PointField"
FLOAT32, FLOAT64, UINT16, INT32 = 7, 8, 4, 5
KINDS = {FLOAT32: "f4", FLOAT64: "f8", UINT16: "u2", INT32: "i4"}


def cloud(
    points: np.ndarray,
    *,
    order: str = "xyz",
    kind: int = FLOAT32,
    gap: int = 0,
    tail: int = 0,
    row_padding: int = 0,
    big_endian: bool = False,
    extra: bool = False,
) -> SimpleNamespace:
    """A cloud of `[height, width, 3]`, with rubbish between fields, points and rows."""
    swap = ">" if big_endian else "<"
    fields, offset = [], 0
    if extra:
        fields.append(SimpleNamespace(name="ring", offset=0, datatype=UINT16, count=1))
        offset = 2
    for name in order:
        fields.append(SimpleNamespace(name=name, offset=offset, datatype=kind, count=1))
        offset += int(KINDS[kind][1]) + gap
    step = offset + tail
    height, width = points.shape[:2]
    row_step = width * step + row_padding
    data = np.full((height, row_step), 0xA5, np.uint8)
    for row in range(height):
        for column in range(width):
            for field in fields[-3:]:
                value = np.array(points[row, column, "xyz".index(field.name)]).astype(swap + KINDS[kind])
                at = column * step + field.offset
                data[row, at : at + value.itemsize] = np.frombuffer(value.tobytes(), np.uint8)
    return SimpleNamespace(
        height=height,
        width=width,
        fields=fields,
        is_bigendian=big_endian,
        point_step=step,
        row_step=row_step,
        data=data.reshape(-1).tobytes(),
        is_dense=False,
    )


@settings(deadline=None)
@given(
    order=st.permutations("xyz").map("".join),
    kind=st.sampled_from([FLOAT32, FLOAT64]),
    gap=st.integers(0, 5),
    tail=st.integers(0, 9),
    row_padding=st.integers(0, 7),
    big_endian=st.booleans(),
    extra=st.booleans(),
    height=st.integers(1, 3),
    width=st.integers(1, 4),
    seed=st.integers(0, 999),
)
def test_points_of_every_layout_are_read(
    order, kind, gap, tail, row_padding, big_endian, extra, height, width, seed,
):  # fmt: skip
    points = np.random.default_rng(seed).normal(size=(height, width, 3)).astype(np.float32)
    message = cloud(points, order=order, kind=kind, gap=gap, tail=tail, row_padding=row_padding,
                    big_endian=big_endian, extra=extra)  # fmt: skip
    decoded = decode_cloud(message)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, points.reshape(-1, 3))


def test_points_without_a_measurement_are_left_out():
    points = np.arange(12, dtype=np.float64).reshape(1, 4, 3)
    points[0, 1, 2], points[0, 2, 0] = np.nan, np.inf
    np.testing.assert_array_equal(decode_cloud(cloud(points)), points[0, [0, 3]])
    points[0, 0, 0] = 1e300  # more than float32 holds
    np.testing.assert_array_equal(decode_cloud(cloud(points, kind=FLOAT64)), points[0, [3]])


def test_points_at_the_sensor_itself_are_no_measurement():
    """Drivers of LIDARs send (0, 0, 0) for no return; half a metre behind the camera's plane that is no surface."""
    camera = PinholeCamera(12, 10, 5.0, 5.0, 5.5, 4.5)
    T_camera_lidar = np.eye(4)
    T_camera_lidar[2, 3] = 0.5
    message = cloud(np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 2.0], [0.0, 0.0, 0.0]]]))
    np.testing.assert_array_equal(decode_cloud(message), [[1.0, 0.0, 2.0]])
    depth = project_cloud(message, camera, T_camera_lidar)
    assert (np.count_nonzero(depth), depth.max()) == (1, 2.5)


def test_an_absurd_count_of_a_field_costs_no_time():
    message = cloud(np.ones((1, 4, 3)), extra=True)
    for name in ("ring", "x"):
        fields = [SimpleNamespace(**vars(field)) for field in message.fields]
        next(field for field in fields if field.name == name).count = 2**32 - 1
        started = time.process_time()
        with pytest.raises(DecodeError, match=f"'{name}' of 4294967295 value.s. ends at byte"):
            decode_cloud(SimpleNamespace(**{**vars(message), "fields": fields}))
        assert time.process_time() - started < 1.0


def test_an_empty_cloud_has_no_points():
    message = SimpleNamespace(height=0, width=0, fields=[], is_bigendian=False, point_step=0, row_step=0, data=b"")
    assert decode_cloud(message).shape == (0, 3)


def test_row_step_of_zero_means_rows_that_follow_each_other():
    points = np.random.default_rng(3).normal(size=(1, 5, 3)).astype(np.float32)
    message = cloud(points)
    message.row_step = 0
    np.testing.assert_array_equal(decode_cloud(message), points[0])


def depth_cloud(camera: PinholeCamera, **layout: Any) -> tuple[np.ndarray, SimpleNamespace]:
    """A depth image with one hole, and the organised cloud that its driver would send."""
    depth = np.random.default_rng(4).uniform(1.0, 5.0, (camera.height, camera.width)).astype(np.float32)
    depth[1, 2] = np.nan
    points = np.full((camera.height, camera.width, 3), np.nan)
    points[np.isfinite(depth)] = unproject(depth, camera)
    return np.nan_to_num(depth), cloud(points, **layout)


@pytest.mark.parametrize("big_endian", [False, True])
def test_an_organised_cloud_of_the_camera_is_its_depth_image(big_endian):
    camera = PinholeCamera(12, 10, 5.0, 5.0, 5.5, 4.5)
    depth, message = depth_cloud(camera, row_padding=3, big_endian=big_endian)
    np.testing.assert_array_equal(project_cloud(message, camera, np.eye(4)), depth)
    np.testing.assert_array_equal(project_pinhole(decode_cloud(message), camera), depth)


@pytest.mark.parametrize("change", ["camera", "order", "pose"])
def test_an_organised_cloud_that_is_no_image_of_the_camera_is_projected(change):
    camera = PinholeCamera(12, 10, 5.0, 5.0, 5.5, 4.5)
    depth, message = depth_cloud(camera)
    T = np.eye(4)
    if change == "camera":
        camera = PinholeCamera(12, 10, 7.0, 7.0, 5.5, 4.5)
    elif change == "order":
        data = np.frombuffer(message.data, np.uint8).reshape(120, -1)
        message.data = data[np.random.default_rng(0).permutation(120)].tobytes()
    else:
        T[2, 3] = 1.0
    projected = project_cloud(message, camera, T)
    expected = project_pinhole(transform_points(T, decode_cloud(message)), camera)
    np.testing.assert_array_equal(projected, expected)
    assert np.array_equal(projected, depth) == (change == "order")


def test_a_cloud_in_millimetres_is_projected_in_metres():
    camera = PinholeCamera(12, 10, 5.0, 5.0, 5.5, 4.5)
    depth, message = depth_cloud(camera)
    values = np.frombuffer(message.data, np.float32) * np.float32(1000.0)
    message.data = values.tobytes()
    np.testing.assert_allclose(project_cloud(message, camera, np.eye(4), unit_m=1e-3), depth, rtol=1e-6)
    T = np.eye(4)
    T[2, 3] = 1.0
    moved = project_cloud(message, camera, T, unit_m=1e-3)
    np.testing.assert_allclose(decode_cloud(message, 1e-3), values.reshape(-1, 3)[depth.reshape(-1) > 0] * 1e-3)
    assert 2.0 <= moved[moved > 0].min() < moved.max() <= 6.0


def test_a_splat_covers_more_pixels():
    camera = PinholeCamera(12, 10, 5.0, 5.0, 5.5, 4.5)
    message = cloud(np.array([[[0.0, 0.0, 2.0]]]))
    assert np.count_nonzero(project_cloud(message, camera, np.eye(4))) == 1
    assert np.count_nonzero(project_cloud(message, camera, np.eye(4), splat=3.0)) == 9


def test_messages_of_rclpy_and_of_rosbags_are_read():
    points = np.random.default_rng(5).normal(size=(20, 3)).astype(np.float32)
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2")
    from std_msgs.msg import Header

    message = point_cloud2.create_cloud_xyz32(Header(frame_id="lidar"), points)
    np.testing.assert_array_equal(decode_cloud(message), points)
    store = new_typestore()
    types = store.types
    fields = [types[FIELD](name=f.name, offset=f.offset, datatype=f.datatype, count=f.count) for f in message.fields]
    header = types["std_msgs/msg/Header"](
        stamp=types["builtin_interfaces/msg/Time"](sec=1, nanosec=2), frame_id="lidar"
    )
    recorded = types[CLOUD](
        header=header,
        height=1,
        width=20,
        fields=fields,
        is_bigendian=sys.byteorder == "big",
        point_step=12,
        row_step=240,
        data=np.frombuffer(message.data, np.uint8),
        is_dense=True,
    )
    again = store.deserialize_cdr(store.serialize_cdr(recorded, CLOUD), CLOUD)
    np.testing.assert_array_equal(decode_cloud(again), points)


def damaged(**changes: object) -> SimpleNamespace:
    message = cloud(np.zeros((2, 3, 3)))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (damaged(fields=[]), "no field 'x' .it has none.; check that the topic"),
        (damaged(fields=damaged().fields[:2]), "no field 'z' .it has 'x', 'y'."),
        (damaged(data=b"\0" * 50), "rows of 36 bytes and 50 bytes in all; the driver or the recording"),
        (damaged(row_step=20), "has rows of 20 bytes"),
        (damaged(point_step=8), "contradict its points of 8 bytes"),
        (damaged(fields=[*damaged().fields, damaged().fields[0]]), "contradict its points"),
        (damaged(fields=[SimpleNamespace(name=n, offset=0, datatype=99, count=1) for n in "xyz"]), "contradict"),
        (damaged(fields=[SimpleNamespace(name=n, offset=0, datatype=FLOAT32, count=2) for n in "xyz"]), "has 2 values"),
        (cloud(np.zeros((1, 2, 3)), kind=INT32), "no floating-point numbers in metres"),
    ],
)  # fmt: skip
def test_damaged_clouds_are_explained(message, sentence):
    with pytest.raises(DecodeError, match=sentence):
        decode_cloud(message)
