# SPDX-License-Identifier: Apache-2.0
"""What can be wrong with what a user wants calibrated."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class CalibrationError(MvlocError):
    """A bundle or a folder says too little of the errors of its poses."""
