# SPDX-License-Identifier: Apache-2.0
"""What the launch files share."""

from __future__ import annotations

import os
from typing import Any


def require_packages(*names: str) -> None:
    """Refuse to launch where a ROS package is missing, before any process has started.

    Raises:
        RuntimeError: one sentence that names what is missing and how to install it.
    """
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    missing = []
    for name in names:
        try:
            get_package_prefix(name)
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        distribution = os.environ.get("ROS_DISTRO", "<distribution>")
        packages = " ".join(f"ros-{distribution}-{name.replace('_', '-')}" for name in missing)
        raise RuntimeError(
            f"This launch file needs {' and '.join(missing)}, not installed here, and nothing was started; install "
            f"with: sudo apt install {packages}"
        )


def integration_arguments(params_file: str, nodes: str, model: str) -> list[Any]:
    """The launch arguments of a file that starts the localization node and `nodes`, all by one `params_file`.

    `model` is the meaning of the node's parameter of that name.
    """
    from launch.actions import DeclareLaunchArgument

    return [
        DeclareLaunchArgument("model", description=model),
        DeclareLaunchArgument(
            "models_folder", default_value="", description="folder of bundles, of which model may name one by its map"
        ),
        DeclareLaunchArgument("camera", default_value="", description="file of config/cameras without .yaml"),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of all nodes, topics and /tf"),
        DeclareLaunchArgument(
            "params_file", default_value=params_file, description=f"YAML file of the localization node and {nodes}"
        ),
        DeclareLaunchArgument(
            "use_sim_time",
            default_value="",
            description="take the time from /clock; empty: as the params_file says",
            choices=["", "true", "false", "True", "False"],
        ),
    ]


def sim_time(value: str) -> list[dict[str, bool]]:
    """Parameters for the launch argument `use_sim_time`; none where it is empty, so that the params_file decides."""
    return [{"use_sim_time": value.lower() == "true"}] if value else []
