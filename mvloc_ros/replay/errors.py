# SPDX-License-Identifier: Apache-2.0
"""The one error of this package: a replay or an evaluation that cannot be done as asked."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class ReplayError(MvlocError):
    """Nothing to play to, nothing to evaluate, or poses that do not belong to the ground truth."""
