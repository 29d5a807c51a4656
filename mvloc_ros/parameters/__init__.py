# SPDX-License-Identifier: Apache-2.0
"""The node's parameters, each declared once, without ROS: defaults, units, ranges, meanings, checks and files."""
