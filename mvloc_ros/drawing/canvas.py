# SPDX-License-Identifier: Apache-2.0
"""What the pictures from above have in common: size, axes in metres, a scale bar, the map as an image, paths."""

from __future__ import annotations

import io
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mvloc_ros.localization.scene_map import MapPoints, SceneMap

Array = NDArray[np.float64]

# Okabe and Ito's colours, which stay apart for colour-blind readers; line styles differ as well.
SEQUENCE_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
SEQUENCE_STYLES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
GOOD, WRONG, NONE, UNCERTAIN = "#0072B2", "#D55E00", "#000000", "#F0E442"
# 1080 pixels, which a phone shows at about a third: so the letters are large.
_WIDTH_IN, _DPI = 7.2, 150
FONT, SMALL = 14, 12
_HEIGHTS_IN = (2.0, 9.5)
_FURNITURE_IN = 1.0
_STEP_M = 1.0
_PIXELS = 640
# Edge of an image's squares in spacings of the points, so that few are empty by chance.
_SQUARE = 2.0


@dataclass(frozen=True, eq=False)
class Extent:
    """The rectangle of the pictures: lowest and highest x, y in metres."""

    low: Array
    high: Array

    @staticmethod
    def around(*points: Array) -> Extent:
        """Of points `[N, 2 or more]` without the outermost of the first, with a margin."""
        first, *others = (part[:, :2] for part in points if len(part))
        ends = [np.percentile(first, [0.2, 99.8], axis=0), *(np.stack([one.min(0), one.max(0)]) for one in others)]
        low, high = np.min([end[0] for end in ends], axis=0), np.max([end[1] for end in ends], axis=0)
        margin = 0.03 * float((high - low).max()) + 0.25
        return Extent(low - margin, high + margin)

    @property
    def size(self) -> Array:
        """Width and height in metres."""
        return np.asarray(self.high - self.low)


def new_picture(extent: Extent, bars: int = 0) -> tuple[Figure, Axes]:
    """A figure of a fixed width with one axes, as high as the extent needs; `bars` colour bars come below."""
    width, height = extent.size
    inches = float(np.clip(_WIDTH_IN * height / width, *_HEIGHTS_IN)) + _FURNITURE_IN * (1 + bars)
    figure = Figure(figsize=(_WIDTH_IN, inches), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_aspect("equal")
    axes.set_xlim(extent.low[0], extent.high[0])
    axes.set_ylim(extent.low[1], extent.high[1])
    axes.set_xlabel("x, m", fontsize=FONT)
    axes.set_ylabel("y, m", fontsize=FONT)
    axes.tick_params(labelsize=SMALL)
    _scale_bar(axes, extent)
    return figure, axes


def png_of(figure: Figure) -> bytes:
    """The picture's file."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", bbox_inches="tight", pad_inches=0.05, pil_kwargs={"optimize": True})
    return stream.getvalue()


def add_legend(axes: Axes) -> None:
    """Above the axes, in as many columns as fit; nothing where nothing has a name."""
    _, labels = axes.get_legend_handles_labels()
    if labels:
        columns = max(1, min(4, 64 // max(len(label) + 4 for label in labels)))
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=columns, fontsize=SMALL, frameon=False)


def pale(name: str) -> Colormap:
    """A colour map mixed with white, so that lines over it stand out."""
    colors = matplotlib.colormaps[name](np.linspace(0.0, 1.0, 256))
    colors[:, :3] = 0.45 + 0.55 * colors[:, :3]
    return ListedColormap(colors, name=f"pale {name}")


def raster(extent: Extent, points: Array, values: Array, resolution_m: float) -> Array:
    """The value of the highest point in each square of an image `[rows, columns]`, NaN where there is none.

    Args:
        extent: of the image, whose first row is the lowest.
        points: `[N, 3]`.
        values: `[N]`.
        resolution_m: smallest edge of a square.
    """
    edge = max(resolution_m, float(np.max(extent.size)) / _PIXELS)
    # The squares divide the extent, over which the image is drawn: else what is far from its low corner is displaced.
    columns, rows = (max(1, int(value)) for value in extent.size / edge)
    index = np.floor((points[:, :2] - extent.low) / extent.size * (columns, rows)).astype(np.int64)
    inside = np.all((index >= 0) & (index < (columns, rows)), axis=1)
    order = np.flatnonzero(inside)[np.argsort(points[inside, 2], kind="stable")]
    image = np.full((rows, columns), np.nan)
    image[index[order, 1], index[order, 0]] = values[order]  # the last one of a square is the highest
    return image


def square_of(scene_map: SceneMap, drawn: int) -> float:
    """Edge in metres of an image's square that has a point in it as a rule, of a map thinned to `drawn` points."""
    return _SQUARE * scene_map.resolution_m * max(1.0, float(np.sqrt(len(scene_map) / max(1, drawn))))


def without_ceilings(content: MapPoints) -> NDArray[np.bool_]:
    """`[N]`: which points do not face down; axes with z up."""
    return np.asarray(content.normals[:, 2] > -0.5)


def draw_raster(
    axes: Axes, extent: Extent, image: Array, cmap: Colormap | str, norm: Normalize, name: str = "", zorder: float = 0.0
) -> AxesImage:
    """The image below everything else, and its colour bar below the axes; no bar without a name."""
    drawn = axes.imshow(
        np.ma.masked_invalid(image),
        origin="lower",
        extent=(extent.low[0], extent.high[0], extent.low[1], extent.high[1]),
        cmap=cmap,
        norm=norm,
        interpolation="nearest",
        zorder=zorder,
    )
    axes.set_xlim(extent.low[0], extent.high[0])
    axes.set_ylim(extent.low[1], extent.high[1])
    if name:
        add_color_bar(axes, drawn, name)
    return drawn


def add_color_bar(axes: Axes, drawn: ScalarMappable, name: str) -> Colorbar:
    """Below the axes."""
    bar = axes.figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.8, aspect=34, pad=0.02)
    bar.set_label(name, fontsize=FONT)
    bar.ax.tick_params(labelsize=SMALL)
    return bar


