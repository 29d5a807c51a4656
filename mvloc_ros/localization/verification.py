# SPDX-License-Identifier: Apache-2.0
"""Whether a pose is to be believed: evidence from geometry, colour and network, one score, and words.

Each piece of evidence lies in [0, 1], 1 speaks for the pose:

    support      share of the frame's points that lie on the map's surfaces
    fit          how well these do, against the sensor's noise
    free_space   share of the map's surfaces in view through which nothing was seen
    in_view      share of the map's surfaces in view in front of which nothing was seen
    appearance   correlation of the colour image with the brightness that the map's points had in training
    agreement    how well the network, which saw both images, agrees with the registered pose
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import image_points, transform_points
from mvloc_ros.inference.map_spec import AcceptanceSpec
from mvloc_ros.localization.free_space import FreeSpace
from mvloc_ros.localization.local_map import LocalMap
from mvloc_ros.localization.support import Support

Array = NDArray[np.float64]

# Below this standard deviation of the grey levels an image shows nothing: a covered lens, no light.
BLANK_IMAGE = 4.0
# Points that a correlation needs to say anything.
_MIN_COLORED = 50

_WORDS = {
    "support": "only {share:.0%} of the depth image fits the scene map (another place, or the view is blocked)",
    "fit": "the depth image fits the scene map badly",
    "free_space": "the depth image shows space behind surfaces of the scene map (another place, or a wrong pose)",
    "in_view": "something stands in front of most of the scene",
    "appearance": "the colour image does not show what the scene map has there (depth and colour are not of one "
    "moment, another place, or another light)",
    "agreement": "the pose that fits the depth image is far from what the network sees",
}


@dataclass(frozen=True)
class Evidence:
    """What speaks for one pose; see the module."""

    support: float
    fit: float
    free_space: float
    in_view: float
    appearance: float
    agreement: float

    def values(self) -> dict[str, float]:
        """By name."""
        return asdict(self)


NAMES = tuple(Evidence.__dataclass_fields__)


def evidence(found: Support, space: FreeSpace, appearance: float, distance: float) -> Evidence:
    """Collect the evidence.

    Args:
        found: the points at the pose.
        space: what is seen through and hidden there.
        appearance: see `appearance`.
        distance: Mahalanobis distance of the registered pose from the network's, by the network's covariance.
    """
    return Evidence(
        support=found.share,
        fit=max(0.0, 1.0 - found.misfit / 3.0),
        free_space=1.0 - space.seen_through,
        in_view=1.0 - space.hidden,
        appearance=max(0.0, appearance),
        # sqrt(6) is what the distance is for errors as large as the covariance says.
        agreement=1.0 / (1.0 + (distance / (3.0 * math.sqrt(6.0))) ** 2),
    )


def score(found: Evidence, spec: AcceptanceSpec) -> float:
    """The score of a pose in [0, 1]."""
    total = spec.bias + sum(weight * found.values()[name] for name, weight in spec.weights.items())
    return 1.0 / (1.0 + math.exp(-float(np.clip(total, -50.0, 50.0))))


def explain(found: Evidence, spec: AcceptanceSpec) -> str:
    """What speaks most against a pose, in words."""
    values = found.values()
    missing = {name: weight * (spec.typical[name] - values[name]) for name, weight in spec.weights.items()}
    worst = max(missing, key=lambda name: missing[name])
    return _WORDS[worst].format(share=found.support)


def gray(color: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness `[H, W]` of RGB `[H, W, 3]`."""
    return np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def is_blank(color: NDArray[np.uint8]) -> bool:
    """Whether an image shows nothing."""
    return float(np.std(gray(color))) < BLANK_IMAGE


def appearance(
    found: Support, target: LocalMap, color: NDArray[np.uint8], camera: PinholeCamera, T_color_depth: Array
) -> float | None:
    """Correlation in [-1, 1] of image and map over the inliers; None where it says nothing.

    Args:
        found: the points and what they matched.
        target: the map there.
        color: RGB uint8 `[H, W, 3]`.
        camera: the colour camera at any size of this aspect ratio.
        T_color_depth: 4x4.
    """
    image = gray(color)
    known = found.inlier & (target.brightness[found.nearest] > 0)
    seen = transform_points(T_color_depth, found.points[known])
    u, v = image_points(np.maximum(seen, [-np.inf, -np.inf, 1e-3]), camera.scaled_to(image.shape[1], image.shape[0]))
    inside = (u > -0.5) & (v > -0.5) & (u < image.shape[1] - 0.5) & (v < image.shape[0] - 0.5)
    if np.count_nonzero(inside) < _MIN_COLORED:
        return None
    column, row = np.rint(u[inside]).astype(np.intp), np.rint(v[inside]).astype(np.intp)
    measured = image[row, column].astype(np.float64)
    expected = target.brightness[found.nearest][known][inside].astype(np.float64)
    spread = float(measured.std() * expected.std())
    if spread < 1.0:
        return 0.0
    return float(np.mean((measured - measured.mean()) * (expected - expected.mean())) / spread)
