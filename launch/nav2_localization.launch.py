# SPDX-License-Identifier: Apache-2.0
"""The map server and the localization node where Nav2's localization_launch.py has AMCL.

ros2 launch mvloc_ros nav2_localization.launch.py model:=/path/to/bundle map:=/path/to/map.yaml camera:=realsense
"""

import os

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from mvloc_ros.launch_support import integration_arguments, require_packages, sim_time
from mvloc_ros.parameters.table import TABLE

SHARE = get_package_share_directory("mvloc_ros")
VALUES = os.path.join(SHARE, "config", "integration", "nav2_instead_of_amcl.yaml")
FORWARDED = ("model", "models_folder", "camera", "namespace", "params_file", "use_sim_time")


def start_map_server(context: LaunchContext) -> list[Node]:
    given = {name: LaunchConfiguration(name).perform(context) for name in (*FORWARDED, "map")}
    common = {"namespace": given["namespace"], "output": "screen"}
    parameters = [given["params_file"], *sim_time(given["use_sim_time"])]
    map_server = Node(
        package="nav2_map_server",
        executable="map_server",
        name="map_server",
        parameters=[*parameters, {"yaml_filename": given["map"]}],
        **common,
    )
    # The localization node configures and activates itself (`autostart`), since loading a model may take longer than a
    # manager waits for a transition; the manager has the map server alone.
    manager = Node(
        package="nav2_lifecycle_manager",
        executable="lifecycle_manager",
        name="lifecycle_manager_localization",
        parameters=[*parameters, {"autostart": True, "node_names": ["map_server"]}],
        **common,
    )
    return [map_server, manager]


def generate_launch_description() -> LaunchDescription:
    require_packages("nav2_map_server", "nav2_lifecycle_manager")
    mvloc = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(os.path.join(SHARE, "launch", "mvloc.launch.py")),
        launch_arguments={name: LaunchConfiguration(name) for name in FORWARDED}.items(),
    )
    arguments = integration_arguments(VALUES, "the map server with its manager", TABLE["model"].text)
    arguments.append(DeclareLaunchArgument("map", description="YAML file of the occupancy grid"))
    return LaunchDescription([*arguments, mvloc, OpaqueFunction(function=start_map_server)])
