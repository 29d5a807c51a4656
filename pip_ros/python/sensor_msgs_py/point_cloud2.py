# SPDX-License-Identifier: Apache-2.0
"""Between sensor_msgs/PointCloud2 and NumPy arrays.

As in the package that this stands in for, wrong arguments are AssertionErrors.
"""

from __future__ import annotations

import sys
from array import array
from collections import namedtuple
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured, unstructured_to_structured
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

DUMMY_FIELD_PREFIX = "unnamed_field"
_NUMPY_TYPES: dict[int, np.dtype] = {
    PointField.INT8: np.dtype(np.int8),
    PointField.UINT8: np.dtype(np.uint8),
    PointField.INT16: np.dtype(np.int16),
    PointField.UINT16: np.dtype(np.uint16),
    PointField.INT32: np.dtype(np.int32),
    PointField.UINT32: np.dtype(np.uint32),
    PointField.FLOAT32: np.dtype(np.float32),
    PointField.FLOAT64: np.dtype(np.float64),
}


def _check(holds: bool, what: str) -> None:
    # An assert statement would vanish under python -O; callers of the real package catch this class.
    if not holds:
        raise AssertionError(what)


def dtype_from_fields(fields: Iterable[PointField], point_step: int | None = None) -> np.dtype:
    """The structured type of a point.

    A field with a count of n > 1 becomes n fields with _0 to _(n-1) behind the name; a field without a name becomes
    unnamed_field_(its position).

    :param point_step: bytes from one point to the next; what the fields need unless told.
    """
    names: list[str] = []
    formats: list[np.dtype] = []
    offsets: list[int] = []
    for position, field in enumerate(fields):
        base = field.name or f"{DUMMY_FIELD_PREFIX}_{position}"
        kind = _NUMPY_TYPES[field.datatype]
        _check(field.count > 0, "A field cannot have a count of 0")
        for item in range(field.count):
            name = f"{base}_{item}" if field.count > 1 else base
            _check(name not in names, f"Duplicate field names are not allowed: {name}")
            names.append(name)
            formats.append(kind)
            offsets.append(field.offset + item * kind.itemsize)
    description: Any = {"names": names, "formats": formats, "offsets": offsets}
    if point_step is not None:
        description["itemsize"] = point_step
    return np.dtype(description)


def read_points(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """The points as a structured array, row after row.

    :param field_names: which fields, in this order; all unless told.
    :param skip_nans: leave out the points with a NaN; only looked for where the cloud says that it is not dense.
    :param uvs: indices of the points that are wanted.
    :param reshape_organized_cloud: give a cloud with several rows two dimensions: (width, height), as the released
        packages do. The order in memory stays row after row, so `.ravel().reshape(height, width)` is the image.
    """
    _check(isinstance(cloud, PointCloud2), "Cloud is not a sensor_msgs.msg.PointCloud2")
    _check(
        cloud.height <= 1 or cloud.row_step in (0, cloud.width * cloud.point_step),
        "Rows with padding between them cannot be read",
    )
    dtype = dtype_from_fields(cloud.fields, point_step=cloud.point_step)
    points = np.ndarray(shape=(cloud.width * cloud.height,), dtype=dtype, buffer=cloud.data)
    if field_names is not None:
        missing = [name for name in field_names if name not in (dtype.names or ())]
        _check(not missing, f"Requested fields are not in the point cloud: {missing}")
        points = points[list(field_names)]
    if bool(cloud.is_bigendian) != (sys.byteorder == "big"):
        points = points.byteswap()
    if skip_nans and not cloud.is_dense:
        points = points[~np.any([np.isnan(points[name]) for name in points.dtype.names or ()], axis=0)]
    if uvs is not None:
        points = points[uvs if isinstance(uvs, np.ndarray) else np.fromiter(uvs, int)]
    if reshape_organized_cloud and cloud.height > 1:
        points = points.reshape(cloud.width, cloud.height)
    return points


def read_points_numpy(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
    reshape_organized_cloud: bool = False,
) -> np.ndarray:
    """The points as a plain array [N, fields]; the fields must be of one type."""
    used = [field.datatype for field in cloud.fields if field_names is None or field.name in field_names]
    _check(len(set(used)) <= 1, "All fields need to have the same datatype. Use `read_points()` otherwise.")
    return structured_to_unstructured(read_points(cloud, field_names, skip_nans, uvs, reshape_organized_cloud))


def read_points_list(
    cloud: PointCloud2,
    field_names: Sequence[str] | None = None,
    skip_nans: bool = False,
    uvs: Iterable[int] | None = None,
) -> list[Any]:
    """The points as a list of named tuples."""
    points = read_points(cloud, field_names, skip_nans, uvs)
    point = namedtuple("Point", points.dtype.names or ())  # type: ignore[misc]
    return [point._make(values) for values in points.tolist()]


def create_cloud(
    header: Header, fields: Sequence[PointField], points: Any, point_step: int | None = None
) -> PointCloud2:
    """A cloud from points.

    :param points: a structured array of the fields' own type; or an array [N, fields] where the fields are of one
        type; or a list of tuples.
    :param point_step: bytes from one point to the next; what the fields need unless told.
    """
    dtype = dtype_from_fields(fields, point_step=point_step)
    if not isinstance(points, np.ndarray):
        points = np.array([tuple(point) for point in points], dtype=dtype)
    elif points.dtype.names is None:
        _check(
            all(field.datatype == fields[0].datatype for field in fields),
            "All fields need to have the same datatype. Pass a structured NumPy array otherwise.",
        )
        points = unstructured_to_structured(points, dtype=dtype)
    else:
        _check(points.dtype == dtype, "The fields and the structured NumPy array do not match")
    _check(points.ndim <= 2, "Points can be organized in two dimensions at most")
    width, height = points.shape[0], points.shape[1] if points.ndim == 2 else 1
    return PointCloud2(
        header=header,
        height=height,
        width=width,
        is_dense=False,
        is_bigendian=sys.byteorder == "big",
        fields=list(fields),
        point_step=points.dtype.itemsize,
        row_step=points.dtype.itemsize * width,
        data=array("B", np.ascontiguousarray(points, dtype=dtype).tobytes()),
    )


def create_cloud_xyz32(header: Header, points: Any, step: int | None = None) -> PointCloud2:
    """A cloud of float32 x, y, z."""
    fields = [
        PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
        for place, name in enumerate("xyz")
    ]
    return create_cloud(header, fields, points, step)
