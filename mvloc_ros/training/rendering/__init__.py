# SPDX-License-Identifier: Apache-2.0
"""Views of a place from all training frames: their depth as surfaces, their colors on them, from poses that none had.

`views` moves the camera of one frame by some decimeters; here many frames of one sequence make a view together, so that
it may be anywhere in the free space that they observed.
"""

from __future__ import annotations

from mvloc_ros.training.rendering.checks import check_renderable, report_assumptions
from mvloc_ros.training.rendering.pool import Rendering, render_pool

__all__ = ["Rendering", "check_renderable", "render_pool", "report_assumptions"]
