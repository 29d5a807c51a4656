# SPDX-License-Identifier: Apache-2.0
"""Local features of a frame with their places in space, and the pose that matches between two frames tell.

Where geometry leaves something open (a wall, a corridor, two rooms alike) what hangs and stands there decides: SIFT
(Lowe, 2004; RootSIFT, Arandjelovic and Zisserman, 2012) on a gray image of 320 columns without noise and without the
light's part (`normalized`), each feature with the measured depth there. Matches of two frames are pairs of points, so
three of them give a rigid motion (Arun et al., 1987), and the motion with the largest consensus wins (RANSAC, Fischler
and Bolles, 1981).

Those further away than the depth sensor measures have a direction; `sightings` has the pose that these tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import image_points, transform_points
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.preprocessing import prepare_color

Array = NDArray[np.float64]

LENGTH = 128
"""Of a descriptor."""
MOST_OF_FRAME, MOST_OF_KEYFRAME = 300, 280
"""Features, the clearest ones."""
_COLUMNS = 320
_CELLS = (8, 6)
_CONTRAST = 0.01
# Pixels of 320: noise of dark images, which a lens blurs less than this; and over which light varies little.
_SMOOTHED, _SURROUNDINGS = 1.3, 16.0
# Grey levels that are added before the logarithm, and a contrast there: what is below is noise and rounding.
_DARK, _LEAST_CONTRAST = 4.0, 0.03
# Grey levels of one standard deviation of the contrast about the middle one.
_MIDDLE, _SPREAD = 128.0, 40.0
# Depths around a feature that differ by more than this share are of an edge, whose side is not known.
_EDGE = 0.05
# A match must be clearer than the second best by this factor (Lowe's ratio test).
_RATIO = 0.8
# Two points of a match agree within a centimetre or two and a share of the distance: noise of depth and of the pixel.
_NEAR_M, _NEAR_SHARE = 0.02, 0.02
_DRAWS, _ROUNDS = 600, 3
_LEAST = 6


@dataclass(frozen=True, eq=False)
class LocalFeatures:
    """Of one frame.

    Attributes:
        points: float64 `[N, 3]` metres, in the frame of the camera that the model gives the pose of.
        descriptors: uint8 `[N, LENGTH]`.
    """

    points: Array
    descriptors: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, eq=False)
class ImageFeatures:
    """Of one frame, also those whose depth was not measured.

    Attributes:
        rays: float64 `[N, 3]` in the colour camera's frame, to where their depth is 1.
        depth: float64 `[N]` metres along the optical axis; NaN where none was measured.
        descriptors: uint8 `[N, LENGTH]`.
        T_camera_color: 4x4, into the frame of the camera that the model gives the pose of.
    """

    rays: Array
    depth: Array
    descriptors: NDArray[np.uint8]
    T_camera_color: Array

    def __len__(self) -> int:
        return len(self.rays)

    def at(self, depth: Array) -> LocalFeatures:
        """Those of which a depth `[N]` is known, there."""
        known = np.isfinite(depth)
        points = self.rays[known] * depth[known, None]
        return LocalFeatures(transform_points(self.T_camera_color, points), self.descriptors[known])


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of points `[N, 3]` that look alike: of the frame (its camera's frame), and of a keyframe (map frame)."""

    seen: Array
    mapped: Array

    def consensus(self, T_map_camera: Array) -> int:
        """How many pairs a pose (4x4) brings together."""
        return int(np.count_nonzero(agree(self.seen, self.mapped, T_map_camera)))


def none_found() -> LocalFeatures:
    """Of a frame that has none."""
    return LocalFeatures(np.zeros((0, 3)), np.zeros((0, LENGTH), np.uint8))


def nothing_seen() -> ImageFeatures:
    """Of a frame that has none."""
    return ImageFeatures(np.zeros((0, 3)), np.zeros(0), np.zeros((0, LENGTH), np.uint8), np.eye(4))


def extract(color: ColorImage, depth: DepthImage, rig: SensorRig, most: int = MOST_OF_FRAME) -> LocalFeatures:
    """The features of a frame that have a depth, at most `most`; FrameError as of `prepare_color`."""
    found = detect(color, depth, rig, most, measured_only=True)
    return found.at(found.depth)


