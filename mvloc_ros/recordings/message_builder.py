# SPDX-License-Identifier: Apache-2.0
"""Arrays and poses -> the ROS messages of a recording (as `rosbags` values, no ROS needed)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.typesys.store import Typestore

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.recordings import topics

OPTICAL_ROTATION = (-0.5, 0.5, -0.5, 0.5)
"""Quaternion x, y, z, w from the optical convention (z forward) to REP 103's (x forward)."""
NOMINAL_BASELINE_M = 0.025
"""Colour camera to the right of the depth camera: the Kinect's, which 7-Scenes was recorded with."""


class MessageBuilder:
    """Builds messages of one type store."""

    def __init__(self, store: Typestore) -> None:
        self._types = store.types

    def header(self, stamp_ns: int, frame: str) -> Any:
        """std_msgs/Header."""
        seconds, nanoseconds = divmod(stamp_ns, SECOND_NS)
        stamp = self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)

    def color_image(self, stamp_ns: int, frame: str, rgb: npt.NDArray[np.uint8]) -> Any:
        """sensor_msgs/Image in rgb8 of uint8 [H, W, 3]."""
        return self._image(stamp_ns, frame, "rgb8", rgb)

    def gray_image(self, stamp_ns: int, frame: str, gray: npt.NDArray[np.uint8]) -> Any:
        """sensor_msgs/Image in mono8 of uint8 [H, W]."""
        return self._image(stamp_ns, frame, "mono8", gray)

    def depth_image(self, stamp_ns: int, frame: str, millimetres: npt.NDArray[np.uint16]) -> Any:
        """sensor_msgs/Image in 16UC1 of uint16 [H, W] in millimetres, 0 = invalid (REP 118)."""
        return self._image(stamp_ns, frame, "16UC1", millimetres.astype("<u2", copy=False))

    def _image(self, stamp_ns: int, frame: str, encoding: str, pixels: npt.NDArray[Any]) -> Any:
        height, width = pixels.shape[:2]
        return self._types[topics.IMAGE](
            header=self.header(stamp_ns, frame),
            height=height,
            width=width,
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // height,
            data=np.ascontiguousarray(pixels).view(np.uint8).reshape(-1),
        )

    def camera_info(self, stamp_ns: int, frame: str, camera: PinholeCamera) -> Any:
        """sensor_msgs/CameraInfo of a camera without distortion."""
        k = camera.matrix()
        region = self._types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        )
        return self._types[topics.CAMERA_INFO](
            header=self.header(stamp_ns, frame),
            height=camera.height,
            width=camera.width,
            distortion_model="plumb_bob",
            d=np.zeros(5),
            k=k.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.hstack([k, np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=region,
        )

    def pose(self, stamp_ns: int, frame: str, transform: npt.NDArray[np.float64]) -> Any:
        """geometry_msgs/PoseStamped of a 4x4 transform."""
        position, orientation = se3.to_parts(transform)
        pose = self._types["geometry_msgs/msg/Pose"](
            position=self._types["geometry_msgs/msg/Point"](*map(float, position)),
            orientation=self._types["geometry_msgs/msg/Quaternion"](*map(float, orientation)),
        )
        return self._types[topics.POSE](header=self.header(stamp_ns, frame), pose=pose)

    def static_transforms(
        self,
        stamp_ns: int,
        registered: bool,
        T_color_depth: npt.NDArray[np.float64] | None = None,
        T_base_camera: npt.NDArray[np.float64] | None = None,
        pose_of: str = "color",
        T_color_further: Mapping[str, npt.NDArray[np.float64]] | None = None,
    ) -> Any:
        """tf2_msgs/TFMessage: `camera_link`, which lies in the depth camera, to both optical frames.

        Registered depth is seen from the colour camera, so that both coincide. Otherwise the colour camera is
        where `T_color_depth` says or, where the folder does not state it, at the nominal baseline. With `T_base_camera`
        (of the camera that `pose_of` names) `base_link` to `camera_link` is there as well. `T_color_further` places
        further frames in that of the colour camera.
        """
        T_depth_color = np.eye(4)
        if not registered and T_color_depth is not None:
            T_depth_color = se3.inverse(T_color_depth)
        elif not registered:
            T_depth_color[0, 3] = NOMINAL_BASELINE_M
        T_link_depth = se3.from_parts(np.zeros(3), OPTICAL_ROTATION)
        T_link_color = T_link_depth @ T_depth_color
        transforms = [
            self._transform(stamp_ns, topics.CAMERA_LINK, topics.DEPTH_FRAME, T_link_depth),
            self._transform(stamp_ns, topics.CAMERA_LINK, topics.COLOR_FRAME, T_link_color),
        ]
        for frame, T_color_frame in (T_color_further or {}).items():
            transforms.append(self._transform(stamp_ns, topics.COLOR_FRAME, frame, T_color_frame))
        if T_base_camera is not None:
            T_link_camera = T_link_depth if pose_of == "depth" else T_link_color
            T_base_link = T_base_camera @ se3.inverse(T_link_camera)
            transforms.append(self._transform(stamp_ns, topics.BASE_FRAME, topics.CAMERA_LINK, T_base_link))
        return self._types[topics.TF_MESSAGE](transforms=transforms)

    def odometry(self, stamp_ns: int, T_odom_base: npt.NDArray[np.float64]) -> Any:
        """tf2_msgs/TFMessage: `odom` to `base_link`."""
        transform = self._transform(stamp_ns, topics.ODOM_FRAME, topics.BASE_FRAME, T_odom_base)
        return self._types[topics.TF_MESSAGE](transforms=[transform])

    def _transform(self, stamp_ns: int, parent: str, child: str, T_parent_child: npt.NDArray[np.float64]) -> Any:
        """geometry_msgs/TransformStamped of a 4x4 transform."""
        position, orientation = se3.to_parts(T_parent_child)
        return self._types["geometry_msgs/msg/TransformStamped"](
            header=self.header(stamp_ns, parent),
            child_frame_id=child,
            transform=self._types["geometry_msgs/msg/Transform"](
                translation=self._types["geometry_msgs/msg/Vector3"](*map(float, position)),
                rotation=self._types["geometry_msgs/msg/Quaternion"](*map(float, orientation)),
            ),
        )
