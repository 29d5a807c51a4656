# SPDX-License-Identifier: Apache-2.0
"""Start the localization node.

ros2 launch mvloc_ros mvloc.launch.py model:=/path/to/bundle \
    color_topic:=/camera/color/image_raw depth_topic:=/camera/aligned_depth_to_color/image_raw
ros2 launch mvloc_ros mvloc.launch.py model:=/path/to/bundle camera:=realsense
"""

import os
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription
from mvloc_ros import fastdds_profile
from mvloc_ros.launch_support import sim_time
from mvloc_ros.parameters.table import TABLE
from mvloc_ros.yaml_text import parse_yaml

SHARE = get_package_share_directory("mvloc_ros")
# Parameters of the node that are arguments too; an empty one leaves the value to params_file.
PARAMETERS = (
    "model",
    "models_folder",
    "backend",
    "color_transport",
    "depth_source",
    "sensor_topics",
    "map_frame",
    "publish_frame",
    "odom_frame",
    "base_frame",
    "camera_frame",
)
# Where neither an argument nor the camera's file says otherwise. Relative, as in the cameras' files: a robot in a
# namespace has its camera there too.
TOPICS = {
    "color_topic": "camera/color/image_raw",
    "depth_topic": "camera/depth/image_raw",
    "cloud_topic": "points",
}
ARGUMENTS = {
    "camera": ("", "file of config/cameras without .yaml: realsense, oak_d, zed, ...; its topics and parameters"),
    "color_topic": ("", "sensor_msgs/Image, colour"),
    "depth_topic": ("", "sensor_msgs/Image, depth: 16UC1 in mm or 32FC1 in m"),
    "cloud_topic": ("", "sensor_msgs/PointCloud2, with depth_source:=cloud"),
    "initialpose_out": ("initialpose_out", "where ~/publish_initialpose publishes; AMCL listens on initialpose"),
    "namespace": ("", "namespace of the node, its topics and /tf"),
    "params_file": (os.path.join(SHARE, "config", "mvloc.yaml"), "YAML file with all parameters"),
    "use_sim_time": ("", "take the time from /clock; empty: as the params_file says"),
    "log_level": ("info", "debug, info, warn, error"),
}
# Of arguments that take a few values only; launch refuses any other one and lists these.
CAMERAS = sorted(file.removesuffix(".yaml") for file in os.listdir(os.path.join(SHARE, "config", "cameras")))
CHOICES = {"camera": ["", *CAMERAS], "use_sim_time": ["", "true", "false", "True", "False"]}


def camera_file(name: str) -> dict[str, str]:
    if not name:
        return {}
    return parse_yaml(Path(SHARE, "config", "cameras", f"{name}.yaml").read_text(encoding="utf-8"))


def start_node(context: LaunchContext) -> list[LifecycleNode]:
    given = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, *PARAMETERS)}
    value = {
        **given,
        **{name: given[name] or text for name, text in {**TOPICS, **camera_file(given["camera"])}.items()},
    }
    parameters = {name: value[name] for name in PARAMETERS if value[name]}
    node = LifecycleNode(
        package="mvloc_ros",
        executable="localization_node",
        name="mvloc",
        namespace=value["namespace"],
        output="screen",
        parameters=[value["params_file"], parameters, *sim_time(value["use_sim_time"])],
        # /tf is relative so that several robots with a namespace each do not mix their trees (Nav2's convention).
        remappings=[
            ("color/image", value["color_topic"]),
            ("depth/image", value["depth_topic"]),
            ("depth/points", value["cloud_topic"]),
            ("initialpose_out", value["initialpose_out"]),
            ("/tf", "tf"),
            ("/tf_static", "tf_static"),
        ],
        arguments=["--ros-args", "--log-level", value["log_level"]],
    )
    return [node]


def parameter_text(name: str) -> str:
    """The meaning of a parameter, with the default where there is one that is not empty."""
    default = TABLE[name].default
    return f"{TABLE[name].text}; default: {default}" if default else TABLE[name].text


def generate_launch_description() -> LaunchDescription:
    arguments = {**ARGUMENTS, **{name: ("", parameter_text(name)) for name in PARAMETERS}}
    choices = {**CHOICES, **{name: ["", *TABLE[name].choices] for name in PARAMETERS if TABLE[name].choices}}
    profile = fastdds_profile.settings(profile=Path(SHARE, "config", "fastdds.xml"))
    return LaunchDescription(
        [
            # The stock shared-memory segment of Fast DDS is smaller than an image; a profile of the user's wins.
            *(SetEnvironmentVariable(name, path) for name, path in profile.items()),
            *(
                DeclareLaunchArgument(name, default_value=d, description=text, choices=choices.get(name))
                for name, (d, text) in arguments.items()
            ),
            OpaqueFunction(function=start_node),
        ]
    )
