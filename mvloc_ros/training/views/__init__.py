# SPDX-License-Identifier: Apache-2.0
"""New views of recorded frames, as training augmentation: the camera is turned and moved, and its pose with it."""

from __future__ import annotations

from mvloc_ros.training.views.novel_views import NovelViews, check_projection, prepare_views
from mvloc_ros.training.views.projection import RgbdCameras

__all__ = ["NovelViews", "RgbdCameras", "check_projection", "prepare_views"]
