# SPDX-License-Identifier: Apache-2.0
"""Which message packages may be imported: a recording or a topic names them, so only installed ones are.

A folder of the same name in the current folder, or elsewhere on the search path, is not executed.
"""

from __future__ import annotations

import importlib.util
import os
import site
import sysconfig
from pathlib import Path

import mvloc_ros
from mvloc_ros.replay.errors import ReplayError


def require_installed(message_type: str) -> tuple[str, str]:
    """Package and name of `package/msg/Type`, nothing of it having been imported.

    Raises:
        ReplayError: it is no such name; or its package is not installed: neither listed by the ament index below the
            prefix that it would be imported from, nor in the Python environment's site-packages.
    """
    words = message_type.split("/")
    if len(words) != 3 or words[1] != "msg" or not all(word.isidentifier() for word in words):
        raise ReplayError(f"{message_type!r} is no message type: it must have the form package/msg/Type.")
    package, _, name = words
    folders = _folders(package)
    if not folders:
        raise ReplayError(f"The message type {message_type} is not installed: install or source its package.")
    allowed = _allowed(package)
    for folder in folders:
        if not any(folder.is_relative_to(root) for root in allowed):
            raise ReplayError(
                f"The message type {message_type} is not used: {folder} is not an installed package; install or source "
                f"{package}, and leave that folder's parent off PYTHONPATH or start from another folder."
            )
    if not any(_has_messages(folder) for folder in folders):
        raise ReplayError(f"The message type {message_type} is not installed: {folders[0]} has no messages.")
    return package, name


def _folders(package: str) -> list[Path]:
    """Where the package would be imported from; more than one where it is spread over the search path."""
    if package == mvloc_ros.__name__:  # its messages and its code may be in different folders, and its code runs
        return [folder for folder in map(Path, mvloc_ros.__path__) if _has_messages(folder)]
    try:
        spec = importlib.util.find_spec(package)  # of a top-level name: executes nothing of it
    except (ImportError, ValueError):
        return []
    return [Path(os.path.abspath(folder)) for folder in (spec and spec.submodule_search_locations) or ()]


def _has_messages(folder: Path) -> bool:
    return (folder / "msg" / "__init__.py").is_file()


def _allowed(package: str) -> list[Path]:
    """Folders that an installed package of this name lies below."""
    own = {*site.getsitepackages(), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    if site.ENABLE_USER_SITE:
        own.add(site.getusersitepackages())
    folders = [Path(folder) / package for folder in own]
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_prefix
    except ImportError:
        return folders
    try:
        prefix = Path(get_package_prefix(package))
    except (PackageNotFoundError, LookupError, OSError, ValueError):
        return folders
    return [*folders, *(prefix / library for library in ("lib", "local/lib"))] if prefix.is_absolute() else folders
