# SPDX-License-Identifier: Apache-2.0
"""The picture from above: points, training path, keyframes with their headings, the map's origin."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from mvloc_ros.drawing.canvas import (
    SMALL,
    Extent,
    add_legend,
    draw_path,
    draw_raster,
    new_picture,
    pale,
    raster,
    square_of,
    without_ceilings,
)
from mvloc_ros.localization.scene_map import MapPoints
from mvloc_ros.view.scene import HEIGHT, Scene

Array = NDArray[np.float64]

MOST_POINTS = 1_000_000
_MOST_ARROWS, _SAME_HEADING = 60, 0.87
_PATH, _KEYFRAMES, _VIEWS = "#D55E00", "#CC79A7", "#000000"
# A picture is widened by at most this share of its size to show the origin.
_WIDEN = 0.25


def draw_above(scene: Scene, color: str, views: NDArray[np.intp]) -> Figure:
    """The figure, to be written with `png_of`; its axes' coordinates are meters of the map turned upright.

    Args:
        scene: what is drawn.
        color: of the points, `HEIGHT` or `BRIGHTNESS`.
        views: indices of the training poses of which there are pictures; they are numbered from 1.
    """
    content = _from_above(scene)
    path = scene.upright(scene.poses[:, :3, 3])
    extent = _extent(content.points, path)
    figure, axes = new_picture(extent, bars=1)
    if scene.is_turned:
        axes.set_xlabel("m, turned upright")
        axes.set_ylabel("m, turned upright")
    _draw_points(axes, extent, content, color, square_of(scene.scene_map, min(MOST_POINTS, len(scene.scene_map))))
    if len(path):
        draw_path(axes, path[:, :2], _PATH, width=1.2, name="training path")
    _draw_headings(axes, scene, extent)
    for number, index in enumerate(views, start=1):
        _label(axes, path[index, :2], str(number), _VIEWS, marker="o")
    _draw_origin(axes, scene, extent)
    add_legend(axes)
    return figure


def origin_line(scene: Scene) -> str:
    """Where the origin is, in words."""
    extent = _extent(_from_above(scene).points, scene.upright(scene.poses[:, :3, 3]))
    if _is_inside(extent):
        return "origin: in the picture from above, with the axes x (red), y (green) and z (blue, where seen)"
    away = float(np.linalg.norm(np.maximum(np.maximum(extent.low, -extent.high), 0.0)))
    return f"origin: outside of the picture from above, {away:.1f} m from its edge"


def _from_above(scene: Scene) -> MapPoints:
    """The map's points in upright axes, without surfaces that face down."""
    found = scene.scene_map.thinned(MOST_POINTS)
    points, normals = scene.upright(found.points), scene.upright(found.normals)
    kept = without_ceilings(MapPoints(points, normals, found.brightness))
    return MapPoints(points[kept], normals[kept], found.brightness[kept])


def _extent(points: Array, path: Array) -> Extent:
    extent = Extent.around(*(part for part in (points, path) if len(part)))
    low, high = np.minimum(extent.low, 0.0), np.maximum(extent.high, 0.0)
    if np.all(high - low <= (1.0 + _WIDEN) * extent.size):
        return Extent(low, high)
    return extent


def _is_inside(extent: Extent) -> bool:
    return bool(np.all(extent.low <= 0.0) and np.all(extent.high >= 0.0))


def _draw_points(axes: Axes, extent: Extent, content: MapPoints, color: str, square_m: float) -> None:
    colors: Colormap | str
    if color == HEIGHT:
        values, name, colors = content.points[:, 2], "height z, m", pale("viridis")
        low, high = (float(value) for value in np.percentile(values, [1, 99]))
        norm = Normalize(low, max(high, low + 0.1))
    else:
        kept = content.brightness > 0
        content = MapPoints(content.points[kept], content.normals[kept], content.brightness[kept])
        values, name, colors = (
            content.brightness.astype(np.float64),
            "brightness in training",
            "gray",
        )
        norm = Normalize(0.0, 255.0)
    draw_raster(axes, extent, raster(extent, content.points, values, square_m), colors, norm, name)
    axes.set_facecolor("#E8EEF6" if color != HEIGHT else "white")


def _draw_headings(axes: Axes, scene: Scene, extent: Extent) -> None:
    """Arrows along the optical axis: of keyframes, or of training poses where the bundle has none."""
    found, name = (scene.keyframes, "keyframes") if len(scene.keyframes) else (scene.poses, "camera's heading")
    if not len(found):
        return
    length = 0.035 * float(np.max(extent.size))
    chosen = _apart(found[np.unique(np.linspace(0, len(found) - 1, _MOST_ARROWS).round().astype(np.intp))], length)
    if len(chosen) < len(found):
        name += f" ({len(chosen)} of {len(found)})"
    places, forward = scene.upright(chosen[:, :3, 3]), scene.upright(chosen[:, :3, 2])
    axes.quiver(
        *places[:, :2].T, *(length * forward[:, :2]).T, angles="xy", scale_units="xy", scale=1.0, color=_KEYFRAMES,
        edgecolor="white", linewidth=0.4, width=0.005, zorder=5, label=name,
    )  # fmt: skip


def _apart(poses: Array, least_m: float) -> Array:
    """Those poses `[N, 4, 4]` whose arrows would not lie on that of an earlier one."""
    kept: list[int] = []
    for number, pose in enumerate(poses):
        others = poses[kept]
        near = np.linalg.norm(others[:, :3, 3] - pose[:3, 3], axis=1) < least_m
        if not (near & (others[:, :3, 2] @ pose[:3, 2] > _SAME_HEADING)).any():
            kept.append(number)
    return poses[kept]


def _draw_origin(axes: Axes, scene: Scene, extent: Extent) -> None:
    """The map's axes at its origin, as far as they are seen from above."""
    if not _is_inside(extent):
        return
    length = 0.08 * float(np.max(extent.size))
    for axis, (name, color) in enumerate((("x", "#C00000"), ("y", "#007A00"), ("z", "#0000C0"))):
        end = length * scene.turn[:2, axis]
        if np.linalg.norm(end) > 0.2 * length:
            axes.annotate(
                "",
                (end[0], end[1]),
                (0.0, 0.0),
                zorder=9,
                arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2.5, "shrinkA": 0},
            )
            _label(axes, 1.15 * end, name, color)
    _label(axes, np.array([0.0, 0.0]), "origin", "black", offset=(4, -14))


def _label(axes: Axes, place: Array, text: str, color: str, marker: str = "", offset: tuple[int, int] = (5, 5)) -> None:
    if marker:
        axes.plot(*place, marker, color=color, markersize=7, markeredgecolor="white", zorder=6)
    axes.annotate(
        text, (place[0], place[1]), xytext=offset, textcoords="offset points", fontsize=SMALL, color=color,
        fontweight="bold", path_effects=[Stroke(linewidth=3, foreground="white"), Normal()], zorder=9,
    )  # fmt: skip
