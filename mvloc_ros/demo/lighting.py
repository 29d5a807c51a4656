# SPDX-License-Identifier: Apache-2.0
"""The lamps and windows of the room, and the light settings of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Lamp:
    """Point samples of an area light [N, 3] (m) and the direction in which it shines (None: all directions)."""

    samples: npt.NDArray[np.float64]
    towards: npt.NDArray[np.float64] | None


@dataclass(frozen=True)
class Setting:
    """Intensity per light as linear RGB, and the brightness after exposure."""

    intensities: Mapping[str, tuple[float, float, float]]
    brightness: float = 1.0


def _grid(x: tuple[float, ...], y: tuple[float, ...], z: tuple[float, ...]) -> npt.NDArray[np.float64]:
    return np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1).reshape(-1, 3)


LAMPS: Mapping[str, Lamp] = {
    "sky": Lamp(
        np.concatenate([
            _grid((-1.75, -1.3, -0.85), (2.33,), (1.25, 1.95)), _grid((0.9, 1.4), (2.33,), (1.2, 1.7)),
        ]),
        np.array([0.0, -1.0, 0.0]),
    ),
    "ceiling": Lamp(_grid((-0.1, 0.3), (-0.2, 0.2), (2.3,)), None),
    "lamp": Lamp(_grid((-2.65,), (-1.62, -1.48), (1.5, 1.66)), None),
}  # fmt: skip
SETTINGS: Mapping[str, Setting] = {
    "day": Setting({"sky": (0.75, 0.8, 0.88), "ambient": (0.42, 0.43, 0.45)}),
    "bright day": Setting(
        {"sky": (0.95, 0.96, 0.95), "ambient": (0.32, 0.32, 0.33), "ceiling": (0.2, 0.18, 0.14)}, brightness=1.15
    ),
    "evening": Setting(
        {"ceiling": (0.86, 0.72, 0.5), "ambient": (0.34, 0.29, 0.22), "sky": (0.02, 0.03, 0.06)}, brightness=0.95
    ),
    "lamp": Setting(
        {"lamp": (0.62, 0.46, 0.26), "ambient": (0.36, 0.29, 0.2), "ceiling": (0.3, 0.25, 0.18)}, brightness=0.85
    ),
    "dim": Setting({"sky": (0.4, 0.46, 0.6), "ambient": (0.4, 0.41, 0.46), "lamp": (0.1, 0.07, 0.04)}, brightness=0.6),
    "afternoon": Setting({"sky": (0.8, 0.7, 0.55), "ceiling": (0.3, 0.26, 0.2), "ambient": (0.4, 0.37, 0.33)}),
}


def between(first: Setting, second: Setting, share: float) -> Setting:
    """Interpolated setting: `share` 0 is the first, 1 the second."""
    lights = sorted({*first.intensities, *second.intensities})
    dark = (0.0, 0.0, 0.0)
    mixed = {
        light: tuple(
            (1 - share) * a + share * b
            for a, b in zip(first.intensities.get(light, dark), second.intensities.get(light, dark), strict=True)
        )
        for light in lights
    }
    brightness = (1 - share) * first.brightness + share * second.brightness
    return Setting({light: (r, g, b) for light, (r, g, b) in mixed.items()}, brightness)
