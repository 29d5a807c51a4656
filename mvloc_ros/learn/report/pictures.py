# SPDX-License-Identifier: Apache-2.0
"""The pictures of the report, each a PNG: the place from above, expected errors, held-out parts, coverage."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap, ListedColormap, Normalize
from matplotlib.patches import Wedge
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from mvloc_ros.drawing.canvas import (
    GOOD,
    NONE,
    SEQUENCE_COLORS,
    SEQUENCE_STYLES,
    SMALL,
    UNCERTAIN,
    WRONG,
    Extent,
    add_color_bar,
    add_legend,
    draw_path,
    draw_raster,
    new_picture,
    pale,
    png_of,
    raster,
    square_of,
    steps_between,
    without_ceilings,
)
from mvloc_ros.foreign_text import shown
from mvloc_ros.learn.report.accuracy import is_right
from mvloc_ros.learn.report.coverage import HEADINGS_DEG, Coverage
from mvloc_ros.learn.report.expected_error import ExpectedError
from mvloc_ros.learn.report.findings import Findings
from mvloc_ros.learn.report.place import Path2D, Place
from mvloc_ros.localization.scene_map import MapPoints

Array = NDArray[np.float64]

_MOST_POINTS = 400_000
_LABELLED, _FEW_PATHS = 12, 6
_LEAST_FREE = 0.35
_COVERED = LinearSegmentedColormap.from_list("covered", ["#E8836F", "#F7D3C3", "#DCE9F2", "#A9CEE4", "#6BA6CF"])
_MOST_ROSES = 24


@dataclass(frozen=True, eq=False)
class Backdrop:
    """The place in the axes of the pictures: the map's points without ceilings, and what all pictures show of them."""

    place: Place
    content: MapPoints
    extent: Extent

    @staticmethod
    def of(place: Place) -> Backdrop:
        """Of a place; without a map there are no points."""
        content = MapPoints(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, np.uint8))
        if place.scene_map is not None:
            found = place.scene_map.thinned(_MOST_POINTS)
            turned = MapPoints(found.points @ place.turn.T, found.normals @ place.turn.T, found.brightness)
            kept = without_ceilings(turned)
            content = MapPoints(turned.points[kept], turned.normals[kept], turned.brightness[kept])
        paths = [place.seen_from_above(path.poses[:, :3, 3]) for path in place.paths]
        extent = Extent.around(content.points, *paths) if len(content.points) else Extent.around(*paths)
        return Backdrop(place, content, extent)

    @property
    def spacing_m(self) -> float:
        """Edge of an image's square that has a point in it as a rule."""
        found = self.place.scene_map
        if found is None or not len(self.content.points):
            return 0.05
        return square_of(found, _MOST_POINTS)

    def quiet(self, axes: Axes) -> None:
        """The map in one pale gray, upright surfaces darker."""
        upright = 1.0 - np.abs(self.content.normals[:, 2])
        image = raster(self.extent, self.content.points, upright, self.spacing_m)
        grays = ListedColormap(np.linspace([0.93] * 3, [0.62] * 3, 64))
        draw_raster(axes, self.extent, image, grays, Normalize(0.0, 1.0))


def draw_plan(findings: Findings, backdrop: Backdrop) -> bytes:
    """The points by height, paths, held-out parts, loop closures and uncertain stretches."""
    loops = _loops(findings.place)
    figure, axes = new_picture(backdrop.extent, bars=2 if len(loops[0]) else 1)
    heights = backdrop.content.points[:, 2]
    if len(heights):
        image = raster(backdrop.extent, backdrop.content.points, heights, backdrop.spacing_m)
        low, high = np.percentile(heights, [1, 99])
        draw_raster(axes, backdrop.extent, image, pale("viridis"), Normalize(low, max(high, low + 0.1)), "height z, m")
    for number, path in enumerate(findings.place.paths):
        _sequence(axes, findings.place, path, number)
    held = _held_out(findings)
    if len(held):
        draw_path(axes, held, "white", width=3.0, zorder=4.0)
        draw_path(axes, held, "black", (0, (1.0, 1.2)), 3.0, "held out", zorder=4.1)
    _uncertain(axes, findings.place)
    if len(loops[0]):
        lines = LineCollection(list(loops[0]), linewidths=2.5, zorder=5)
        lines.set_cmap("magma_r")
        lines.set_array(1e3 * loops[1])
        lines.set_clim(0.0, max(1e3 * float(np.max(loops[1])), 1.0))
        axes.add_collection(lines)
        add_color_bar(axes, lines, "residual of loop closures, mm")
    add_legend(axes)
    return png_of(figure)


