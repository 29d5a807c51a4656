# SPDX-License-Identifier: Apache-2.0
"""The IMU of a recording: its samples, their checks, and the file that holds them beside the images."""
