# SPDX-License-Identifier: Apache-2.0
"""A depth camera that hangs: its driver goes on sending one image, under new stamps.

No sensor measures the same twice to the last bit, and no single frame shows the fault: the old depth fits the map
perfectly, at the old place. So images are compared from frame to frame. A simulated camera without noise that stands
still repeats its images too, but both of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Mean change of the grey levels that no noise of a resized colour image explains.
_CHANGED = 3.0


class FrozenDepth:
    """Compares the images of successive frames. Owned by one thread."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._depth: NDArray[np.float32] | None = None
        self._color: NDArray[np.uint8] | None = None

    def fault_of(self, stamp_ns: int, color: NDArray[np.uint8] | None, depth: NDArray[np.float32] | None) -> str:
        """Why the depth of this frame is not of its moment, in words; empty if nothing says so.

        Both images as the network sees them; None if missing.
        """
        if depth is None:
            return ""
        if self._depth is None or not np.array_equal(depth, self._depth, equal_nan=True):
            self._since_ns, self._depth, self._color = stamp_ns, depth, color
            return ""
        if color is None or self._color is None:
            return ""
        if float(np.mean(np.abs(color.astype(np.int16) - self._color))) < _CHANGED:
            return ""
        seconds = 1e-9 * abs(stamp_ns - self._since_ns)
        return (
            f"the depth image has been the same to the last bit for {seconds:.2f} s while the colour image changed: "
            "the depth camera hangs; restart its driver"
        )
