# SPDX-License-Identifier: Apache-2.0
"""What the sensors besides color and depth had to do with a run: shares and skews of each frame, and in total."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mvloc_ros.model.modalities import PAIR
from mvloc_ros.replay.outcomes import ACCEPTED, Outcome
from mvloc_ros.replay.run import Run

PRIOR = "prior"


def experts(sensors: Sequence[str]) -> tuple[str, ...]:
    """The experts of a model with these further sensors, in the order of their shares."""
    return (PRIOR, *PAIR, *sensors)


def shares_of(sensors: Sequence[str], shares: Sequence[float]) -> dict[str, float]:
    """Expert -> share; empty for a model of the pair, which has the two alone."""
    return dict(zip(experts(sensors), map(float, shares), strict=True)) if sensors else {}


def sensor_columns(sensors: Sequence[str]) -> list[str]:
    """The names of `sensor_numbers`; none for a model of the pair."""
    if not sensors:
        return []
    return [f"{name}_share" for name in experts(sensors)] + [f"{name}_skew_s" for name in sensors]


def sensor_numbers(sensors: Sequence[str], outcome: Outcome | None) -> list[float]:
    """Of one frame; NaN where nothing is known, and where the frame has no image of the sensor."""
    if not sensors:
        return []
    shares: Mapping[str, float] = {} if outcome is None else outcome.shares
    skews: Mapping[str, float] = {} if outcome is None else outcome.skews_s
    return [shares.get(name, math.nan) for name in experts(sensors)] + [skews.get(name, math.nan) for name in sensors]


@dataclass(frozen=True)
class SensorFigures:
    """Of one further sensor, over the accepted poses.

    Attributes:
        poses: to which its expert contributed.
        median_share: of the expert in these; None where there are none.
        median_skew_s: of the images in frames; None where there are none.
    """

    poses: int
    median_share: float | None
    median_skew_s: float | None

    def text(self, accepted: int) -> str:
        """In a line, after the sensor's name."""
        text = f"in {self.poses} of {accepted} poses"
        text += "" if self.median_share is None else f", median share {self.median_share:.3f}"
        return text + ("" if self.median_skew_s is None else f", median skew {1e3 * self.median_skew_s:+.1f} ms")


def sensor_figures(run: Run) -> dict[str, SensorFigures]:
    """Sensor -> its figures, in the order of the model; empty for a model of the pair."""
    outcomes = list(run.outcomes.values())
    found = {}
    for name in run.sensors:
        shares = [share for outcome in outcomes if (share := outcome.shares.get(name, 0.0)) > 0.0]
        skews = [outcome.skews_s[name] for outcome in outcomes if name in outcome.skews_s]
        found[name] = SensorFigures(len(shares), _median(shares), _median(skews))
    return found


def figure_lines(run: Run) -> list[str]:
    """The figures of all sensors for the terminal."""
    accepted = sum(outcome.kind == ACCEPTED for outcome in run.outcomes.values())
    return [f"sensor {name}: {figures.text(accepted)}" for name, figures in sensor_figures(run).items()]


def figure_values(run: Run) -> dict[str, Any]:
    """What report.json has of them: the key `sensors`, or nothing for a model of the pair."""
    figures = {name: asdict(value) for name, value in sensor_figures(run).items()}
    return {"sensors": figures} if figures else {}


def images_note(name: str, used: int, came: int, invalid: int, why: str) -> str:
    """That so many of a sensor's images are in frames, and how many could not be used; `why` may be empty."""
    unusable = f", {invalid} not usable" + (f" ({why})" if why else "") if invalid else ""
    return f"{name}: {used} of {came} images are in frames{unusable}"


def alone_note(frames: int) -> str:
    """That so many frames are of further sensors alone."""
    return f"{frames} frames are of further sensors alone"


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
