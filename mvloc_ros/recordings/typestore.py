# SPDX-License-Identifier: Apache-2.0
"""The message types that recordings hold: ROS's own, this project's, and those of the user's packages.

`rosbags` knows the types of the ROS distributions. The others are read from their `.msg` files: in the
`share` folder of an ament prefix or, for this project's own, in the source tree.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from mvloc_ros.foreign_text import quoted
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.recordings.errors import RecordingError

PACKAGE = "mvloc_ros"
_NAME = re.compile(r"[A-Za-z]\w*/(msg/)?[A-Za-z]\w*", re.ASCII)
_STORE = Stores.ROS2_HUMBLE
"""The oldest supported distribution: its sensor, geometry and tf2 types are those of all later ones."""


def new_typestore() -> Typestore:
    """A store of its own, to which types can be added without touching other recordings."""
    return get_typestore(_STORE)


def require_type(store: Typestore, name: str) -> None:
    """Make `package/msg/Type` and all it contains known to the store.

    Raises RecordingError where its definition is nowhere on this machine.
    """
    if name in store.types:
        return
    if not _NAME.fullmatch(name):  # it becomes a path
        raise RecordingError(f"{quoted(name)} is not the name of a message type, such as package/msg/Type.")
    path = definition_file(name)
    types = get_types_from_msg(read_text(path, "message definition", RecordingError), name)
    for contained in _contained(types[name][1]):
        require_type(store, contained)
    store.register(types)


def is_as_installed(store: Typestore, name: str) -> bool:
    """Whether a type of a recording has the fields that this machine's has; yes where either is unknown.

    Another version of a package may have other ones. The types of ROS itself are not compared.
    """
    installed = new_typestore()
    if name in installed.types or name not in store.types:
        return True
    try:
        require_type(installed, name)
    except RecordingError:
        return True
    return _all_fields(store, name) == _all_fields(installed, name)


def _all_fields(store: Typestore, name: str) -> dict[str, Any]:
    """Type -> its fields, of a type and all that it contains."""
    found: dict[str, Any] = {}
    left = [name]
    while left:
        one = left.pop()
        if one not in found:
            found[one] = store.fielddefs[one][1]
            left += _contained(found[one])
    return found


def definition_file(name: str) -> Path:
    """The `.msg` file of `package/msg/Type`. Raises RecordingError where there is none."""
    package, _, rest = name.partition("/")
    relative = Path(rest).with_suffix(".msg")
    for folder in _package_folders(package):
        if (folder / relative).is_file():
            return folder / relative
    raise RecordingError(
        f"The definition of the message type {name} was not found on this machine: source the workspace that has the "
        f"package {package} (AMENT_PREFIX_PATH), or exclude its topics."
    )


def _package_folders(package: str) -> Iterator[Path]:
    prefixes = [prefix for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    for prefix in (*prefixes, sys.prefix):
        yield Path(prefix) / "share" / package
    if package == PACKAGE:
        yield Path(__file__).resolve().parents[2]


def _contained(fields: Any) -> Iterator[str]:
    """Names of the message types in a parsed field list, through arrays and sequences."""
    for _, description in fields:
        inner = description
        while inner[0] in (Nodetype.ARRAY, Nodetype.SEQUENCE):
            inner = inner[1][0]
        if inner[0] == Nodetype.NAME:
            yield inner[1]
