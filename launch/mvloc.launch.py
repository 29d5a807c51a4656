# SPDX-License-Identifier: Apache-2.0
"""Start the localization node.

ros2 launch mvloc_ros mvloc.launch.py model:=/path/to/bundle \
    color_topic:=/camera/color/image_raw depth_topic:=/camera/aligned_depth_to_color/image_raw
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from launch import LaunchContext, LaunchDescription

SHARE = get_package_share_directory("mvloc_ros")
# Parameters of the node that are arguments too; an empty one leaves the value to params_file.
PARAMETERS = {
    "model": "folder of the model bundle (`mvloc export` writes it)",
    "backend": "auto, tensorrt, onnxruntime, torch",
    "map_frame": "frame of the poses; default: the model's",
    "camera_frame": "child frame of the transform; default: the image's frame_id",
}
ARGUMENTS = {
    "color_topic": ("/camera/color/image_raw", "sensor_msgs/Image, colour"),
    "depth_topic": ("/camera/depth/image_raw", "sensor_msgs/Image, depth: 16UC1 in mm or 32FC1 in m"),
    "namespace": ("", "namespace of the node, its topics and /tf"),
    "params_file": (os.path.join(SHARE, "config", "mvloc.yaml"), "YAML file with all parameters"),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error"),
}


def start_node(context: LaunchContext) -> list[LifecycleNode]:
    value = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, *PARAMETERS)}
    given = {name: value[name] for name in PARAMETERS if value[name]}
    node = LifecycleNode(
        package="mvloc_ros",
        executable="localization_node",
        name="mvloc",
        namespace=value["namespace"],
        output="screen",
        parameters=[value["params_file"], {**given, "use_sim_time": value["use_sim_time"].lower() == "true"}],
        # /tf is relative so that several robots with a namespace each do not mix their trees (Nav2's convention).
        remappings=[
            ("color/image", value["color_topic"]),
            ("depth/image", value["depth_topic"]),
            ("/tf", "tf"),
            ("/tf_static", "tf_static"),
        ],
        arguments=["--ros-args", "--log-level", value["log_level"]],
    )
    return [node]


def generate_launch_description() -> LaunchDescription:
    defaults = {**ARGUMENTS, **{name: ("", text) for name, text in PARAMETERS.items()}}
    profile = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE", os.path.join(SHARE, "config", "fastdds.xml"))
    return LaunchDescription(
        [
            # The stock shared-memory segment of Fast DDS is smaller than an image; a profile of the user's wins.
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),
            *(DeclareLaunchArgument(name, default_value=d, description=text) for name, (d, text) in defaults.items()),
            OpaqueFunction(function=start_node),
        ]
    )
