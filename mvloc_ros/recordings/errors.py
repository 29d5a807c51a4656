# SPDX-License-Identifier: Apache-2.0
"""The one error of this package: something about a recording (folder or bag) that its user can mend."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class RecordingError(MvlocError):
    """A recording is missing, damaged or not what was asked for; the sentence names the file or topic."""
