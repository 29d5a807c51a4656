# SPDX-License-Identifier: Apache-2.0
"""Start the localization node.

ros2 launch mvloc_ros mvloc.launch.py model:=/path/to/bundle \
    color_topic:=/camera/color/image_raw depth_topic:=/camera/aligned_depth_to_color/image_raw
"""

from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

ARGUMENTS = {
    "model": ("", "folder of the model bundle (required; `mvloc export` writes it)"),
    "color_topic": ("/camera/color/image_raw", "sensor_msgs/Image, colour"),
    "depth_topic": ("/camera/depth/image_raw", "sensor_msgs/Image, depth: 16UC1 in mm or 32FC1 in m"),
    "namespace": ("", "namespace of the node, its topics and /tf"),
    "params_file": (
        PathJoinSubstitution([FindPackageShare("mvloc_ros"), "config", "mvloc.yaml"]),
        "YAML file with all parameters",
    ),
    "use_sim_time": ("false", "take the time from /clock"),
    "log_level": ("info", "debug, info, warn, error"),
}


def generate_launch_description() -> LaunchDescription:
    value = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    node = LifecycleNode(
        package="mvloc_ros",
        executable="localization_node",
        name="mvloc",
        namespace=value["namespace"],
        output="screen",
        parameters=[
            value["params_file"],
            {
                "model": ParameterValue(value["model"], value_type=str),
                "use_sim_time": ParameterValue(value["use_sim_time"], value_type=bool),
            },
        ],
        # /tf is relative so that several robots with a namespace each do not mix their trees (Nav2's convention).
        remappings=[
            ("color/image", value["color_topic"]),
            ("depth/image", value["depth_topic"]),
            ("/tf", "tf"),
            ("/tf_static", "tf_static"),
        ],
        arguments=["--ros-args", "--log-level", value["log_level"]],
    )
    declarations = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declarations, node])
