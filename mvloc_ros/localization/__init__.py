# SPDX-License-Identifier: Apache-2.0
"""Frame to pose: what the node and the offline replay both call. No ROS."""
