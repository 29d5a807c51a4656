# SPDX-License-Identifier: Apache-2.0
"""Images as messages."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image


def image_message(pixels: NDArray[Any], stamp_ns: int, frame_id: str, **fields: Any) -> Image:
    """`[H, W]` or `[H, W, C]` as a message; `fields` (`encoding` at least) overwrite what follows from the pixels."""
    message = Image(
        height=pixels.shape[0],
        width=pixels.shape[1],
        step=int(pixels.nbytes // pixels.shape[0]),
        data=array.array("B", np.ascontiguousarray(pixels).tobytes()),
    )
    message.header.frame_id = frame_id
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 1_000_000_000)
    for name, value in fields.items():
        setattr(message, name, value)
    return message
