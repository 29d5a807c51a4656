# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with an experiment."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class ExperimentError(MvlocError):
    """An experiment cannot be planned, run or written; the message says why and what to do."""
