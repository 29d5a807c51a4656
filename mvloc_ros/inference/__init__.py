# SPDX-License-Identifier: Apache-2.0
"""Running a trained network: model bundle, preprocessing, and backends. No ROS."""
