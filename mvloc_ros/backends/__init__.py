# SPDX-License-Identifier: Apache-2.0
"""Running a bundle's network: the check of its file, and one backend for each library. No ROS."""
