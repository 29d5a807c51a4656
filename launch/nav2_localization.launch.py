# SPDX-License-Identifier: Apache-2.0
"""The map server and the localization node where Nav2's localization_launch.py has AMCL.

ros2 launch mvloc_ros nav2_localization.launch.py model:=/path/to/bundle map:=/path/to/map.yaml camera:=realsense
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchDescription

SHARE = get_package_share_directory("mvloc_ros")


def generate_launch_description() -> LaunchDescription:
    use_sim_time = {"use_sim_time": LaunchConfiguration("use_sim_time")}
    mvloc = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "mvloc.launch.py")),
        launch_arguments={
            "params_file": os.path.join(SHARE, "config", "integration", "nav2_instead_of_amcl.yaml"),
            **{name: LaunchConfiguration(name) for name in ("model", "camera", "use_sim_time")},
        }.items(),
    )
    map_server = Node(
        package="nav2_map_server",
        executable="map_server",
        name="map_server",
        output="screen",
        parameters=[{"yaml_filename": LaunchConfiguration("map")}, use_sim_time],
    )
    # The node configures and activates itself (`autostart`), so the manager has the map server alone.
    manager = Node(
        package="nav2_lifecycle_manager",
        executable="lifecycle_manager",
        name="lifecycle_manager_localization",
        output="screen",
        parameters=[{"autostart": True, "node_names": ["map_server"]}, use_sim_time],
    )
    arguments = [
        DeclareLaunchArgument("model", description="folder of the model bundle"),
        DeclareLaunchArgument("map", description="YAML file of the occupancy grid"),
        DeclareLaunchArgument("camera", default_value="", description="file of config/cameras without .yaml"),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="false",
            description="take the time from /clock",
            choices=["true", "false", "True", "False"],
        ),
    ]
    return LaunchDescription([*arguments, map_server, mvloc, manager])
