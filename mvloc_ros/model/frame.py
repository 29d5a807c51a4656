# SPDX-License-Identifier: Apache-2.0
"""The images of one moment, still in the cameras' own encodings.

Images stay views of the messages they came in until they are resized: converting a small image costs
a tenth of a millisecond, converting a full one costs several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.errors import MvlocError
from mvloc_ros.geometry.camera import View

CHANNEL_ORDERS = ("rgb", "bgr", "rgba", "bgra", "mono")


class FrameError(MvlocError):
    """A frame that cannot be localized; the message says what is wrong with it."""


@dataclass(frozen=True)
class ColorImage:
    """uint8 pixels `[H, W, C]` (`[H, W]` for mono), rows possibly padded, and the order of the channels.

    `view` is the part of the image that the network is to see; None: all of it.
    """

    pixels: NDArray[np.uint8]
    order: str
    view: View | None = None


@dataclass(frozen=True)
class DepthImage:
    """Depth along the optical axis `[H, W]`, uint16 or float32, and the metres of one unit.

    0, NaN and infinities mean: no measurement. `view` as in `ColorImage`.
    """

    values: NDArray[np.generic]
    metres_per_unit: float
    view: View | None = None


NO_FURTHER: Mapping[str, ColorImage | DepthImage] = MappingProxyType({})


@dataclass(frozen=True)
class Frame:
    """A pair of images, or one of them alone, and images of further sensors.

    Attributes:
        stamp_ns: when the image that carries the pose was taken (the colour image if there is one).
        frame_id: optical frame of that image.
        pair_skew_ns: stamp of depth minus stamp of colour; 0 if one is missing.
        further: images of further sensors by name (`model.modalities.Sensor`), those that are there; gray ones are
            `ColorImage` of the order `mono`.
    """

    stamp_ns: int
    frame_id: str
    color: ColorImage | None
    depth: DepthImage | None
    pair_skew_ns: int = 0
    further: Mapping[str, ColorImage | DepthImage] = field(default_factory=lambda: NO_FURTHER)
