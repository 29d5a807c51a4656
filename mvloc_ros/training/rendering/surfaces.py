# SPDX-License-Identifier: Apache-2.0
"""Depth of a view from the depth of several frames: their surfaces as triangles between pixels, z-buffered.

Three neighboring pixels are a triangle where they lie on one surface. A triangle covers the pixels whose centers lie in
it, with linear 1/z, which is exact for planes; so no surface has holes that another shows through, however near or
slanted it is seen. Triangles that are seen from behind hide what is behind them: their front is on a side that no frame
saw. All sums are of integers, so that the order in which a device adds does not matter.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise

# Points nearer to the plane of the camera are omitted, with their triangles.
NEAREST_M = 0.05
# Depth is stored in units of a tenth of a millimeter.
UNITS_PER_M = 10_000
_FAR = 1 << 40
# Neighbors are on one surface if their inverse depths differ by this share, or as those beside them do (in 1/m).
_STEP, _LARGEST_STEP, _BEND = 0.05, 0.35, 0.008
# A triangle of more columns or rows is of a surface that is much nearer than it ever was.
_LARGEST = 32
_INSIDE = -1e-4
# Measurements of one surface differ by their noise, and poses by this.
_POSE_ERROR_M, _SIGMAS = 0.01, 3.0
_LARGEST_WEIGHT = 64


class Surface(NamedTuple):
    """`depth` float32 `[H, W]` meters, 0 where there is none; `hidden` bool `[H, W]`: behind the back of a surface."""

    depth: Tensor
    hidden: Tensor


class _Points(NamedTuple):
    """The pixels of all frames in the view: `[K, H, W]` each. `usable`: measured, and in front of the camera."""

    u: Tensor
    v: Tensor
    z: Tensor
    usable: Tensor


class _Fragments(NamedTuple):
    """Pixel, depth in units, weight, and whether it faces the camera, `[F]` each."""

    pixel: Tensor
    z: Tensor
    weight: Tensor
    front: Tensor


def draw(depth: Tensor, rotation: Tensor, translation: Tensor, camera: PinholeCamera) -> Surface:
    """The surface of a view.

    Measurements of the nearest surface are averaged, weighted by their precision.

    Args:
        depth: of the frames, float32 `[K, H, W]` meters, 0 where not measured.
        rotation: of T_view_frame, `[K, 3, 3]`.
        translation: of T_view_frame, `[K, 3]`.
        camera: of frames and view.
    """
    points = _project(depth, rotation, translation, camera)
    parts = [*_triangles(points, depth, camera), _single_pixels(points, depth, camera)]
    found = _Fragments(*(torch.cat(values) for values in zip(*parts, strict=True)))
    size = camera.width * camera.height
    front, back = _nearest(found, found.front, size), _nearest(found, ~found.front, size)
    seen = front < _FAR
    near = front.clamp(max=1 << 30).float() / UNITS_PER_M
    margin = ((_POSE_ERROR_M + _SIGMAS * depth_noise(near)) * UNITS_PER_M).long()
    chosen = found.front & (found.z <= front[found.pixel] + margin[found.pixel])
    pixel, weight = found.pixel[chosen], found.weight[chosen]
    total = torch.zeros_like(front).scatter_add_(0, pixel, weight)
    sums = torch.zeros_like(front).scatter_add_(0, pixel, weight * found.z[chosen])
    mean = (sums.double() / total.clamp(min=1).double() / UNITS_PER_M).float()
    hidden = back + margin < front
    z = torch.where(seen & ~hidden, mean, torch.zeros_like(mean))
    shape = (camera.height, camera.width)
    return Surface(z.reshape(shape), hidden.reshape(shape))


def _nearest(found: _Fragments, chosen: Tensor, size: int) -> Tensor:
    buffer = torch.full((size,), _FAR, dtype=torch.int64, device=found.z.device)
    return buffer.scatter_reduce_(0, found.pixel[chosen], found.z[chosen], "amin")


def _project(depth: Tensor, rotation: Tensor, translation: Tensor, camera: PinholeCamera) -> _Points:
    count, height, width = depth.shape
    u = (torch.arange(width, device=depth.device) - camera.cx) / camera.fx
    v = ((torch.arange(height, device=depth.device) - camera.cy) / camera.fy).unsqueeze(1)
    rays = torch.stack([u.expand(height, width), v.expand(height, width), torch.ones_like(depth[0])]).reshape(3, -1)
    x, y, z = (rotation @ rays * depth.reshape(count, 1, -1) + translation.unsqueeze(2)).unbind(dim=1)
    usable = (depth.reshape(count, -1) > 0.0) & (z > NEAREST_M)
    divisor = torch.where(usable, z, torch.ones_like(z))
    shaped = (camera.fx * x / divisor + camera.cx, camera.fy * y / divisor + camera.cy, divisor, usable)
    return _Points(*(values.reshape(depth.shape) for values in shaped))


def _links(inverse: Tensor, axis: int) -> Tensor:
    """Whether each pixel is on one surface with the next one along an axis: by a small step, or by an even slope."""
    step = inverse.diff(dim=axis)
    length = step.shape[axis]
    low = torch.minimum(inverse.narrow(axis, 0, length), inverse.narrow(axis, 1, length))
    size = step.abs()
    small = size < _STEP * low
    bend = step.diff(dim=axis).abs() < _BEND
    even = torch.zeros_like(small)
    even.narrow(axis, 0, length - 1).logical_or_(bend)
    even.narrow(axis, 1, length - 1).logical_or_(bend)
    return (low > 0.0) & (small | (even & (size < _LARGEST_STEP * low)))


def joined_pixels(depth: Tensor) -> tuple[Tensor, Tensor]:
    """Which neighbors of depth `[K, H, W]` are on one surface: along rows `[K, H, W - 1]`, columns `[K, H - 1, W]`."""
    inverse = torch.where(depth > 0.0, depth, torch.full_like(depth, torch.inf)).reciprocal()
    return _links(inverse, 2), _links(inverse, 1)


def _corners(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Upper left, upper right, lower left and lower right of each square of pixels."""
    return values[:, :-1, :-1], values[:, :-1, 1:], values[:, 1:, :-1], values[:, 1:, 1:]


