# SPDX-License-Identifier: Apache-2.0
"""Sensor models: noise and vignetting of the color image, noise and holes of the depth image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mvloc_ros.demo.raycast import Hits

FloatMap = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ColorSensor:
    """noise: standard deviation in steps of 8 bit; vignetting: loss of light in the corners (share).

    The noise is the same for bright and dark pixels, since the gamma curve, close to a square root, makes the
    variance of photon noise constant (Anscombe's transform).
    """

    noise: float = 2.0
    vignetting: float = 0.15

    def capture(self, encoded: FloatMap, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """Gamma-encoded light 0..255 [H, W, 3] -> uint8 RGB."""
        height, width = encoded.shape[:2]
        x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
        edge = (1 - self.vignetting * (x[None] ** 2 + y[:, None] ** 2) / 2).astype(np.float32)
        image = np.asarray(cv2.GaussianBlur(encoded, (3, 3), 0.5), dtype=np.float32)  # the lens
        image *= edge[..., None]
        image += np.float32(self.noise) * rng.standard_normal(image.shape, dtype=np.float32)
        return quantised(image)


def quantised(encoded: FloatMap) -> npt.NDArray[np.uint8]:
    """Rounded and clipped to 8 bit."""
    return np.asarray(np.clip(encoded + 0.5, 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class DepthSensor:
    """A structured-light camera such as the first Kinect.

    Axial noise: sigma = 0.0012 + 0.0019 (z - 0.4)^2 meters (Nguyen, Izadi, Lovell: Modeling Kinect Sensor Noise for
    Improved 3D Reconstruction and Tracking, 3DIMPVT 2012, Eq. 3); it grows with z^2 as Khoshelham and Elberink
    (Sensors 2012) derive from the disparity's quantisation. Depth is rounded to `step` meters.
    No measurement (0): outside the range, on glass, at grazing angles, often at edges, and at random pixels.
    """

    near: float = 0.4
    far: float = 8.0
    step: float = 0.001
    dropout: float = 0.004
    edge_dropout: float = 0.6
    edge_jump: float = 0.05  # a step in depth of more than this share of z within the neighbouring pixels is an edge
    grazing_cosine: float = 0.2  # below this the chance of a hole grows, to certainty at half of it

    def sigma(self, depth: FloatMap) -> FloatMap:
        """Standard deviation of a measurement at a depth, both in meters."""
        return np.asarray(0.0012 + 0.0019 * (depth - 0.4) ** 2, dtype=np.float32)

    def capture(self, hits: Hits, glass: Mask, rng: np.random.Generator) -> FloatMap:
        """float32 meters [H, W], 0 where nothing was measured; `glass` [H, W]: transparent to infrared light."""
        exact = hits.depth
        measured = exact + self.sigma(exact) * rng.standard_normal(exact.shape, dtype=np.float32)
        measured = np.rint(measured / np.float32(self.step)) * np.float32(self.step)
        kernel = np.ones((3, 3), np.uint8)
        edge = cv2.dilate(exact, kernel) - cv2.erode(exact, kernel) > self.edge_jump * exact
        grazing = 2 - 2 * hits.cosine / np.float32(self.grazing_cosine)
        chance = np.maximum(np.where(edge, np.float32(self.edge_dropout), np.float32(self.dropout)), grazing)
        lost = rng.random(exact.shape, dtype=np.float32) < chance
        lost |= glass | (measured < self.near) | (measured > self.far)
        measured[lost] = 0.0
        return np.asarray(measured, dtype=np.float32)
