# SPDX-License-Identifier: Apache-2.0
"""ROS image messages to arrays, and pairs of them by their stamps."""
