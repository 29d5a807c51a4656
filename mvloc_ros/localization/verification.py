# SPDX-License-Identifier: Apache-2.0
"""Whether a pose is to be accepted: rules, and evidence from geometry, colour and network with one score, and words.

Rules hold whatever the score: a colour image that shows nothing, a view that is blocked. Each piece of evidence lies
in [0, 1], 1 speaks for the pose:

    support             share of the frame's points that lie on the map's surfaces
    fit                 how well these do, against the sensor's noise
    free_space          share of the map's surfaces in view through which nothing was seen
    in_view             share of the map's surfaces in view in front of which nothing was seen
    observability       how well the points determine the pose in the direction that they determine least
    local_contrast      correlation of the colour image's local contrast with that of the map's points, if need be of
                        the image shifted by 1.5 degrees
    synchrony           how much of that correlation is there without a shift
    contrast_alignment  how clearly that correlation is above those of a colour image that is shifted further
    consistency         support x free_space x local_contrast: geometry and colour must both speak for the pose, however
                        well one of them does
    texture             whether there was any contrast to compare: a plain wall shows none, whatever the pose
    agreement           how well the pose agrees with the network, which saw both images, or with the pose accepted last
    continuity          how well it agrees with the pose accepted last, moved by odometry; 0 where there is none
    features            how many local features of a keyframe lie where the pose puts them; 0 where none were matched

Maps that were made before these were known are judged by the weights that they came with, which ask instead of
`observability`, `local_contrast`, `synchrony`, `contrast_alignment` and `consistency` for

    appearance          correlation of the colour image with the brightness that the map's points had in training
    alignment           how little better that correlation would be if the colour image were shifted
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry.covariance import largest_deviations, pose_error
from mvloc_ros.localization.appearance import Appearance
from mvloc_ros.localization.free_space import FreeSpace
from mvloc_ros.localization.inlier_residuals import Support, weakest_m
from mvloc_ros.localization.local_contrast import LocalContrast
from mvloc_ros.localization.pose import Pose
from mvloc_ros.model.map_spec import AcceptanceSpec

Array = NDArray[np.float64]

# The rules' limits: with less of the depth image on the map, or more of the scene hidden, no evidence helps.
_MIN_SUPPORT = 0.2
_MAX_HIDDEN = 0.5
# A correlation that grows by this if the image is shifted means that colour and depth are of two moments.
_SHIFT_GAIN = 0.25
# The ratio of a shifted correlation of local contrast to the one without a shift: up to the first where colour and
# depth are of one moment, from the second on where they are not.
_RATIOS = 0.5, 0.9
# A measurement of one point that leaves the weakest direction so uncertain gives an observability of a half.
_HALF_OBSERVABLE_M = 0.2

# So many matched features are half of the evidence that any number is.
_HALF_CONSENSUS = 15.0
# A pose of which a direction is less known than this (one standard deviation) is not determined.
_UNDETERMINED_M, _UNDETERMINED_RAD = 0.15, np.radians(8.0)
_OPEN = (
    "neither the depth image nor what is known from before determines the pose in all directions (one wall, or a "
    "corridor)"
)

_BLANK = "the colour image shows nothing (a covered lens, or no light)"
_WORDS = {
    "support": "only {share:.0%} of the depth image fits the scene map (another place, or the view is blocked)",
    "fit": "the depth image fits the scene map badly",
    "free_space": "the depth image shows space behind surfaces of the scene map (another place, or a wrong pose)",
    "in_view": "something stands in front of most of the scene (the view is blocked, or another place)",
    "observability": "the depth image does not determine the pose in all directions (one wall, a corridor, or a wrong "
    "pose)",
    "local_contrast": "the contrasts of the colour image are not those that the scene map has there (depth and colour "
    "are not of one moment, or another place)",
    "synchrony": "the contrasts of the colour image would fit the scene map better if it were shifted a little (depth "
    "and colour are not of one moment)",
    "contrast_alignment": "the contrasts of the colour image would fit the scene map as well if it were shifted (depth "
    "and colour are not of one moment, or another place)",
    "consistency": "geometry and colour do not both fit the scene map (another place, or depth and colour are not of "
    "one moment)",
    "texture": "the view has nothing to recognize: neither the colour image nor the scene map has contrast there",
    "continuity": "the pose does not follow from the one accepted last",
    "features": "too little of what the colour image shows is where a keyframe shows it",
    "appearance": "the colour image does not show what the scene map has there (depth and colour are not of one "
    "moment, another place, or another light)",
    "alignment": "the colour image would show what the scene map has there if it were shifted (depth and colour are "
    "not of one moment)",
    "agreement": "the pose that fits the depth image is far from what the network sees",
}


@dataclass(frozen=True)
class Evidence:
    """What speaks for one pose; see the module. None: not asked for by the map's weights."""

    support: float
    fit: float
    free_space: float
    in_view: float
    observability: float
    agreement: float
    continuity: float = 0.0
    features: float = 0.0
    texture: float | None = None
    local_contrast: float | None = None
    synchrony: float | None = None
    contrast_alignment: float | None = None
    appearance: float | None = None
    alignment: float | None = None

    @property
    def consistency(self) -> float | None:
        """See the module."""
        return None if self.local_contrast is None else self.support * self.free_space * self.local_contrast

    def values(self) -> dict[str, float]:
        """By name."""
        named = {**vars(self), "consistency": self.consistency}
        return {name: value for name, value in named.items() if value is not None}


