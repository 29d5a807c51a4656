# SPDX-License-Identifier: Apache-2.0
"""Statuses of a node as recordings hold them, of whatever definition the recording has."""

from __future__ import annotations

from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

from mvloc_ros.recordings import topics
from mvloc_ros.recordings.message_builder import MessageBuilder

_EMPTY = {"string": "", "bool": False, "float32": 0.0, "float64": 0.0, "uint8": 0, "uint64": 0}


def status_of(store: Typestore, stamp_ns: int, **values: Any) -> Any:
    """A LocalizationStatus; what is not given is empty, and what its definition does not have is left out."""
    build = MessageBuilder(store)
    nested = {"header": build.header(stamp_ns, "camera"), "network_pose": build.pose(stamp_ns, "map", np.eye(4)).pose}
    given = nested | values
    fields = store.fielddefs[topics.STATUS][1]
    found = {name: given[name] if name in given else _empty(description) for name, description in fields}
    return store.types[topics.STATUS](**found)


def _empty(description: Any) -> Any:
    kind, inner = description
    if kind != Nodetype.SEQUENCE:
        return _EMPTY[inner[0]]
    name = inner[0][1][0]
    return [] if name == "string" else np.zeros(0, name)  # numbers are arrays
