# SPDX-License-Identifier: Apache-2.0
"""The errors of this package."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class ParameterError(MvlocError):
    """A parameter does not exist, or has a value that cannot be used."""
