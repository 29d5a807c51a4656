# SPDX-License-Identifier: Apache-2.0
"""The localization node and robot_localization's two filters around it.

ros2 launch mvloc_ros robot_localization.launch.py model:=/path/to/bundle camera:=realsense
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch.actions import IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from mvloc_ros.launch_support import integration_arguments, require_packages, sim_time
from mvloc_ros.parameters.table import TABLE

SHARE = get_package_share_directory("mvloc_ros")
VALUES = os.path.join(SHARE, "config", "integration", "robot_localization.yaml")
FORWARDED = ("model", "models_folder", "camera", "namespace", "params_file", "use_sim_time")


def start_filters(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in FORWARDED}
    return [
        Node(
            package="robot_localization",
            executable="ekf_node",
            name=name,
            namespace=given["namespace"],
            output="screen",
            parameters=[given["params_file"], *sim_time(given["use_sim_time"])],
            remappings=[("odometry/filtered", output), ("/tf", "tf"), ("/tf_static", "tf_static")],
        )
        for name, output in (("ekf_odom", "odometry/local"), ("ekf_map", "odometry/global"))
    ]


def generate_launch_description() -> LaunchDescription:
    require_packages("robot_localization")
    mvloc = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "mvloc.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in FORWARDED}.items(),
    )
    arguments = integration_arguments(VALUES, "both filters", TABLE["model"].text)
    return LaunchDescription([*arguments, mvloc, OpaqueFunction(function=start_filters)])
