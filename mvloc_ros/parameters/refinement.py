# SPDX-License-Identifier: Apache-2.0
"""The parameters of refinement. The defaults are those of `RefinementOptions`."""

from __future__ import annotations

from dataclasses import dataclass

from mvloc_ros.localization.options import MODES, RefinementOptions
from mvloc_ros.parameters.declaration import parameter

_OPTIONS = RefinementOptions()


@dataclass(frozen=True)
class RefinementParameters:
    """How poses are refined and verified against the model's scene map."""

    refine: str = parameter(
        _OPTIONS.mode,
        "refine poses against the model's scene map; `auto`: where it has one; `off`: never; `required`: no pose "
        "without",
        choices=MODES,
    )
    refine_budget_ms: float = parameter(
        _OPTIONS.budget_ms, "time for refining and verifying one pose", unit="ms", range=(1.0, 10000.0)
    )
    refine_points: int = parameter(
        _OPTIONS.points, "points of the depth image that are registered, at most", range=(100, 100000)
    )
    refine_starts: int = parameter(
        _OPTIONS.starts, "starting poses that are tried, at most, while time is left", range=(1, 64)
    )
    unverified_after: float = parameter(
        _OPTIONS.unverified_after_s,
        "time without a verdict of the scene map until poses that it cannot judge are accepted; 0: at once",
        unit="s",
        range=(0.0, 3600.0),
    )

    @property
    def refinement(self) -> RefinementOptions:
        """The same for the localizer."""
        return RefinementOptions(
            mode=self.refine,
            budget_ms=self.refine_budget_ms,
            points=self.refine_points,
            starts=self.refine_starts,
            unverified_after_s=self.unverified_after,
        )
