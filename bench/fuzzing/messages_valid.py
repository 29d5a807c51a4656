# SPDX-License-Identifier: Apache-2.0
"""Valid messages of every type that the node or a recording's reader takes."""

from __future__ import annotations

import array
import struct
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField

from bench.fuzzing.scene import CAMERA, START_NS, color_of, depth_of, encoded, pose_of
from mvloc_ros.frontend.rvl import encode_rvl
from mvloc_ros.geometry import se3

FRAME = "camera_optical_frame"
RVL, DEPTH_PNG = "16UC1; compressedDepth rvl", "16UC1; compressedDepth png"
QUANTISED = "32FC1; compressedDepth png"


def stamped(message: Any, stamp_ns: int = START_NS, frame: str = FRAME) -> Any:
    """The message with its header filled in."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)
    message.header.frame_id = frame
    return message


def image(pixels: NDArray[Any], encoding: str) -> Image:
    """sensor_msgs/Image of an array `[H, W]` or `[H, W, C]`."""
    height, width = pixels.shape[:2]
    data = array.array("B", np.ascontiguousarray(pixels).tobytes())
    return stamped(Image(height=height, width=width, encoding=encoding, step=len(data) // height, data=data))


def images() -> list[Image]:
    """Colour and depth in the encodings that are read in place, and one that cv_bridge reads."""
    color, depth = color_of(0), depth_of(0)
    return [
        image(color, "rgb8"),
        image(color, "bgr8"),
        image(color[:, :, 0], "mono8"),
        image(np.dstack([color, color[:, :, :1]]), "bgra8"),
        image(color[:, :, 0], "bayer_rggb8"),
        image(depth, "16UC1"),
        image(depth.astype(np.float32) / 1000, "32FC1"),
    ]


def compressed() -> list[CompressedImage]:
    """Colour and depth of the transports."""
    color, depth = encoded(color_of(0), ".jpg"), encoded(depth_of(0), ".png")
    parts = [
        ("rgb8; jpeg compressed bgr8", color),
        ("png", encoded(color_of(0), ".png")),
        (DEPTH_PNG, struct.pack("<iff", 0, 0.0, 0.0) + depth),
        (QUANTISED, struct.pack("<iff", 0, 10000.0, 0.0) + depth),
        (RVL, rvl_payload()),
    ]
    return [stamped(CompressedImage(format=name, data=array.array("B", data))) for name, data in parts]


def rvl_payload() -> bytes:
    """Depth in RVL as the transport sends it."""
    depth = depth_of(0)
    head = struct.pack("<iff", 1, 0.0, 0.0) + struct.pack("<II", depth.shape[1], depth.shape[0])
    return head + bytes(encode_rvl(depth).tobytes())


def camera_info() -> CameraInfo:
    """Of the scene's camera, a little distorted."""
    k = CAMERA.matrix()
    message = CameraInfo(
        height=CAMERA.height,
        width=CAMERA.width,
        distortion_model="plumb_bob",
        d=[0.01, -0.001, 0.0, 0.0, 0.0],
        k=k.reshape(-1).tolist(),
        r=np.eye(3).reshape(-1).tolist(),
        p=np.hstack([k, np.zeros((3, 1))]).reshape(-1).tolist(),
    )
    return stamped(message)


def pose_with_covariance() -> PoseWithCovarianceStamped:
    """An initial pose."""
    message = stamped(PoseWithCovarianceStamped(), frame="map")
    _fill(message.pose.pose.position, message.pose.pose.orientation)
    message.pose.covariance = np.diag([0.25, 0.25, 0.25, 0.07, 0.07, 0.07]).reshape(-1).tolist()
    return message


def transform() -> TransformStamped:
    """Odometry."""
    message = stamped(TransformStamped(child_frame_id="base_link"), frame="odom")
    _fill(message.transform.translation, message.transform.rotation)
    return message


def cloud(width: int = 64, height: int = 48, kind: str = "<f4") -> PointCloud2:
    """The scene's depth as an organised cloud."""
    v, u = np.mgrid[:height, :width]
    z = depth_of(0)[:height, :width] / 1000.0
    points = np.stack([(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z], axis=-1).astype(kind)
    item = points.itemsize
    datatype = PointField.FLOAT32 if item == 4 else PointField.FLOAT64
    fields = [PointField(name=name, offset=item * i, datatype=datatype, count=1) for i, name in enumerate("xyz")]
    data = array.array("B", points.tobytes())
    message = PointCloud2(height=height, width=width, fields=fields, is_bigendian=kind[0] == ">", is_dense=True)
    message.point_step, message.row_step, message.data = 3 * item, 3 * item * width, data
    return stamped(message)


def _fill(position: Any, orientation: Any) -> None:
    metres, quaternion = se3.to_parts(pose_of(0))
    position.x, position.y, position.z = metres.tolist()
    orientation.x, orientation.y, orientation.z, orientation.w = quaternion.tolist()
