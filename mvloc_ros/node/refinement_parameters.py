# SPDX-License-Identifier: Apache-2.0
"""The parameters of refinement: their declarations and their values."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.localization.options import MODES, RefinementOptions
from mvloc_ros.node.parameter_spec import Spec

_DEFAULTS = RefinementOptions()


@dataclass(frozen=True)
class RefinementParameters:
    """The values of one configuration, by the names of the ROS parameters."""

    refine: str
    refine_budget_ms: float
    refine_points: int
    refine_starts: int
    unverified_after: float

    @property
    def refinement(self) -> RefinementOptions:
        """The same for the localizer."""
        return RefinementOptions(
            self.refine,
            self.refine_budget_ms,
            self.refine_points,
            self.refine_starts,
            unverified_after_s=self.unverified_after,
        )


REFINEMENT_SPECS: dict[str, Spec] = {
    "refine": Spec(
        "auto",
        "Refine poses against the model's scene map: where it has one, never, or no pose without.",
        choices=MODES,
    ),
    "refine_budget_ms": Spec(
        _DEFAULTS.budget_ms, "Milliseconds for refining and verifying one pose.", range=(1.0, 10000.0)
    ),
    "refine_points": Spec(
        _DEFAULTS.points, "Points of the depth image that are registered, at most.", range=(100, 100000)
    ),
    "refine_starts": Spec(
        _DEFAULTS.starts, "Starting poses that are tried, at most, while time is left.", range=(1, 64)
    ),
    "unverified_after": Spec(
        _DEFAULTS.unverified_after_s,
        "Seconds without a verdict of the scene map until poses that it cannot judge are accepted; 0: at once.",
        range=(0.0, 3600.0),
    ),
}
