# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs_py.point_cloud2: clouds in any layout of fields."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Header

NUMPY_TYPES = {
    PointField.INT8: np.int8,
    PointField.UINT8: np.uint8,
    PointField.INT16: np.int16,
    PointField.UINT16: np.uint16,
    PointField.INT32: np.int32,
    PointField.UINT32: np.uint32,
    PointField.FLOAT32: np.float32,
    PointField.FLOAT64: np.float64,
}
XYZ = [
    PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1) for place, name in enumerate("xyz")
]
POINTS = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, np.nan, 9.0], [10.0, 11.0, 12.0]], np.float32)


def by_hand(
    fields: list[PointField], rows: list[dict[str, Any]], step: int, height: int = 1, big_endian: bool = False
) -> PointCloud2:
    """A cloud written byte by byte; what no field covers is 0xA5."""
    data = bytearray(b"\xa5" * (step * len(rows)))
    for place, row in enumerate(rows):
        for field in fields:
            kind = np.dtype(NUMPY_TYPES[field.datatype]).newbyteorder(">" if big_endian else "<")
            value = np.atleast_1d(np.asarray(row[field.name], kind)).tobytes()
            start = place * step + field.offset
            data[start : start + len(value)] = value
    width = len(rows) // height
    return PointCloud2(
        height=height,
        width=width,
        fields=fields,
        is_bigendian=big_endian,
        point_step=step,
        row_step=step * width,
        is_dense=False,
        data=array("B", bytes(data)),
    )


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[PointField], list[dict[str, Any]], int]:
    """Fields of any types in any order with gaps between them, and points in it."""
    names = draw(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6, unique=True))
    fields, offset = [], 0
    for name in names:
        offset += draw(st.integers(0, 3))
        datatype = draw(st.sampled_from(sorted(NUMPY_TYPES)))
        fields.append(PointField(name=name, offset=offset, datatype=datatype, count=1))
        offset += np.dtype(NUMPY_TYPES[datatype]).itemsize
    step = offset + draw(st.integers(0, 5))
    count = draw(st.integers(0, 6))
    rows = [{name: draw(st.integers(0, 100)) for name in names} for _ in range(count)]
    order = draw(st.permutations(range(len(fields))))
    return [fields[place] for place in order], rows, step


@settings(deadline=None, max_examples=80)
@given(layout=layouts(), big_endian=st.booleans(), data=st.data())
def test_any_layout(
    layout: tuple[list[PointField], list[dict[str, Any]], int], big_endian: bool, data: st.DataObject
) -> None:
    fields, rows, step = layout
    points = point_cloud2.read_points(by_hand(fields, rows, step, big_endian=big_endian))
    assert points.shape == (len(rows),)
    assert points.dtype.names == tuple(field.name for field in fields)
    for field in fields:
        assert points[field.name].tolist() == [row[field.name] for row in rows]
        assert points.dtype[field.name].newbyteorder("=") == NUMPY_TYPES[field.datatype]
    wanted = data.draw(st.lists(st.sampled_from([field.name for field in fields]), min_size=1, unique=True))
    some = point_cloud2.read_points(by_hand(fields, rows, step, big_endian=big_endian), field_names=wanted)
    assert some.dtype.names == tuple(wanted)
    assert [list(point) for point in some.tolist()] == [[row[name] for name in wanted] for row in rows]


@pytest.fixture
def cloud() -> PointCloud2:
    return point_cloud2.create_cloud_xyz32(Header(frame_id="lidar"), POINTS)


def test_xyz32(cloud: PointCloud2) -> None:
    assert cloud.header.frame_id == "lidar"
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 4, 12, 48)
    assert [(field.name, field.offset, field.datatype) for field in cloud.fields] == [
        ("x", 0, PointField.FLOAT32),
        ("y", 4, PointField.FLOAT32),
        ("z", 8, PointField.FLOAT32),
    ]
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), POINTS)


def test_points_may_be_tuples() -> None:
    cloud = point_cloud2.create_cloud_xyz32(Header(), [(1.0, 2.0, 3.0), (4.0, 5.0, 6.0)])
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_nans_are_skipped_on_demand(cloud: PointCloud2) -> None:
    assert len(point_cloud2.read_points(cloud)) == 4
    kept = point_cloud2.read_points_numpy(cloud, skip_nans=True)
    np.testing.assert_array_equal(kept, POINTS[[0, 1, 3]])


