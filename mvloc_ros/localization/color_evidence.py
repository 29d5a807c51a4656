# SPDX-License-Identifier: Apache-2.0
"""What the color images of a frame tell of a pose: each camera is asked, and counts by the points that it shows.

A gray camera is not asked. The map has the brightness that color cameras saw, which an infrared or a thermal image does
not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization import appearance, local_contrast, verification
from mvloc_ros.localization.inlier_residuals import Support
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.model.map_spec import AcceptanceSpec

Array = NDArray[np.float64]

PAIR_COLOR = "color"
"""The name of the pair's color camera."""


@dataclass(frozen=True, eq=False)
class ColorView:
    """The image of one color camera.

    Attributes:
        name: of the camera.
        image: RGB uint8 `[H, W, 3]`, in any size.
        camera: its intrinsics, at any size of this aspect ratio.
        T_color_depth: 4x4, maps coordinates of the pair's depth camera into this camera.
        is_blank: it shows nothing: a covered lens, or no light.
    """

    name: str
    image: NDArray[np.uint8]
    camera: PinholeCamera
    T_color_depth: Array
    is_blank: bool

    @staticmethod
    def of(name: str, image: NDArray[np.uint8], camera: PinholeCamera, T_color_depth: Array) -> ColorView:
        """Look whether it shows anything."""
        return ColorView(name, image, camera, T_color_depth, appearance.is_blank(image))


def are_blank(views: Sequence[ColorView]) -> bool:
    """Whether there are images, and none shows anything."""
    return bool(views) and all(view.is_blank for view in views)


def color_evidence(
    views: Sequence[ColorView], found: Support, target: LocalMap, spec: AcceptanceSpec | None
) -> dict[str, float]:
    """What the map's weights ask of the color images; what is typical where none can be compared.

    Args:
        views: the images; those that are blank are not asked, unless all are.
        found: the points at the pose.
        target: the map there.
        spec: the map's weights.
    """
    asked = verification.asked_of_color(spec)
    if are_blank(views):
        return dict.fromkeys(asked, 0.0) | {"texture": 0.0}
    contrasts: list[tuple[int, Mapping[str, float]]] = []
    brightnesses: list[tuple[int, Mapping[str, float]]] = []
    for view in views:
        count = 0 if view.is_blank else _count_in(view, found)
        if not count:
            continue
        at = found, target, view.image, view.camera, view.T_color_depth
        if set(asked) & set(verification.CONTRAST) and (contrast := local_contrast.compare(*at)) is not None:
            contrasts.append((count, verification.contrast_evidence(contrast)))
        if set(asked) & set(verification.BRIGHTNESS) and (brightness := appearance.compare(*at)) is not None:
            brightnesses.append((count, verification.brightness_evidence(brightness)))
    evidence = verification.typical_color(spec) | _mean(contrasts) | _mean(brightnesses)
    return {name: evidence[name] for name in asked} | {"texture": float(bool(contrasts))}


def _count_in(view: ColorView, found: Support) -> int:
    """How many of the points lie in an image, on the map's surfaces or not.

    Those that the pair's depth camera measured are what its color camera is asked of, wherever they lie.
    """
    inside = appearance.are_in_image(found.points, view.camera, view.T_color_depth)
    if view.name == PAIR_COLOR:
        inside |= ~np.any(found.rays.origins[found.rays.sensor], axis=1)
    return int(np.count_nonzero(inside))


def _mean(found: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """The mean of evidence by name, weighted by the counts; that of one camera as it is."""
    if len(found) < 2:
        return {name: value for _, values in found for name, value in values.items()}
    total = sum(count for count, _ in found)
    return {name: sum(count * values[name] for count, values in found) / total for name in found[0][1]}
