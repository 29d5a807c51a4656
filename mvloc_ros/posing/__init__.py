# SPDX-License-Identifier: Apache-2.0
"""Poses for recordings that have none: RGB-D odometry, loop closures, pose graph. No ROS, no torch."""
