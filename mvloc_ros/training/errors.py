# SPDX-License-Identifier: Apache-2.0
"""The error of this package."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class TrainingError(MvlocError):
    """Training or export is impossible with the given data or options."""
