# SPDX-License-Identifier: Apache-2.0
"""Another light on a colour image: lamps, shadows, casts, exposure, a gamma curve, noise.

For trials of what a map accepts, and for benchmarks. A simulation: gains on the image's grey levels, where a real lamp
also makes new shadows and reflections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Gains = NDArray[np.float32]

_NO_CAST = 1.0, 1.0, 1.0


@dataclass(frozen=True)
class Spot:
    """A lamp's spot: gain `floor` far from it and `floor + peak` in its middle.

    Attributes:
        column, row: of its middle, as shares of the image's width and height.
        radius: standard deviation as a share of the image's width.
    """

    column: float
    row: float
    radius: float = 0.22
    floor: float = 0.3
    peak: float = 1.8


@dataclass(frozen=True)
class Shadow:
    """Beyond a straight edge the gain is `gain`.

    Attributes:
        column, row: a point on the edge, as shares of the image's width and height.
        angle: of the edge's normal, towards the shadow, radians.
    """

    column: float
    row: float
    angle: float
    gain: float


@dataclass(frozen=True)
class Light:
    """What another light makes of an image: 255 * (level / 255) ** gamma, times gains, plus noise, and cut off.

    Attributes:
        gamma: exponent.
        gain: of all.
        cast: gains of red, green and blue.
        across, down: the gain changes by these from the middle to the right and to the lower edge, linearly.
        spot: a lamp's, or None.
        shadows: edges of shadows.
        noise: standard deviation in grey levels.
    """

    gamma: float = 1.0
    gain: float = 1.0
    cast: tuple[float, float, float] = _NO_CAST
    across: float = 0.0
    down: float = 0.0
    spot: Spot | None = None
    shadows: tuple[Shadow, ...] = ()
    noise: float = 0.0

    def on(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """The RGB image `[H, W, 3]` in this light; `rng` draws the noise."""
        if self == Light():
            return image
        curve = (255.0 * (np.arange(256) / 255.0) ** self.gamma).astype(np.float32)
        gains = self._gains(*image.shape[:2])[..., None] * np.array(self.cast, np.float32)
        levels = curve[image] * gains
        if self.noise > 0.0:
            levels += np.float32(self.noise) * rng.standard_normal(image.shape, np.float32)
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)

    def _gains(self, height: int, width: int) -> Gains:
        """`[H, W]`."""
        u = np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :]
        v = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
        gains = self.gain * (1.0 + self.across * (2.0 * u - 1.0)) * (1.0 + self.down * (2.0 * v - 1.0))
        aspect = height / width
        if self.spot is not None:
            spot = self.spot
            squared = (u - spot.column) ** 2 + (aspect * (v - spot.row)) ** 2
            gains = gains * (spot.floor + spot.peak * np.exp(-0.5 * squared / spot.radius**2))
        for shadow in self.shadows:
            beyond = (u - shadow.column) * np.cos(shadow.angle) + aspect * (v - shadow.row) * np.sin(shadow.angle)
            gains = gains * np.where(beyond > 0.0, shadow.gain, 1.0)
        return np.maximum(gains, 0.0).astype(np.float32)


RECORDED = Light()
EVENING = Light(gain=0.5, cast=(1.2, 0.9, 0.55), across=-0.6, spot=Spot(0.3, 0.35, 0.25, 0.5, 1.2), noise=4.0)
"""A warm lamp on one side, darker, noisy."""


def drawn(rng: np.random.Generator) -> Light:
    """A light by chance: one time in four as recorded, else exposure, gamma, cast and one to two lamps or shadows."""
    if rng.random() < 0.25:
        return RECORDED
    gain = float(np.exp(rng.uniform(np.log(0.15), np.log(2.5))))
    gamma = float(np.exp(rng.uniform(np.log(0.5), np.log(2.5))))
    if rng.random() < 0.5:  # one of both alone, or both a little
        gain, gamma = (gain, 1.0) if rng.random() < 0.5 else (1.0, gamma)
    else:
        gain, gamma = gain**0.5, gamma**0.5
    warmth = float(rng.uniform(-0.35, 0.35))
    kind = rng.integers(4)
    across, down = (float(value) for value in rng.uniform(-0.75, 0.75, 2)) if kind == 1 else (0.0, 0.0)
    column, row, radius, floor = (float(value) for value in rng.uniform((0.1, 0.1, 0.15, 0.2), (0.9, 0.9, 0.35, 0.6)))
    edges = [rng.uniform((0.2, 0.2, 0.0, 0.35), (0.8, 0.8, 2 * np.pi, 0.8)) for _ in range(2)]
    return Light(
        gamma=gamma,
        gain=gain,
        cast=(1.0 + warmth, 1.0, 1.0 - warmth),
        across=across,
        down=down,
        spot=Spot(column, row, radius, floor) if kind == 2 else None,
        shadows=tuple(Shadow(*(float(value) for value in edge)) for edge in edges) if kind == 3 else (),
        noise=float(rng.uniform(0.0, 4.0)) if gain < 1.0 else 0.0,
    )
