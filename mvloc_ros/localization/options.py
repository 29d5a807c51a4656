# SPDX-License-Identifier: Apache-2.0
"""How poses are refined; apart from the code that does it, which needs more libraries than the network alone."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("auto", "off", "required")


@dataclass(frozen=True)
class RefinementOptions:
    """How poses are refined. The defaults are those of the node's parameters, too.

    Attributes:
        mode: `auto` refines where the bundle has a map and the frame has depth; `off` never; `required` refuses a
            bundle without a usable map, and gives no pose for a frame that cannot be refined.
        budget_ms: wall time for refinement and verification of one frame.
        points: of the depth image, at most.
        starts: starting poses, at most; 1 is the network's alone.
        threads: of the registration. More than one wait for each other where the cores have other work, and then take
            longer than one alone.
        unverified_after_s: seconds without a verdict of the scene map after which poses that it could not judge are
            accepted; 0: at once.
    """

    mode: str = "auto"
    budget_ms: float = 60.0
    points: int = 2000
    starts: int = 4
    threads: int = 1
    unverified_after_s: float = 5.0

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"refine must be one of {', '.join(MODES)}, not {self.mode!r}")
        if not (
            self.budget_ms > 0.0
            and self.points >= 100
            and self.starts >= 1
            and self.threads >= 1
            and self.unverified_after_s >= 0.0
        ):
            raise ValueError(f"impossible refinement options: {self}")
