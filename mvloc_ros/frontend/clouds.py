# SPDX-License-Identifier: Apache-2.0
"""sensor_msgs/PointCloud2 to arrays: any order of fields, padding, byte order; from rclpy or rosbags.

sensor_msgs_py says where the fields of a point lie. The points themselves are read through a view of our
own: its `read_points` refuses rows with padding, swaps big-endian data in place and gives an organised cloud
transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.message_data import DecodeError, data_of
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import (
    NEAREST_M,
    image_points,
    measured_points,
    project_pinhole,
    transform_points,
)
from mvloc_ros.limits import MOST_NAMED

_AXES = ("x", "y", "z")
_REASON = 300  # characters of another library's words
# Datatype of sensor_msgs/PointField -> bytes of one value.
_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 8: 8}


def decode_cloud(message: Any, unit_m: float = 0.0) -> NDArray[np.float32]:
    """The points `[N, 3]` float32 in metres in the message's frame; what is no measurement is left out.

    `unit_m` are the metres of one unit of the coordinates; 0 takes REP 118's, which are metres.

    No measurement are points that are not finite, and (0, 0, 0), which drivers of LIDARs send where no echo returned:
    seen from another sensor that would be a surface at the LIDAR's own place.

    Raises:
        DecodeError: the cloud has no x, y, z, or its sizes contradict each other.
    """
    points = _xyz(message, unit_m).reshape(-1, 3)
    return measured_points(points)


def project_cloud(
    message: Any, camera: PinholeCamera, T_camera_cloud: ArrayLike, splat: float = 1.0, unit_m: float = 0.0
) -> NDArray[np.float32]:
    """The depth image `[H, W]` in metres that a camera has of a cloud; 0 where no point fell. As in training.

    Args:
        message: sensor_msgs/PointCloud2, organised or not.
        camera: whose image it is to be.
        T_camera_cloud: 4x4, the cloud's frame in the camera's optical frame.
        splat: width and height in pixels of what a point covers.
        unit_m: as in `decode_cloud`.

    Raises:
        DecodeError: what `decode_cloud` refuses.
    """
    same_size = (int(message.height), int(message.width)) == (camera.height, camera.width)
    if same_size and splat == 1.0 and np.array_equal(T_camera_cloud, np.eye(4)):
        points = _xyz(message, unit_m)
        if _is_image_of(points, camera):
            z = points[:, :, 2]
            return np.where(np.isfinite(z) & (z > NEAREST_M), z, np.float32(0.0))
    return project_pinhole(transform_points(T_camera_cloud, decode_cloud(message, unit_m)), camera, splat)


def _is_image_of(points: NDArray[np.float32], camera: PinholeCamera) -> bool:
    """Whether a cloud of the camera's size is its depth image, so that nothing need be projected.

    Told from every eighth row and column: each point must lie in the pixel whose place in the cloud it has.
    """
    v, u = (grid[4::8, 4::8] for grid in np.mgrid[: camera.height, : camera.width])
    sample = points[4::8, 4::8].astype(np.float64)
    seen = np.isfinite(sample).all(axis=-1) & (sample[..., 2] > NEAREST_M)
    at_u, at_v = image_points(sample[seen], camera)
    return bool(seen.any() and np.abs(at_u - u[seen]).max() < 0.5 and np.abs(at_v - v[seen]).max() < 0.5)


def _xyz(message: Any, unit_m: float) -> NDArray[np.float32]:
    """`[height, width, 3]` float32 in metres, copied out of the message."""
    height, width = int(message.height), int(message.width)
    if height < 1 or width < 1:
        return np.zeros((max(height, 0), max(width, 0), 3), dtype=np.float32)
    point = _point_type(message)
    # Drivers of unorganised clouds leave row_step at 0 now and then: rows then follow each other.
    row_step = int(message.row_step) or width * point.itemsize
    data = data_of(message)
    if row_step < width * point.itemsize or data.size < (height - 1) * row_step + width * point.itemsize:
        raise DecodeError(
            f"A cloud of {width}x{height} points of {point.itemsize} bytes has rows of {row_step} bytes and "
            f"{data.size} bytes in all; the driver or the recording is faulty."
        )
    points = np.ndarray((height, width), dtype=point, buffer=data, strides=(row_step, point.itemsize))
    with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes infinite: no measurement
        xyz = np.stack([points[axis].astype(np.float32) for axis in _AXES], axis=-1)
        return xyz if unit_m in (0.0, 1.0) else xyz * np.float32(unit_m)


def _point_type(message: Any) -> np.dtype[Any]:
    """The structured type of one point, in the message's byte order and `point_step` bytes long."""
    try:
        from sensor_msgs_py.point_cloud2 import dtype_from_fields
    except ImportError as error:
        raise DecodeError(
            f"Point clouds are read through sensor_msgs_py, which is not installed ({error}); install ROS's "
            "sensor_msgs_py or use a depth image topic."
        ) from error
    names = {field.name: None for field in message.fields}
    missing = [axis for axis in _AXES if axis not in names]
    if missing:
        named = ", ".join(repr(shown(name)) for name in list(names)[:MOST_NAMED])
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        raise DecodeError(
            f"The cloud has no field {missing[0]!r} (it has {named or 'none'}{more}); "
            "check that the topic carries x, y, z points."
        )
    axes = [field for field in message.fields if field.name in _AXES]
    try:
        # The library writes each of a field's `count` values out, so a damaged count would keep it busy for ever.
        _check_extents(message)
        point = np.dtype(dtype_from_fields(axes, point_step=int(message.point_step)))
    except Exception as error:  # by distribution and NumPy: AssertionError, KeyError, OverflowError, TypeError ...
        raise DecodeError(
            f"The fields of the cloud contradict its points of {message.point_step} bytes ({shown(error, _REASON)}); "
            "the driver or the recording is faulty."
        ) from error
    if any(point[axis].kind != "f" for axis in _AXES):
        raise DecodeError("The cloud's x, y, z are no floating-point numbers in metres; check the topic.")
    return point.newbyteorder(">" if message.is_bigendian else "<")


def _check_extents(message: Any) -> None:
    """ValueError for a field that does not lie within a point, or an axis of several values."""
    for field in message.fields:
        end = int(field.offset) + int(field.count) * _BYTES.get(int(field.datatype), 1)
        if end > message.point_step:
            raise ValueError(f"the field {shown(field.name)!r} of {field.count} value(s) ends at byte {end}")
        if field.name in _AXES and field.count != 1:
            raise ValueError(f"the field {shown(field.name)!r} has {field.count} values")
