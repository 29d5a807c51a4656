# SPDX-License-Identifier: Apache-2.0
"""A depth camera that hangs: its driver goes on sending one image, under new stamps.

No single frame shows the fault: the old depth fits the map perfectly, at the old place. So images are compared from
frame to frame. A sensor's noise changes some of 19,200 pixels between any two images, so equality to the last bit means
that nothing was measured. A simulated camera without noise that stands still repeats its depth too, and its
colour with it; so depth is at fault only while the colour image shows that the camera moves.

Drivers send one depth image twice now and then (RedKitchen of 7-Scenes: 5 of 150 frames). That depth is of the moment
when it first came, and so is the pose that is registered with it. A single repetition is tolerated if that is at most
`TOLERATED_NS` ago and the camera is known to have come less than `TOLERATED_M` and `TOLERATED_RAD` since; whoever uses
the pose adds that motion to its covariance. Every other one is rejected. After `HANGS_NS` the words say "hangs".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.motion import Distance

TOLERATED_NS = 70_000_000
"""Two frame periods of a camera at 30 Hz."""
TOLERATED_M, TOLERATED_RAD = 0.02, float(np.radians(2.0))
"""A fifth of the error from which a pose is wrong (`mapping.trials.LIMITS`)."""
HANGS_NS = 300_000_000
"""A driver that now and then sends an image twice does not hang."""

# Colour is compared in blocks, so that its own noise averages out: a sixteenth of the width is 4 degrees of 60.
_BLOCKS = (16, 12)
# Mean change of the blocks' grey levels, less the change of all of them together (exposure, a lamp). Noise of 10 levels
# a pixel makes 1 of it at 160x120; a camera turned by a degree changes a furnished room by 2 and more.
_CHANGED = 1.5


@dataclass(frozen=True)
class DepthAge:
    """What is known of a depth image's own moment.

    Attributes:
        fault: why it is not of its frame's moment and must not be used, in words; empty if nothing says so.
        moved: how far the camera came since that moment, where a repetition is tolerated; None for a new image.
    """

    fault: str = ""
    moved: Distance | None = None


class FrozenDepth:
    """Compares the images of successive frames. Owned by one thread."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._repetitions = 0
        self._depth: NDArray[np.generic] | None = None
        self._blocks: NDArray[np.float32] | None = None

    def age_of(
        self,
        stamp_ns: int,
        color: NDArray[np.uint8] | None,
        depth: NDArray[np.generic] | None,
        moved_since: Callable[[int], Distance | None],
    ) -> DepthAge:
        """Whether the depth of this frame is of its moment.

        Args:
            stamp_ns: of the frame.
            color: as the network sees it; None if missing.
            depth: the same, or as it came.
            moved_since: how far the camera came since a stamp; None where that is not known.
        """
        if depth is None:
            return DepthAge()
        if self._depth is None or not np.array_equal(depth, self._depth, equal_nan=True):
            self._since_ns, self._depth, self._repetitions = stamp_ns, depth, 0
            self._blocks = None if color is None else _blocks(color)
            return DepthAge()
        self._repetitions += 1
        if color is None:
            return DepthAge()
        blocks = _blocks(color)
        if self._blocks is None:
            self._blocks = blocks
            return DepthAge()
        change = blocks - self._blocks
        if float(np.mean(np.abs(change - np.median(change)))) < _CHANGED:
            return DepthAge()
        moved = self._tolerated(stamp_ns, moved_since)
        return DepthAge(moved=moved) if moved is not None else DepthAge(self._words(stamp_ns))

    def _tolerated(self, stamp_ns: int, moved_since: Callable[[int], Distance | None]) -> Distance | None:
        """How far the camera came since the depth image was taken, if that makes it as good as new."""
        if self._repetitions > 1 or abs(stamp_ns - self._since_ns) > TOLERATED_NS:
            return None
        moved = moved_since(self._since_ns)
        return moved if moved is not None and moved.metres <= TOLERATED_M and moved.radians <= TOLERATED_RAD else None

    def _words(self, stamp_ns: int) -> str:
        elapsed_ns = abs(stamp_ns - self._since_ns)
        said = f"the depth image has been the same to the last bit for {1e-9 * elapsed_ns:.2f} s while the colour image"
        if elapsed_ns < HANGS_NS:
            return f"{said} changed, so it is not of this moment"
        return f"{said} changed: the depth camera hangs; restart its driver"


def _blocks(color: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(color, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.resize(grey, _BLOCKS, interpolation=cv2.INTER_AREA), dtype=np.float32)
