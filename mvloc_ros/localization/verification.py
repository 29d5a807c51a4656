# SPDX-License-Identifier: Apache-2.0
"""Whether a pose is to be accepted: rules, and evidence from geometry, colour and network with one score, and words.

Rules hold whatever the score: a colour image that shows nothing, a view that is blocked. Each piece of evidence lies
in [0, 1], 1 speaks for the pose:

    support      share of the frame's points that lie on the map's surfaces
    fit          how well these do, against the sensor's noise
    free_space   share of the map's surfaces in view through which nothing was seen
    in_view      share of the map's surfaces in view in front of which nothing was seen
    appearance   correlation of the colour image with the brightness that the map's points had in training
    alignment    how little better that correlation would be if the colour image were shifted
    agreement    how well the pose agrees with the network, which saw both images, or with the pose accepted last
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import pose_error
from mvloc_ros.localization.appearance import Appearance
from mvloc_ros.localization.free_space import FreeSpace
from mvloc_ros.localization.inlier_residuals import Support
from mvloc_ros.localization.pose import Pose
from mvloc_ros.model.map_spec import AcceptanceSpec

Array = NDArray[np.float64]

# The rules' limits: with less of the depth image on the map, or more of the scene hidden, no evidence helps.
_MIN_SUPPORT = 0.2
_MAX_HIDDEN = 0.5
# A correlation that grows by this if the image is shifted means that colour and depth are of two moments.
_SHIFT_GAIN = 0.25

_BLANK = "the colour image shows nothing (a covered lens, or no light)"
_WORDS = {
    "support": "only {share:.0%} of the depth image fits the scene map (another place, or the view is blocked)",
    "fit": "the depth image fits the scene map badly",
    "free_space": "the depth image shows space behind surfaces of the scene map (another place, or a wrong pose)",
    "in_view": "something stands in front of most of the scene (the view is blocked, or another place)",
    "appearance": "the colour image does not show what the scene map has there (depth and colour are not of one "
    "moment, another place, or another light)",
    "alignment": "the colour image would show what the scene map has there if it were shifted (depth and colour are "
    "not of one moment)",
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
    alignment: float
    agreement: float

    def values(self) -> dict[str, float]:
        """By name."""
        return dict(vars(self))


NAMES = tuple(Evidence.__dataclass_fields__)


def evidence(
    found: Support, space: FreeSpace, seen: Appearance | None, typical: Appearance, agreement: float
) -> Evidence:
    """Collect the evidence.

    Args:
        found: the points at the pose.
        space: what is seen through and hidden there.
        seen: how the colour image compares there; None where it cannot be compared.
        typical: what speaks neither for nor against a pose, in that case.
        agreement: see `agreement`.
    """
    seen = seen or typical
    return Evidence(
        support=found.share,
        fit=max(0.0, 1.0 - found.misfit / 3.0),
        free_space=1.0 - space.seen_through,
        in_view=1.0 - space.hidden,
        appearance=max(0.0, seen.correlation),
        alignment=1.0 - float(np.clip((seen.shifted - seen.correlation) / _SHIFT_GAIN, 0.0, 1.0)),
        agreement=agreement,
    )


def typical_appearance(spec: AcceptanceSpec | None) -> Appearance:
    """What right poses have, so that a frame whose colour cannot be compared is judged by the rest."""
    if spec is None:
        return Appearance(1.0, 1.0)
    correlation = spec.typical.get("appearance", 1.0)
    return Appearance(correlation, correlation + _SHIFT_GAIN * (1.0 - spec.typical.get("alignment", 1.0)))


def agreement(T_map_camera: Array, expected: Iterable[Pose]) -> float:
    """How well a pose agrees with the one of the expectations that it agrees with best, the first being the network's.

    By the squared Mahalanobis distance. An expectation that is vaguer than the first agrees with everything, so
    what it is vaguer by (the logarithm of the ratio of the determinants) is added, as in the densities' ratio.
    """
    best, first = math.inf, None
    for one in expected:
        error = pose_error(T_map_camera, one.T)
        size = float(np.linalg.slogdet(one.covariance)[1])
        first = size if first is None else first
        squared = float(error @ np.linalg.solve(one.covariance, error)) + max(0.0, size - first)
        best = min(best, squared)
    # 6 is what is expected of errors as large as the covariance says; three times as large errors give a half.
    return 1.0 / (1.0 + best / 54.0)


def hides_too_much(share: float) -> bool:
    """Whether a view of which this share is hidden is blocked."""
    return share > _MAX_HIDDEN


def blocked(space: FreeSpace) -> str:
    """Whether something hides most of the scene, in words; empty if not."""
    return _WORDS["in_view"] if hides_too_much(space.hidden) else ""


def color_fault(color_is_blank: bool) -> str:
    """By which rule a pose is rejected for its colour image, whatever the depth image shows; empty if by none."""
    return _BLANK if color_is_blank else ""


def fault(found: Support, space: FreeSpace, color_is_blank: bool) -> str:
    """By which rule a pose is not to be accepted, in words; empty if by none."""
    if color_is_blank:
        return color_fault(color_is_blank)
    too_little = _WORDS["support"].format(share=found.share) if found.share < _MIN_SUPPORT else ""
    return blocked(space) or too_little


def score(found: Evidence, spec: AcceptanceSpec) -> float:
    """The score of a pose in [0, 1]."""
    values = found.values()
    total = spec.bias + sum(weight * values[name] for name, weight in spec.weights.items())
    return 1.0 / (1.0 + math.exp(-float(np.clip(total, -50.0, 50.0))))


def explain(found: Evidence, spec: AcceptanceSpec) -> str:
    """What speaks most against a pose, in words."""
    values = found.values()
    missing = {name: weight * (spec.typical[name] - values[name]) for name, weight in spec.weights.items()}
    worst = max(missing, key=lambda name: missing[name])
    return _WORDS[worst].format(share=found.support)
