# SPDX-License-Identifier: Apache-2.0
"""The localization node and robot_localization's two filters around it.

ros2 launch mvloc_ros robot_localization.launch.py model:=/path/to/bundle camera:=realsense
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

SHARE = get_package_share_directory("mvloc_ros")
VALUES = os.path.join(SHARE, "config", "integration", "robot_localization.yaml")


def ekf(name: str, output: str) -> Node:
    return Node(
        package="robot_localization",
        executable="ekf_node",
        name=name,
        output="screen",
        parameters=[VALUES, {"use_sim_time": LaunchConfiguration("use_sim_time")}],
        remappings=[("odometry/filtered", output)],
    )


def generate_launch_description() -> LaunchDescription:
    mvloc = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "mvloc.launch.py")),
        launch_arguments={
            "params_file": VALUES,
            **{name: LaunchConfiguration(name) for name in ("model", "camera", "use_sim_time")},
        }.items(),
    )
    arguments = [
        DeclareLaunchArgument("model", description="folder of the model bundle"),
        DeclareLaunchArgument("camera", default_value="", description="file of config/cameras without .yaml"),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            description="take the time from /clock",
            choices=["true", "false", "True", "False"],
        ),
    ]
    filters = [ekf("ekf_odom", "odometry/local"), ekf("ekf_map", "odometry/global")]
    return LaunchDescription([*arguments, mvloc, *filters])