def test_nans_only_count_in_the_fields_that_are_read(cloud: PointCloud2) -> None:
    assert len(point_cloud2.read_points(cloud, field_names=["x", "z"], skip_nans=True)) == 4


def test_a_dense_cloud_is_taken_at_its_word(cloud: PointCloud2) -> None:
    cloud.is_dense = True
    assert len(point_cloud2.read_points(cloud, skip_nans=True)) == 4


def test_points_can_be_picked(cloud: PointCloud2) -> None:
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud, uvs=[3, 0]), POINTS[[3, 0]])
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud, uvs=np.array([1])), POINTS[[1]])


def test_the_list_holds_named_tuples(cloud: PointCloud2) -> None:
    points = point_cloud2.read_points_list(cloud, field_names=["z", "x"], skip_nans=True)
    assert [(point.x, point.z) for point in points] == [(1.0, 3.0), (4.0, 6.0), (7.0, 9.0), (10.0, 12.0)]
    assert points[0] == (3.0, 1.0)


def test_an_organized_cloud_keeps_its_order_in_memory() -> None:
    """The released packages reshape to (width, height), so the project reshapes by itself."""
    rows = [{"x": float(value), "y": 0.0, "z": 0.0} for value in range(6)]
    cloud = by_hand(XYZ, rows, 12, height=2)
    flat = point_cloud2.read_points(cloud)
    assert flat.shape == (6,)
    organized = point_cloud2.read_points(cloud, reshape_organized_cloud=True)
    assert sorted(organized.shape) == [2, 3]
    assert organized.ravel()["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_structured_points_of_mixed_types() -> None:
    fields = [
        PointField(name="x", offset=0, datatype=PointField.FLOAT32, count=1),
        PointField(name="ring", offset=4, datatype=PointField.UINT16, count=1),
        PointField(name="time", offset=8, datatype=PointField.FLOAT64, count=1),
    ]
    dtype = point_cloud2.dtype_from_fields(fields)
    assert dtype.itemsize == 16
    points = np.array([(1.5, 7, 1e9), (2.5, 8, 2e9)], dtype=dtype)
    for given_points in (points, [(1.5, 7, 1e9), (2.5, 8, 2e9)]):
        cloud = point_cloud2.create_cloud(Header(), fields, given_points)
        assert cloud.point_step == 16
        assert point_cloud2.read_points(cloud).tolist() == [(1.5, 7, 1e9), (2.5, 8, 2e9)]
    with pytest.raises(AssertionError):
        point_cloud2.read_points_numpy(cloud)


def test_a_step_of_ones_own() -> None:
    cloud = point_cloud2.create_cloud(Header(), XYZ, POINTS, point_step=16)
    assert (cloud.point_step, cloud.row_step, len(cloud.data)) == (16, 64, 64)
    np.testing.assert_array_equal(point_cloud2.read_points_numpy(cloud), POINTS)


def test_types_of_fields() -> None:
    fields = [
        PointField(name="", offset=0, datatype=PointField.UINT8, count=1),
        PointField(name="normal", offset=4, datatype=PointField.FLOAT32, count=3),
    ]
    dtype = point_cloud2.dtype_from_fields(fields, point_step=32)
    assert dtype.itemsize == 32
    assert dtype.names == ("unnamed_field_0", "normal_0", "normal_1", "normal_2")
    offsets: Any = dtype.fields
    assert [offsets[name][1] for name in dtype.names] == [0, 4, 8, 12]


def test_a_field_that_is_not_there(cloud: PointCloud2) -> None:
    with pytest.raises(AssertionError):
        point_cloud2.read_points(cloud, field_names=["x", "intensity"])


def test_fields_of_the_same_name() -> None:
    with pytest.raises(AssertionError):
        point_cloud2.dtype_from_fields([XYZ[0], XYZ[0]])


def test_what_is_no_cloud() -> None:
    with pytest.raises(AssertionError):
        point_cloud2.read_points(Header())
