# SPDX-License-Identifier: Apache-2.0
"""The bytes of a message's `uint8[]` field, whatever holds them: the one place where they become an array.

rclpy gives `array.array`, rosbags gives NumPy arrays, and both are read in place. Where a subscription takes buffers of
a vendor's memory (rosidl_buffer, from Lyrical on), the field may be a `rosidl_buffer.Buffer`, which is no buffer in
Python's sense: its `to_bytes` copies it into the CPU's memory, from wherever it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.foreign_text import shown

_REASON = 300
"""Characters of another library's words."""


class DecodeError(MvlocError):
    """An image message that cannot be read; the message says why and what to do."""


def is_elsewhere(message: Any) -> bool:
    """Whether the message's data must be copied before it can be read, which takes its time."""
    return hasattr(message.data, "to_bytes")


def data_of(message: Any) -> NDArray[np.uint8]:
    """The bytes of the message's data `[N]`, to be read only; a copy only where they are in a vendor's buffer.

    Raises:
        DecodeError: the buffer's memory cannot be read from here.
    """
    data = message.data
    if not is_elsewhere(message):
        return np.frombuffer(data, dtype=np.uint8) if len(data) else np.zeros(0, np.uint8)
    memory = shown(str(getattr(data, "backend_type", "unknown")))
    try:
        copied = np.frombuffer(data.to_bytes(), dtype=np.uint8)
    except Exception as error:  # of the vendor's library, which has classes of its own
        raise DecodeError(
            f"The data of a message is in memory of the kind {memory!r}, which cannot be read here: "
            f"{shown(str(error) or type(error).__name__, _REASON)}; let its publisher send data in the CPU's memory, "
            "or install the driver of that memory for this node."
        ) from error
    if len(copied) != len(data):
        raise DecodeError(
            f"The data of a message is in memory of the kind {memory!r} and has {len(data)} bytes, of which "
            f"{len(copied)} could be read; the library of that memory is faulty: let its publisher send data in the "
            "CPU's memory."
        )
    return copied
