# SPDX-License-Identifier: Apache-2.0
"""What identifies the input and the output of a step: values, files, and folders of many images."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from mvloc_ros.model.bundle import file_digest

_SMALL_BYTES = 1 << 16
_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def of_values(values: Any) -> str:
    """SHA-256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def of_file(path: Path) -> str:
    """SHA-256 of a file; empty where there is none."""
    if not path.is_file():
        return ""
    return file_digest(path)


def of_folder(root: Path) -> str:
    """SHA-256 over a file or all files of a folder; empty where there is nothing.

    Small texts (poses, cameras, splits) count by their content, images and large files by size and time of change:
    reading all of a recording takes minutes, and the training compares what it reads of it anyway.
    """
    if root.is_file():
        return of_values(_stamp(root))
    if not root.is_dir():
        return ""
    return of_values([[path.relative_to(root).as_posix(), *_stamp(path)] for path in sorted(root.rglob("*"))
                      if path.is_file()])  # fmt: skip


def _stamp(path: Path) -> list[Any]:
    found = path.stat()
    if path.suffix.lower() in _IMAGES or found.st_size > _SMALL_BYTES:
        return [found.st_size, found.st_mtime_ns]
    return [of_file(path)]