def _triangles(points: _Points, depth: Tensor, camera: PinholeCamera) -> list[_Fragments]:
    """The fragments of both triangles of each square of pixels, with corners clockwise as the frame sees them."""
    along, down = joined_pixels(depth)
    upper, lower, left, right = along[:, :-1], along[:, 1:], down[:, :, :-1], down[:, :, 1:]
    u, v, z, usable = (_corners(values) for values in points)
    found = []
    for corners, joined in (((0, 1, 2), upper & left), ((1, 3, 2), right & lower)):
        whole = joined & usable[corners[0]] & usable[corners[1]] & usable[corners[2]]
        three = [[values[corner] for corner in corners] for values in (u, v, z)]
        found.append(_rasterise(three[0], three[1], three[2], whole, _corners(depth)[corners[0]], camera))
    return found


def _range(values: list[Tensor], last: int) -> tuple[Tensor, Tensor]:
    """First pixel inside the image whose center the three values enclose, and the number of such pixels."""
    low = torch.minimum(torch.minimum(values[0], values[1]), values[2]).clamp(-1.0, last + 1.0)
    high = torch.maximum(torch.maximum(values[0], values[1]), values[2]).clamp(-1.0, last + 1.0)
    first, end = (low - 1e-3).ceil().clamp(min=0.0), (high + 1e-3).floor().clamp(max=float(last))
    return first, end - first + 1.0


def _rasterise(
    u: list[Tensor], v: list[Tensor], z: list[Tensor], whole: Tensor, depth: Tensor, camera: PinholeCamera
) -> _Fragments:
    """All pixels of all triangles."""
    column, columns = _range(u, camera.width - 1)
    row, rows = _range(v, camera.height - 1)
    area = (u[1] - u[0]) * (v[2] - v[0]) - (v[1] - v[0]) * (u[2] - u[0])
    kept = whole & (columns > 0.0) & (rows > 0.0) & (columns <= _LARGEST) & (rows <= _LARGEST) & (area.abs() > 1e-6)
    index = kept.flatten().nonzero().squeeze(1)
    column, columns, row, rows, area, u0, u1, u2, v0, v1, v2, z0, z1, z2 = (
        values.flatten()[index] for values in (column, columns, row, rows, area, *u, *v, *z)
    )
    inverse = [values.reciprocal() for values in (z0, z1, z2)]
    # Of each corner but the first: its share at a pixel is linear in the pixel.
    table = torch.stack(
        [
            column - u0, row - v0, columns,
            (v2 - v0) / area, (u2 - u0) / area, (v1 - v0) / area, (u1 - u0) / area,
            inverse[0], inverse[1] - inverse[0], inverse[2] - inverse[0],
        ],
        dim=1,
    )  # fmt: skip
    counts = (columns * rows).long()
    triangle = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    number = torch.arange(len(triangle), device=counts.device) - (counts.cumsum(0) - counts)[triangle]
    right, below, wide, a, b, c, d, i0, i1, i2 = table[triangle].unbind(dim=1)
    step_down = (number / wide).floor()
    step_right = number - step_down * wide
    x, y = right + step_right, below + step_down
    second, third = x * a - y * b, y * d - x * c
    inside = (second >= _INSIDE) & (third >= _INSIDE) & (second + third <= 1.0 - _INSIDE)
    z_here = (i0 + second * i1 + third * i2).reciprocal()
    pixel = ((row[triangle] + step_down) * camera.width + column[triangle] + step_right).long()
    weight = _weight(depth.flatten()[index])
    triangle = triangle[inside]
    return _Fragments(
        pixel[inside], (z_here[inside] * UNITS_PER_M).round().long(), weight[triangle], (area > 0.0)[triangle]
    )


def _single_pixels(points: _Points, depth: Tensor, camera: PinholeCamera) -> _Fragments:
    """Pixels of surfaces that are one pixel wide, as the leg of a chair; pixels with no neighbor are noise."""
    along, down = joined_pixels(depth)
    linked, triangular = torch.zeros_like(points.usable), torch.zeros_like(points.usable)
    linked[:, :, 1:] |= along
    linked[:, :, :-1] |= along
    linked[:, 1:] |= down
    linked[:, :-1] |= down
    upper, lower = along[:, :-1] & down[:, :, :-1], along[:, 1:] & down[:, :, 1:]
    for mask, corners in ((upper, ((0, 0), (0, 1), (1, 0))), (lower, ((0, 1), (1, 1), (1, 0)))):
        height, width = mask.shape[1:]
        for i, j in corners:
            triangular[:, i : i + height, j : j + width] |= mask
    u, v = points.u.round(), points.v.round()
    inside = (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    kept = points.usable & linked & ~triangular & inside
    pixel = (v[kept] * camera.width + u[kept]).long()
    z = (points.z[kept] * UNITS_PER_M).round().long()
    return _Fragments(pixel, z, _weight(depth[kept]), torch.ones_like(pixel, dtype=torch.bool))


def _weight(depth: Tensor) -> Tensor:
    """Integer weights of measurements: the inverse of their variance, relative to the best."""
    relative = depth_noise(torch.full_like(depth, 0.4)) / depth_noise(depth)
    return (_LARGEST_WEIGHT * relative**2).round().clamp(min=1.0).long()
