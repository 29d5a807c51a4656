# SPDX-License-Identifier: Apache-2.0
"""The error of this package."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class LearnError(MvlocError):
    """A recording or an option cannot be used, or a step failed; the sentence names the step and the remedy."""
