# SPDX-License-Identifier: Apache-2.0
"""Stand-in for sensor_msgs_py: point clouds as NumPy arrays."""
