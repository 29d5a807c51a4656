# SPDX-License-Identifier: Apache-2.0
"""Arrays as sensor_msgs/PointCloud2 and sensor_msgs/Image."""

from __future__ import annotations

import array
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from mvloc_ros.node.messages import to_time


def cloud_message(fields: Mapping[str, ArrayLike], stamp_ns: int, frame_id: str) -> PointCloud2:
    """An unorganised cloud of float32 fields, `[N]` each, in the order given; it may be empty."""
    points = np.column_stack([np.asarray(values, np.float32) for values in fields.values()])
    count, width = points.shape
    return PointCloud2(
        header=Header(stamp=to_time(stamp_ns), frame_id=frame_id),
        height=1,
        width=count,
        fields=[
            PointField(name=name, offset=4 * place, datatype=PointField.FLOAT32, count=1)
            for place, name in enumerate(fields)
        ],
        is_bigendian=sys.byteorder == "big",
        point_step=4 * width,
        row_step=4 * width * count,
        data=array.array("B", points.tobytes()),
        is_dense=bool(np.isfinite(points).all()),
    )


def image_message(pixels: NDArray[np.uint8], stamp_ns: int, frame_id: str) -> Image:
    """A bgr8 image of pixels `[H, W, 3]`."""
    height, width = pixels.shape[:2]
    return Image(
        header=Header(stamp=to_time(stamp_ns), frame_id=frame_id),
        height=height,
        width=width,
        encoding="bgr8",
        step=3 * width,
        data=array.array("B", pixels.tobytes()),
    )
