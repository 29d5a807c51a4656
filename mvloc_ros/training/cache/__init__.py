# SPDX-License-Identifier: Apache-2.0
"""A cache of arrays that are expensive to compute: written atomically, opened as memory maps. No torch."""

from __future__ import annotations

from mvloc_ros.training.cache.array_folder import DamagedError, Stored, Writer, open_stored
from mvloc_ros.training.cache.cache_folder import default_cache_folder, open_or_build

__all__ = ["DamagedError", "Stored", "Writer", "default_cache_folder", "open_or_build", "open_stored"]