def detect(
    color: ColorImage, depth: DepthImage, rig: SensorRig, most: int = MOST_OF_FRAME, *, measured_only: bool = False
) -> ImageFeatures:
    """The features of a frame, at most `most`; FrameError as of `prepare_color`."""
    camera = rig.color.scaled_to(_COLUMNS, round(_COLUMNS * rig.color.height / rig.color.width))
    image = np.asarray(
        cv2.cvtColor(prepare_color(color, camera.height, camera.width), cv2.COLOR_RGB2GRAY), dtype=np.uint8
    )
    sift = cv2.SIFT_create(contrastThreshold=_CONTRAST)  # type: ignore[attr-defined]
    keypoints, found = sift.detectAndCompute(normalized(image), None)
    if not len(keypoints) or found is None:
        return nothing_seen()
    pixels = np.array([keypoint.pt for keypoint in keypoints])
    z = _depth_at(pixels, camera, rig, depth)
    usable = np.flatnonzero(np.isfinite(z)) if measured_only else np.arange(len(z))
    clearness = np.array([keypoints[i].response for i in usable])
    chosen = usable[_spread(pixels[usable], clearness, camera)[:most]]
    rays = (pixels[chosen] - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
    sums = np.maximum(found.sum(axis=1, keepdims=True), 1e-6)
    roots = np.clip(np.rint(512.0 * np.sqrt(found / sums)), 0, 255).astype(np.uint8)
    T_camera_color = rig.T_camera_depth @ se3.inverse(rig.T_color_depth)
    return ImageFeatures(np.column_stack([rays, np.ones(len(chosen))]), z[chosen], roots[chosen], T_camera_color)


def normalized(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image `[H, W]` of 320 columns less its noise and the light's part.

    A light adds to the logarithm of a surface's brightness what changes slowly over the image, and a gamma curve
    scales it: so the mean of the surroundings is subtracted, and what is left is divided by its deviation there
    (divisive normalization: Jarrett et al., ICCV 2009).
    """
    smooth = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), _SMOOTHED)
    logs = np.log(smooth + np.float32(_DARK))
    contrast = logs - cv2.GaussianBlur(logs, (0, 0), _SURROUNDINGS)
    deviation = np.sqrt(cv2.GaussianBlur(contrast * contrast, (0, 0), _SURROUNDINGS))
    levels = _MIDDLE + _SPREAD * contrast / (deviation + np.float32(_LEAST_CONTRAST))
    return np.asarray(np.rint(np.clip(levels, 0.0, 255.0)), dtype=np.uint8)


def _spread(pixels: Array, clearness: Array, camera: PinholeCamera) -> NDArray[np.intp]:
    """The order of features `[N]`: the clearest one of each cell of the image, then the second of each, and so on.

    Features that crowd in one corner determine a pose badly.
    """
    if not len(pixels):
        return np.zeros(0, np.intp)
    cell = np.floor(pixels / [camera.width, camera.height] * _CELLS) @ [1, _CELLS[0]]
    by_cell = np.lexsort((-clearness, cell))
    starts = np.concatenate([[True], np.diff(cell[by_cell]) != 0])
    at = np.arange(len(by_cell))
    rank = np.empty(len(by_cell), np.intp)
    rank[by_cell] = at - np.maximum.accumulate(np.where(starts, at, 0))
    return np.lexsort((-clearness, rank))


def _depth_at(pixels: Array, camera: PinholeCamera, rig: SensorRig, depth: DepthImage) -> Array:
    """Depth `[N]` in the colour camera at pixels `[N, 2]`; NaN where none was measured, and at edges."""
    points = transform_points(rig.T_color_depth, rig.depth.points(depth, camera.width))
    points = points[points[:, 2] > rig.depth.near_m]
    u, v = image_points(points, camera)
    inside = (u > -0.5) & (v > -0.5) & (u < camera.width - 0.5) & (v < camera.height - 0.5)
    column, row = np.rint(u[inside]).astype(np.intp), np.rint(v[inside]).astype(np.intp)
    nearest = np.full((camera.height + 2, camera.width + 2), np.inf)
    np.minimum.at(nearest, (row + 1, column + 1), points[inside, 2])
    farthest = np.where(np.isfinite(nearest), nearest, -np.inf)
    column, row = np.rint(pixels).astype(np.intp).T
    column, row = np.clip(column, 0, camera.width - 1), np.clip(row, 0, camera.height - 1)
    around = [(row + down, column + right) for down in range(3) for right in range(3)]
    low = np.min([nearest[at] for at in around], axis=0)
    high = np.max([farthest[at] for at in around], axis=0)
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(low) & (high <= (1.0 + _EDGE) * low)
    return np.where(usable, 0.5 * (np.where(usable, low, 0.0) + np.where(usable, high, 0.0)), np.nan)


def match(seen: LocalFeatures, known: LocalFeatures, T_map_camera: Array) -> Matches:
    """What of a frame looks like what of a keyframe at a pose (4x4), each feature of the frame at most once."""
    mine, theirs = alike(seen.descriptors, known.descriptors)
    return Matches(seen.points[mine], transform_points(T_map_camera, known.points[theirs]))


def alike(seen: NDArray[np.uint8], known: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of some descriptors `[N, LENGTH]` match which of others: two lists of indices."""
    if min(len(seen), len(known)) < 2:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    # Of float32 the same distances take a quarter of the time.
    query, stored = (descriptors.astype(np.float32) for descriptors in (seen, known))
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(query, stored, k=2)
    clear = [(best.queryIdx, best.trainIdx) for best, second in pairs if best.distance < _RATIO * second.distance]
    mine, theirs = np.array(clear, np.intp).reshape(-1, 2).T
    return mine, theirs


def pose_of(matches: Matches, draws: int = _DRAWS) -> Array | None:
    """T_map_camera (4x4) with the largest consensus; None where there is none. The draws are always the same."""
    seen, mapped = matches.seen, matches.mapped
    if len(seen) < _LEAST:
        return None
    triples = np.random.default_rng(0).integers(0, len(seen), (draws, 3))
    triples = triples[_are_rigid(seen[triples], mapped[triples])]
    if not len(triples):
        return None
    poses = _motions(seen[triples], mapped[triples])
    placed = seen @ poses[:, :3, :3].transpose(0, 2, 1) + poses[:, None, :3, 3]
    votes = np.count_nonzero(np.linalg.norm(placed - mapped, axis=2) < _tolerance(seen), axis=1)
    best = poses[int(np.argmax(votes))]
    for _ in range(_ROUNDS):  # three points alone make a rough pose
        inlier = agree(seen, mapped, best)
        if np.count_nonzero(inlier) < _LEAST:
            return None
        best = _motions(seen[None, inlier], mapped[None, inlier])[0]
    return best


def agree(seen: Array, mapped: Array, T: Array) -> NDArray[np.bool_]:
    """Which pairs of points `[N, 3]` a pose (4x4) brings together, for the noise of depth and of the pixel."""
    return np.asarray(np.linalg.norm(transform_points(T, seen) - mapped, axis=1) < _tolerance(seen))


def _tolerance(seen: Array) -> Array:
    return np.asarray(_NEAR_M + _NEAR_SHARE * seen[..., 2])


def _are_rigid(seen: Array, mapped: Array) -> NDArray[np.bool_]:
    """`[K]`: whether three points `[K, 3, 3]` are as far from each other there as here, and not in one place."""
    sides = [np.linalg.norm(points - np.roll(points, 1, axis=1), axis=2) for points in (seen, mapped)]
    allowed = 2.0 * _tolerance(seen).max(axis=1, keepdims=True)
    return np.asarray((np.abs(sides[0] - sides[1]) < allowed).all(axis=1) & (sides[0].min(axis=1) > allowed[:, 0]))


def _motions(seen: Array, mapped: Array) -> Array:
    """Rigid motions `[K, 4, 4]` that bring `[K, N, 3]` nearest to `[K, N, 3]`."""
    here, there = seen.mean(axis=1, keepdims=True), mapped.mean(axis=1, keepdims=True)
    u, _, vt = np.linalg.svd(np.einsum("kni,knj->kij", seen - here, mapped - there))
    flip = np.repeat(np.eye(3)[None], len(u), axis=0)
    flip[:, 2, 2] = np.linalg.det(u) * np.linalg.det(vt)
    rotation = np.einsum("kji,kjl,kml->kim", vt, flip, u)
    result = np.repeat(np.eye(4)[None], len(u), axis=0)
    result[:, :3, :3] = rotation
    result[:, :3, 3] = there[:, 0] - np.einsum("kij,kj->ki", rotation, here[:, 0])
    return result
