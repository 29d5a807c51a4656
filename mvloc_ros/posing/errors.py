# SPDX-License-Identifier: Apache-2.0
"""What a user can cause here."""

from __future__ import annotations

from mvloc_ros.errors import MvlocError


class PosingError(MvlocError):
    """A recording whose poses cannot be found; the message says why, and when in it."""