CONTRAST = ("local_contrast", "synchrony", "contrast_alignment")
BRIGHTNESS = ("appearance", "alignment")
"""What only older maps ask for."""
NAMES = (
    *("support", "fit", "free_space", "in_view", "observability", "texture", *CONTRAST, "consistency"),
    *("agreement", "continuity", "features"),
)
"""What maps that are made now ask for."""
KNOWN = (*NAMES, *BRIGHTNESS)


def evidence(
    found: Support,
    space: FreeSpace,
    color: Mapping[str, float],
    agreement: float,
    continuity: float,
    consensus: int,
) -> Evidence:
    """Collect the evidence.

    Args:
        found: the points at the pose.
        space: what is seen through and hidden there.
        color: what the colour image tells, by name: `contrast_evidence`, `brightness_evidence`, or `typical_color`.
        agreement: see `agreement`.
        continuity: see `continuity`; 0 where no pose is expected.
        consensus: matched local features that lie where the pose puts them.
    """
    return Evidence(
        support=found.share,
        fit=max(0.0, 1.0 - found.misfit / 3.0),
        free_space=1.0 - space.seen_through,
        in_view=1.0 - space.hidden,
        observability=observability(found),
        agreement=agreement,
        continuity=continuity,
        features=consensus / (consensus + _HALF_CONSENSUS),
        **color,
    )


def observability(found: Support) -> float:
    """How well the points determine the pose in the direction that they determine least; 0: not at all.

    By what an average point tells, so that it does not depend on how many are used. Matched features do not
    count: they share errors of their places that are larger than what many of them seem to determine.
    """
    one_point_m = weakest_m(found) * math.sqrt(max(1, len(found.points)))
    return 1.0 / (1.0 + (one_point_m / _HALF_OBSERVABLE_M) ** 2)


def contrast_evidence(seen: LocalContrast) -> dict[str, float]:
    """What the local contrast of the colour image tells."""
    low, high = _RATIOS
    return {
        "local_contrast": max(0.0, seen.nearby),
        "synchrony": min(1.0, seen.synchrony),
        "contrast_alignment": 1.0 - float(np.clip((seen.ratio - low) / (high - low), 0.0, 1.0)),
    }


def brightness_evidence(seen: Appearance) -> dict[str, float]:
    """What the brightness of the colour image tells."""
    gain = (seen.shifted - seen.correlation) / _SHIFT_GAIN
    return {"appearance": max(0.0, seen.correlation), "alignment": 1.0 - float(np.clip(gain, 0.0, 1.0))}


def asked_of_color(spec: AcceptanceSpec | None) -> tuple[str, ...]:
    """The names of what a map's weights ask of the colour image; without weights what those of a map made now ask."""
    return CONTRAST if spec is None else tuple(name for name in (*CONTRAST, *BRIGHTNESS) if name in spec.weights)


def typical_color(spec: AcceptanceSpec | None) -> dict[str, float]:
    """What right poses have, so that a frame whose colour cannot be compared is judged by the rest.

    NaN where that is not known yet.
    """
    return {name: math.nan if spec is None else spec.typical[name] for name in asked_of_color(spec)}


def continuity(squared: float, expected: Array) -> float:
    """How well registration agrees with where the tracker expects the camera, the more the better that is known.

    Of an expectation that is as uncertain as `_UNDETERMINED_M` and agrees fully, a half.

    Args:
        squared: see `inlier_residuals.innovation`.
        expected: covariance of the expected pose, 6x6.
    """
    vagueness = float(np.trace(expected[:3, :3])) / (3.0 * _UNDETERMINED_M**2)
    return 1.0 / ((1.0 + squared / 54.0) * (1.0 + vagueness))


def undetermined(covariance: Array) -> str:
    """Whether a pose with this covariance (6x6) is open in a direction, in words; empty if not."""
    metres, radians = largest_deviations(covariance)
    return _OPEN if metres > _UNDETERMINED_M or radians > _UNDETERMINED_RAD else ""


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


def log_odds(share: float) -> float:
    """The natural logarithm of the odds of a score or threshold."""
    inside = min(max(share, 1e-12), 1.0 - 1e-12)
    return math.log(inside / (1.0 - inside))


def explain(found: Evidence, spec: AcceptanceSpec) -> str:
    """What speaks most against a pose, in words."""
    values = found.values()
    missing = {name: weight * (spec.typical[name] - values[name]) for name, weight in spec.weights.items()}
    worst = max(missing, key=lambda name: missing[name])
    return _WORDS[worst].format(share=found.support)