def steps_between(low: float, high: float) -> list[float]:
    """Round numbers from one at most `low` to one at least `high`, at most about a dozen; both above 0."""
    if high < 5.0 * low:
        return [float(value) for value in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high) if value > 0.0]
    series = (1.0, 2.0, 5.0) if high < 200.0 * low else (1.0, 3.0) if high < 1e5 * low else (1.0,)
    powers = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 2)
    values = [round(step * 10.0**power, 12) for power in powers for step in series]
    first = max(i for i, value in enumerate(values) if value <= low)
    return values[first : min(i for i, value in enumerate(values) if value >= high) + 1]


def draw_path(
    axes: Axes, places: Array, color: str, style: object = "-", width: float = 2.0, name: str = "", zorder: float = 3.0
) -> None:
    """A line through places `[N, 2]` with a white edge, interrupted where the steps are larger than a metre."""
    cuts = np.flatnonzero(np.linalg.norm(np.diff(places, axis=0), axis=1) > _STEP_M) + 1
    parts = [part for part in np.split(places, cuts) if len(part) > 1]
    lines = LineCollection(parts, colors=color, linestyles=[style], linewidths=width, zorder=zorder, label=name or None)
    lines.set_path_effects([Stroke(linewidth=width + 1.6, foreground="white"), Normal()])
    axes.add_collection(lines)


def _scale_bar(axes: Axes, extent: Extent) -> None:
    """A bar of 1, 2 or 5 times a power of ten metres, about a fifth of the width."""
    width = float(extent.size[0])
    power = 10.0 ** np.floor(np.log10(0.25 * width))
    metres = max(step * power for step in (1.0, 2.0, 5.0) if step * power <= 0.25 * width)
    x, y = extent.low + 0.03 * extent.size
    effects = [Stroke(linewidth=7, foreground="white"), Normal()]
    axes.plot(
        [x, x + metres], [y, y], "-", color="black", linewidth=4, solid_capstyle="butt", path_effects=effects, zorder=8
    )
    axes.text(
        x + 0.5 * metres,
        y + 0.012 * extent.size[1],
        f"{metres:g} m",
        ha="center",
        va="bottom",
        fontsize=SMALL,
        zorder=8,
        path_effects=[Stroke(linewidth=3, foreground="white"), Normal()],
    )