def draw_expected_error(expected: ExpectedError, backdrop: Backdrop) -> bytes:
    """The points by the expected error of the views that see them, in centimetres; gray where none does."""
    figure, axes = new_picture(backdrop.extent, bars=1)
    backdrop.quiet(axes)
    points = backdrop.place.seen_from_above(expected.points)
    known = np.isfinite(expected.of_points_m)
    spacing_m = backdrop.spacing_m
    if (found := backdrop.place.scene_map) is not None:
        spacing_m = square_of(found, len(points))
    visible = known & (points[:, 2] <= _ceiling(backdrop))
    if visible.any():
        image = raster(backdrop.extent, points[visible], expected.of_points_m[visible], spacing_m)
        low, high = np.percentile(expected.of_points_m[visible], [1, 99])
        steps = steps_between(float(low), float(high))
        colors = matplotlib.colormaps["plasma"](np.linspace(0.0, 0.95, len(steps) + 1))
        norm = BoundaryNorm(steps, len(steps) + 1, extend="both")
        drawn = draw_raster(axes, backdrop.extent, image, ListedColormap(colors), norm)
        bar = add_color_bar(axes, drawn, "expected position error")
        bar.set_ticks(steps)
        bar.set_ticklabels([_step_text(value) for value in steps])
    for path in backdrop.place.paths:
        draw_path(axes, backdrop.place.seen_from_above(path.poses[:, :3, 3])[:, :2], "#303030", width=1.2)
    return png_of(figure)


def draw_held_out(findings: Findings, backdrop: Backdrop) -> bytes | None:
    """Where held-out frames were accepted and right, accepted and not, or rejected; None without such frames."""
    found = findings.evaluation
    if found is None or not found.has_truth.any():
        return None
    figure, axes = new_picture(backdrop.extent)
    backdrop.quiet(axes)
    places, known = findings.place.seen_from_above(found.truth[:, :3, 3]), found.has_truth
    right = is_right(found)
    kinds = (
        ("no accepted pose", known & ~found.accepted, NONE, "x", 34),
        ("accepted, within 5 cm and 5 deg", known & right, GOOD, "o", 26),
        ("accepted, further off", known & found.accepted & ~right, WRONG, "D", 52),
    )
    for name, chosen, color, marker, size in kinds:
        label = f"{name}: {int(chosen.sum())}"
        axes.scatter(places[chosen, 0], places[chosen, 1], s=size, c=color, marker=marker, label=label, zorder=4)
    add_legend(axes)
    return png_of(figure)


def draw_coverage(found: Coverage, backdrop: Backdrop) -> bytes:
    """The share of headings that a view covers, cell by cell, and red wedges towards those that none does."""
    figure, axes = new_picture(backdrop.extent, bars=1)
    backdrop.quiet(axes)
    share = np.where(found.free, 100.0 * found.covered.mean(axis=2), np.nan)
    (x, y), edge, (rows, columns) = found.frame.origin, found.frame.resolution_m, found.free.shape
    cells = Extent(np.array([x, y]), np.array([x + columns * edge, y + rows * edge]))
    drawn = draw_raster(axes, cells, share, _COVERED, Normalize(0.0, 100.0), zorder=1.0)
    axes.set_xlim(backdrop.extent.low[0], backdrop.extent.high[0])
    axes.set_ylim(backdrop.extent.low[1], backdrop.extent.high[1])
    _roses(axes, found, backdrop)
    add_color_bar(axes, drawn, "headings that a training view covers, %")
    return png_of(figure)


def _step_text(metres: float) -> str:
    if metres < 0.01:
        return f"{1e3 * metres:g} mm"
    return f"{1e2 * metres:g} cm" if metres < 1.0 else f"{metres:g} m"


def _ceiling(backdrop: Backdrop) -> float:
    """Height of the highest points that the pictures show."""
    heights = backdrop.content.points[:, 2]
    return float(np.percentile(heights, 99.5)) if len(heights) else np.inf


