# SPDX-License-Identifier: Apache-2.0
"""pip's way in, for machines that only train or evaluate; ROS workspaces build with colcon (CMakeLists.txt)."""

from setuptools import find_packages, setup

setup(packages=find_packages(include=["mvloc_ros", "mvloc_ros.*"]))
