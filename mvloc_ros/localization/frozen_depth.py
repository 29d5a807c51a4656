# SPDX-License-Identifier: Apache-2.0
"""A depth camera that hangs: its driver goes on sending one image, under new stamps.

No single frame shows the fault: the old depth fits the map perfectly, at the old place. So images are compared from
frame to frame. A sensor's noise changes some of 19,200 pixels between any two images, so equality to the last bit means
that nothing was measured anew. A simulated camera without noise that stands still repeats its depth too, and its
colour with it; so depth is at fault only while the colour image shows that the camera moves.

The first repetition that shows it is rejected: that depth is old, hang or not. After `HANGS_NS` the words say "hangs".
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

HANGS_NS = 300_000_000
"""A driver that sends an image twice now and then is none that hangs."""

# Colour is compared in blocks, so that its own noise averages out: a sixteenth of the width is 4 degrees of 60.
_BLOCKS = (16, 12)
# Mean change of the blocks' grey levels, less the change of all of them together (exposure, a lamp). Noise of 10 levels
# a pixel makes 1 of it at 160x120; a camera turned by a degree changes a furnished room by 2 and more.
_CHANGED = 1.5


class FrozenDepth:
    """Compares the images of successive frames. Owned by one thread."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._depth: NDArray[np.float32] | None = None
        self._blocks: NDArray[np.float32] | None = None

    def fault_of(self, stamp_ns: int, color: NDArray[np.uint8] | None, depth: NDArray[np.float32] | None) -> str:
        """Why the depth of this frame is not of its moment, in words; empty if nothing says so.

        Both images as the network sees them; None if missing.
        """
        if depth is None:
            return ""
        if self._depth is None or not np.array_equal(depth, self._depth, equal_nan=True):
            self._since_ns, self._depth = stamp_ns, depth
            self._blocks = None if color is None else _blocks(color)
            return ""
        if color is None:
            return ""
        blocks = _blocks(color)
        if self._blocks is None:
            self._blocks = blocks
            return ""
        change = blocks - self._blocks
        if float(np.mean(np.abs(change - np.median(change)))) < _CHANGED:
            return ""
        elapsed_ns = abs(stamp_ns - self._since_ns)
        said = f"the depth image has been the same to the last bit for {1e-9 * elapsed_ns:.2f} s while the colour image"
        if elapsed_ns < HANGS_NS:
            return f"{said} changed, so it is not of this moment"
        return f"{said} changed: the depth camera hangs; restart its driver"


def _blocks(color: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.resize(grey, _BLOCKS, interpolation=cv2.INTER_AREA), dtype=np.float32)
