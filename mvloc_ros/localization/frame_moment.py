# SPDX-License-Identifier: Apache-2.0
"""Which images of a frame are of its moment: a depth sensor that hangs is left out while another one does not.

With a single depth sensor that hangs there is nothing to register by, so that the frame is rejected (`frozen_depth`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.localization.appearance import is_blank
from mvloc_ros.localization.frozen_depth import DepthAge, FrozenDepth
from mvloc_ros.localization.motion import Distance
from mvloc_ros.localization.rig_points import PAIR_DEPTH, image_of
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.model.preprocessing import prepare_color


@dataclass(frozen=True, eq=False)
class CurrentFrame:
    """A frame without the depth images that are not of its moment, as far as others are.

    Attributes:
        frame: what is left.
        age: of its depth.
        has_depth: whether it has a depth image that can be used.
        remarks: what was left out, in words.
    """

    frame: Frame
    age: DepthAge
    has_depth: bool
    remarks: tuple[str, ...] = ()


def of_this_moment(
    frame: Frame,
    color: NDArray[np.uint8] | None,
    depth: NDArray[np.float32] | None,
    rig: SensorRig,
    known: dict[str, FrozenDepth],
    moved_since: Callable[[int], Distance | None],
) -> CurrentFrame:
    """Leave out the depth images that came before; the only one there is stays, with its age.

    Args:
        frame: the images.
        color: that of the pair as the network saw it; None if it did not use it.
        depth: the same.
        rig: the sensors.
        known: what each sensor sent last, by name; it is brought up to date.
        moved_since: as of `FrozenDepth.age_of`.
    """
    names = [sensor.name for sensor in rig.depths if isinstance(frame.further.get(sensor.name), DepthImage)]
    witness = _witness(frame, color, rig) if names else color

    def age_of(name: str, values: NDArray[np.generic] | None) -> DepthAge:
        return known.setdefault(name, FrozenDepth()).age_of(frame.stamp_ns, witness, values, moved_since)

    age = age_of(PAIR_DEPTH, depth)
    ages = {name: age_of(name, image.values) for name in names if isinstance(image := frame.further[name], DepthImage)}
    repeated = [name for name, one in ages.items() if one != DepthAge()]
    pair = depth is not None and not age.fault
    if not pair and len(repeated) == len(names):
        # Nothing is left but what came before: the pair's own, or the first of the others.
        kept = [name for name in names if depth is None and name == names[0]]
        age = ages[kept[0]] if kept else age
        return CurrentFrame(_less(frame, set(names) - set(kept)), age, bool(kept) or depth is not None)
    remarks = [f"{image_of(name)} is that of an earlier frame and is left out" for name in repeated]
    frame = _less(frame, set(repeated))
    if age.fault:
        remarks.append(f"{age.fault}; it is left out")
        frame, age = replace(frame, depth=None), DepthAge()
    return CurrentFrame(frame, age, pair or len(repeated) < len(names), tuple(remarks))


def _less(frame: Frame, names: set[str]) -> Frame:
    if not names:
        return frame
    return replace(frame, further={name: image for name, image in frame.further.items() if name not in names})


def _witness(frame: Frame, color: NDArray[np.uint8] | None, rig: SensorRig) -> NDArray[np.uint8] | None:
    """The color image that tells whether the robot moved: the first that shows anything."""
    if color is not None and not is_blank(color):
        return color
    for camera in rig.cameras:
        image = frame.further.get(camera.name)
        if camera.kind == "color" and isinstance(image, ColorImage):
            pixels = prepare_color(image, camera.height, camera.width)
            if not is_blank(pixels):
                return pixels
    return color
