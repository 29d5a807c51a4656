# SPDX-License-Identifier: Apache-2.0
"""Names of topics, types and frames in the project's own recordings."""

from __future__ import annotations

COLOR_IMAGE = "/camera/color/image_raw"
DEPTH_IMAGE = "/camera/depth/image_raw"
COLOR_INFO = "/camera/color/camera_info"
DEPTH_INFO = "/camera/depth/camera_info"
TF = "/tf"
TF_STATIC = "/tf_static"
GROUND_TRUTH = "/ground_truth/pose"


def sensor_image(name: str) -> str:
    """The image topic of a further sensor (`model.modalities.Sensor`)."""
    return f"/camera/{name}/image_raw"


def sensor_info(name: str) -> str:
    """The camera_info topic of a further sensor."""
    return f"/camera/{name}/camera_info"


def sensor_frame(name: str) -> str:
    """The optical frame of a further sensor."""
    return f"camera_{name}_optical_frame"


MAP_FRAME = "map"
ODOM_FRAME = "odom"
BASE_FRAME = "base_link"
CAMERA_LINK = "camera_link"
COLOR_FRAME = "camera_color_optical_frame"
DEPTH_FRAME = "camera_depth_optical_frame"

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
POINT_CLOUD = "sensor_msgs/msg/PointCloud2"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
IMU = "sensor_msgs/msg/Imu"
TF_MESSAGE = "tf2_msgs/msg/TFMessage"
POSE = "geometry_msgs/msg/PoseStamped"
POSE_WITH_COVARIANCE = "geometry_msgs/msg/PoseWithCovarianceStamped"
STATUS = "mvloc_ros/msg/LocalizationStatus"
