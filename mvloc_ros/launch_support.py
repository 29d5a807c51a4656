# SPDX-License-Identifier: Apache-2.0
"""What the launch files share."""

from __future__ import annotations

import os


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


def sim_time(value: str) -> list[dict[str, bool]]:
    """Parameters for the launch argument `use_sim_time`; none where it is empty, so that the params_file decides."""
    return [{"use_sim_time": value.lower() == "true"}] if value else []
