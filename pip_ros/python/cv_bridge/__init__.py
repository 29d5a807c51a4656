# SPDX-License-Identifier: Apache-2.0
"""Stand-in for cv_bridge: between sensor_msgs images and OpenCV arrays."""

from __future__ import annotations

from cv_bridge.core import CvBridge
from cv_bridge.encodings import CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
