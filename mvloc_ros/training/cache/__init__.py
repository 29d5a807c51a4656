# SPDX-License-Identifier: Apache-2.0
"""Folders of arrays that cost time to make: written whole or not at all, opened as memory maps. No torch."""

from __future__ import annotations

from mvloc_ros.training.cache.cache_folder import default_place, open_or_build
from mvloc_ros.training.cache.store import DamagedError, Stored, Writer, open_stored

__all__ = ["DamagedError", "Stored", "Writer", "default_place", "open_or_build", "open_stored"]
