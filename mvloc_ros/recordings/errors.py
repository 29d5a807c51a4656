# SPDX-License-Identifier: Apache-2.0
"""The error of this package: a problem of a recording (folder or bag) that its user can fix."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class RecordingError(MvlocError):
    """A recording is missing, damaged or not what was asked for; the sentence names the file or topic."""


class NoPosesError(RecordingError):
    """A recording has images and no poses."""
