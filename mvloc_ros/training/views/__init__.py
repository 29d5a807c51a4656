# SPDX-License-Identifier: Apache-2.0
"""New views of recorded frames as data augmentation: the camera is rotated and translated, and so is its pose."""

from __future__ import annotations

from mvloc_ros.training.views.novel_views import NovelViews, check_projection, prepare_views
from mvloc_ros.training.views.reprojection import RgbdCameras

__all__ = ["NovelViews", "RgbdCameras", "check_projection", "prepare_views"]
