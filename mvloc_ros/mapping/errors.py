# SPDX-License-Identifier: Apache-2.0
"""The errors of this package."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class MappingError(MvlocError):
    """A scene map cannot be built from the given data."""


class CalibrationError(MvlocError):
    """The bundle or the folder has too little data about pose errors to calibrate covariances."""
