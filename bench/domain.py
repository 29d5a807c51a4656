# SPDX-License-Identifier: Apache-2.0
"""The ROS domain of a benchmark."""

from __future__ import annotations

import os

from mvloc_ros import fastdds_profile


def isolate() -> None:
    """A ROS domain of its own, on this machine alone, with the shipped profile; before rclpy.init and the node.

    So it neither hears nor disturbs a robot. A domain that the environment names is used: that of a benchmark's parent.
    """
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.update(fastdds_profile.settings())
