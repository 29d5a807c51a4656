# SPDX-License-Identifier: Apache-2.0
"""Running a trained network: model bundle, preprocessing, and one file per backend. No ROS."""
