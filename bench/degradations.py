# SPDX-License-Identifier: Apache-2.0
"""Frames with one image made nearly useless or taken away, and what the network alone makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.evaluation.pose_errors import PoseErrors
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.mapping.lighting import Light
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame

ColorChange = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
DepthChange = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]

BOTH = "both as recorded"
_BLUR, _GRAY = 0.06, 128  # of the image's width, gray level
_HOLE_SIDE, _REMAINING, _NOISE, _BLANK_M = 0.95, 0.1, 0.4, 1.0


def _blurred(pixels: NDArray[np.uint8], _rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), _BLUR * pixels.shape[1]), np.uint8)


def _gray(pixels: NDArray[np.uint8], _rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.full_like(pixels, _GRAY)


def _hole(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    rows, columns = (round(_HOLE_SIDE * side) for side in depth.shape)
    top, left = (int(rng.integers(side - hole + 1)) for side, hole in zip(depth.shape, (rows, columns), strict=True))
    depth[top : top + rows, left : left + columns] = 0.0
    return depth


def _single_pixels(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    return np.where(rng.random(depth.shape) < 0.5 * _REMAINING, depth, np.float32(0.0))


def _too_far(depth: NDArray[np.float32], _rng: np.random.Generator) -> NDArray[np.float32]:
    return np.where(depth < _quantile(depth, _REMAINING), depth, np.float32(0.0))


def _too_near(depth: NDArray[np.float32], _rng: np.random.Generator) -> NDArray[np.float32]:
    return np.where(depth > _quantile(depth, 1.0 - _REMAINING), depth, np.float32(0.0))


def _noisy(depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    factor = 1.0 + _NOISE * rng.standard_normal(depth.shape, np.float32)
    return np.maximum(depth * factor, 0.0).astype(np.float32)


def _one_depth(depth: NDArray[np.float32], _rng: np.random.Generator) -> NDArray[np.float32]:
    return np.full_like(depth, _BLANK_M)


def _quantile(depth: NDArray[np.float32], share: float) -> float:
    measured = depth[np.isfinite(depth) & (depth > 0.0)]
    return float(np.quantile(measured, share)) if measured.size else 0.0


COLOR: dict[str, ColorChange] = {
    "color dark": Light(gain=0.03, noise=3.0).on,
    "color overexposed": Light(gain=12.0).on,
    "color blurred": _blurred,
    "color noisy": Light(noise=80.0).on,
    "color blank": _gray,
}
DEPTH: dict[str, DepthChange] = {
    "depth with a hole": _hole,
    "depth of single pixels": _single_pixels,
    "depth mostly too far": _too_far,
    "depth mostly too near": _too_near,
    "depth noisy": _noisy,
    "depth blank": _one_depth,
}
LOST = {"without depth": "depth", "without color": "color"}
NAMES = (BOTH, *LOST, *COLOR, *DEPTH)


def degraded(frames: Sequence[Frame], name: str, seed: int) -> list[Frame]:
    """The frames with the degradation of that name (`NAMES`); the noise is of the seed and the frame's number.

    A frame that lacks the image stays as it is.
    """
    return [_degraded(frame, name, np.random.default_rng((seed, i))) for i, frame in enumerate(frames)]


def _degraded(frame: Frame, name: str, rng: np.random.Generator) -> Frame:
    if name == BOTH:
        return frame
    if name in LOST:
        return replace(frame, **{LOST[name]: None})
    if name in COLOR:
        if frame.color is None:
            return frame
        return replace(frame, color=ColorImage(COLOR[name](frame.color.pixels, rng), frame.color.order))
    if frame.depth is None:
        return frame
    meters = frame.depth.values.astype(np.float32) * np.float32(frame.depth.metres_per_unit)
    return replace(frame, depth=DepthImage(DEPTH[name](meters, rng), 1.0))


def network_figures(estimates: Sequence[PoseEstimate | None], truth: NDArray[np.float64]) -> dict[str, float]:
    """Mean shares of the experts, and median errors of the network alone.

    Args:
        estimates: None where there is no pose.
        truth: poses `[N, 4, 4]`.

    Returns:
        The share of frames with a pose and, over these, the rest; NaN if there is none.
    """
    known = np.array([estimate is not None for estimate in estimates], dtype=bool)
    found = [estimate for estimate in estimates if estimate is not None]
    figures = {"posed": float(known.mean())}
    if not found:
        names = ("prior_share", "color_share", "depth_share", "median_m", "median_deg")
        return figures | dict.fromkeys(names, float("nan"))
    prior, color, depth = np.mean([estimate.expert_share for estimate in found], axis=0).tolist()
    errors = PoseErrors.of(np.array([estimate.network.T for estimate in found]), truth[known])
    meters, degrees = errors.medians()
    shares = {"prior_share": prior, "color_share": color, "depth_share": depth}
    return figures | shares | {"median_m": meters, "median_deg": degrees}
