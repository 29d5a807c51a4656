# SPDX-License-Identifier: Apache-2.0
"""The error of this package."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class ExperimentError(MvlocError):
    """An experiment cannot be planned, run or written."""