def _sequence(axes: Axes, place: Place, path: Path2D, number: int) -> None:
    color = SEQUENCE_COLORS[number % len(SEQUENCE_COLORS)]
    style = SEQUENCE_STYLES[number // len(SEQUENCE_COLORS) % len(SEQUENCE_STYLES)]
    places = place.seen_from_above(path.poses[:, :3, 3])[:, :2]
    name = shown(path.name, 24).replace("$", r"\$") if number < _LABELLED else ""
    draw_path(axes, places, color, style, 2.0 if len(place.paths) <= _FEW_PATHS else 1.2, name)
    effects = [Stroke(linewidth=3, foreground="white"), Normal()]
    axes.plot(*places[0], "o", color=color, markersize=7, markeredgecolor="white", zorder=6)
    axes.annotate(
        str(number + 1), places[0], xytext=(5, 5), textcoords="offset points", fontsize=SMALL, color=color,
        fontweight="bold", path_effects=effects, zorder=7,
    )  # fmt: skip


def _held_out(findings: Findings) -> Array:
    """Places `[N, 2]` of the evaluated frames."""
    found = findings.evaluation
    if found is None:
        return np.zeros((0, 2))
    return findings.place.seen_from_above(found.truth[found.has_truth, :3, 3])[:, :2]


def _uncertain(axes: Axes, place: Place) -> None:
    """Wide marks under the stretches whose poses the posing calls uncertain."""
    if place.posing is None:
        return
    label = "uncertain poses"
    for span in place.posing.low_confidence:
        for path in place.paths:
            chosen = path.within(span) if path.name == span.sequence else np.zeros(0, bool)
            if chosen.any():
                places = place.seen_from_above(path.poses[chosen, :3, 3])
                axes.plot(*places[:, :2].T, "-o", color=UNCERTAIN, lw=11, ms=11, alpha=0.9, zorder=2.5, label=label)
                label = "_"


def _loops(place: Place) -> tuple[Array, Array]:
    """Ends `[N, 2, 2]` of the loop closures and their residuals `[N]` in metres; without those of unknown frames."""
    if place.posing is None:
        return np.zeros((0, 2, 2)), np.zeros(0)
    where = {
        (path.name, int(number)): place.seen_from_above(pose[None, :3, 3])[0, :2]
        for path in place.paths
        for number, pose in zip(path.numbers, path.poses, strict=True)
    }
    found = [loop for loop in place.posing.loop_closures if loop.first in where and loop.second in where]
    ends = np.array([(where[loop.first], where[loop.second]) for loop in found], dtype=np.float64)
    return ends.reshape(-1, 2, 2), np.array([loop.residual_m for loop in found], dtype=np.float64)


def _roses(axes: Axes, found: Coverage, backdrop: Backdrop) -> None:
    """One rose of headings for each block of cells of which a part is covered: red wedges towards what none covers."""
    edge = found.frame.resolution_m
    block = max(2, round(float(np.max(backdrop.extent.size)) / _MOST_ROSES / edge))
    lost, seen = list[Wedge](), list[Wedge]()
    half = 0.5 * (HEADINGS_DEG[1] - HEADINGS_DEG[0])
    for row in range(0, found.free.shape[0], block):
        for column in range(0, found.free.shape[1], block):
            cells = found.free[row : row + block, column : column + block]
            if cells.mean() < _LEAST_FREE:
                continue
            covered = found.covered[row : row + block, column : column + block][cells].mean(axis=0) >= 0.5
            if covered.all() or not covered.any():  # the colour says it
                continue
            x, y = found.frame.centres(np.array([row]), np.array([column]))
            centre = (float(x[0]) + 0.5 * (block - 1) * edge, float(y[0]) + 0.5 * (block - 1) * edge)
            for heading, is_covered in zip(HEADINGS_DEG, covered, strict=True):
                wedge = Wedge(centre, 0.46 * block * edge, heading - half, heading + half)
                (seen if is_covered else lost).append(wedge)
    for wedges, color in ((lost, "#B2182B"), (seen, "#2166AC")):
        axes.add_collection(PatchCollection(wedges, facecolor=color, edgecolor="white", linewidths=0.4, zorder=3))
