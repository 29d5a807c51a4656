# SPDX-License-Identifier: Apache-2.0
"""The files of rosbag2 recordings -> serialised messages, with bounds on what they claim; `BagReader` is the way in."""
