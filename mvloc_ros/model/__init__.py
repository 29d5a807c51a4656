# SPDX-License-Identifier: Apache-2.0
"""The model bundle and what a frame is to it: manifest, bundle, frames and their preprocessing. No ROS."""
