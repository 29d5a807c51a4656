# SPDX-License-Identifier: Apache-2.0
"""The interactive page: the thinned map and the training path in 3D, by Plotly, all in one file that works offline."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros import __version__
from mvloc_ros.drawing import markup as html
from mvloc_ros.drawing.canvas import without_ceilings
from mvloc_ros.localization.scene_map import MapPoints
from mvloc_ros.view.from_poses import height_range
from mvloc_ros.view.scene import HEIGHT, STEP_M, Scene, ViewError

Array = NDArray[np.float64]

_HEADING_M, _MOST_STICKS = 0.25, 3000
_HOVER = "%{x:.2f}, %{y:.2f}, %{z:.2f} m<extra></extra>"
_AXES = (("x", "#C00000"), ("y", "#007A00"), ("z", "#0000C0"))
# WebGL counts in float32, which has steps of 1 mm at 10 km.
_FAR_M = 5_000.0
"""Coordinates beyond it are shown less a round offset."""
# These alone: Plotly has one, too, that sends the chart to its makers' servers.
_BUTTONS = ["zoom3d", "pan3d", "orbitRotation", "resetCameraDefault3d", "toImage"]
_HOW = (
    "Drag to turn, drag with the right button to move, scroll to zoom; on a touch screen the buttons at the top choose "
    "what a finger does. The names switch what is shown."
)
_STYLE = (
    "<style>html{overflow-y:scroll}body{max-width:none}#map{min-height:22rem;touch-action:none}"
    "h1{font-size:1.3rem;margin:.2rem 0}</style>"
)


def require_plotly() -> ModuleType:
    """Plotly's graph objects. Raises ViewError where it is not installed."""
    try:
        import plotly.graph_objects
    except ImportError:
        raise ViewError(
            "The interactive page needs Plotly, which is not installed here: pip install plotly, or omit --html."
        ) from None
    module: ModuleType = plotly.graph_objects
    return module


def page_of(scene: Scene, points: int, color: str) -> str:
    """The page as HTML, with at most `points` of the map's points.

    Raises:
        ViewError: Plotly is not installed.
    """
    content = scene.scene_map.thinned(points)
    offset = _offset(content.points)
    figure = _figure(scene, content, offset, color)
    drawn = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        include_mathjax=False,
        div_id="map",
        default_height="75vh",
        config={
            "responsive": True,
            "displaylogo": False,
            "scrollZoom": True,
            "displayModeBar": True,
            "modeBarButtons": [_BUTTONS],
        },
    )
    name = scene.bundle.name
    body = (
        f"{_STYLE}<header><h1>{html.text(name)}: scene map</h1></header><main>{drawn}"
        f"{html.paragraph(_HOW)}"
        f"{html.paragraph(_words(scene, len(content.points), offset), 'small')}</main>"
    )
    return html.document(f"{name}: scene map", body, has_scripts=True)


def _words(scene: Scene, count: int, offset: Array) -> str:
    lines = [
        f"{count} of {len(scene.scene_map)} points in the frame {scene.frame!r}, in meters; {len(scene.poses)} "
        f"training poses and {len(scene.keyframes)} keyframes."
    ]
    if offset.any():
        lines.append(f"Shown less the offset {', '.join(f'{value:,.0f}' for value in offset)} m.")
    lines.append(f"Model {scene.bundle.name}, {scene.bundle.digest_in_words}; mvloc_ros {__version__}.")
    return " ".join(lines)


def _figure(scene: Scene, content: MapPoints, offset: Array, color: str) -> Any:
    go = require_plotly()
    figure = go.Figure([*_surfaces(go, scene, content, offset, color), *_cameras(go, scene, offset)])
    if not offset.any():
        for end, (name, shade) in zip(np.eye(3), _AXES, strict=True):
            figure.add_trace(_line(go, np.stack([np.zeros(3), end]), f"origin: {name}, 1 m", shade, 6, in_legend=False))
    titles = {a: f"{a} - {value:,.0f}, m" if value else f"{a}, m" for a, value in zip("xyz", offset, strict=True)}
    up, eye = (dict(zip("xyz", (scene.turn.T @ v).tolist(), strict=True)) for v in ((0, 0, 1), (0.9, -0.9, 1.1)))
    figure.update_layout(
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 0,
            "x": 0,
            "bgcolor": "rgba(255,255,255,0.8)",
            "itemsizing": "constant",
        },
        font={"size": 14},
        scene={"aspectmode": "data", "dragmode": "orbit", "camera": {"up": up, "eye": eye}},
    )
    figure.update_scenes({f"{axis}axis": {"title": {"text": title}} for axis, title in titles.items()})
    return figure


def _surfaces(go: ModuleType, scene: Scene, content: MapPoints, offset: Array, color: str) -> list[Any]:
    """The map; ceilings apart and hidden at first, so that one sees into the rooms from above."""
    shown = without_ceilings(MapPoints(content.points, scene.upright(content.normals), content.brightness))
    low, high = height_range(scene)
    traces = []
    for name, chosen, visible in (("map", shown, True), ("facing down (ceilings)", ~shown, "legendonly")):
        if not chosen.any():
            continue
        marker = {"size": 2, "line": {"width": 0}, "color": content.brightness[chosen], "colorscale": "Gray"}
        marker |= {"cmin": 0, "cmax": 255}
        if color == HEIGHT:
            heights = scene.upright(content.points[chosen])[:, 2].astype(np.float32)
            marker |= {"color": heights, "colorscale": "Viridis", "cmin": low, "cmax": high}
        if visible is True:
            title = "height, m" if color == HEIGHT else "brightness"
            bar = {"title": {"text": title}, "thickness": 12, "len": 0.5, "x": 1.0, "xanchor": "right"}
            bar |= {"bgcolor": "rgba(255,255,255,0.8)"}
            marker |= {"showscale": True, "colorbar": bar}
        x, y, z = (content.points[chosen] - offset).astype(np.float32).T
        traces.append(
            go.Scatter3d(x=x, y=y, z=z, mode="markers", marker=marker, name=name, visible=visible, hovertemplate=_HOVER)
        )
    return traces


def _cameras(go: ModuleType, scene: Scene, offset: Array) -> list[Any]:
    """The training path, and a stick along the optical axis of each keyframe."""
    traces, nowhere = [], np.full(3, np.nan)
    if len(scene.poses):
        places = scene.poses[:, :3, 3] - offset
        cuts = np.flatnonzero(np.linalg.norm(np.diff(places, axis=0), axis=1) > STEP_M) + 1
        traces.append(_line(go, np.insert(places, cuts, nowhere, axis=0), "training path", "#D55E00", 4))
    if len(scene.keyframes):
        chosen = scene.keyframes[:: -(-len(scene.keyframes) // _MOST_STICKS)]
        begin, ahead = chosen[:, :3, 3] - offset, _HEADING_M * chosen[:, :3, 2]
        sticks = np.stack([begin, begin + ahead, np.broadcast_to(nowhere, begin.shape)], axis=1).reshape(-1, 3)
        of = "" if len(chosen) == len(scene.keyframes) else f" ({len(chosen)} of {len(scene.keyframes)})"
        traces.append(_line(go, sticks, f"keyframes and headings{of}", "#CC79A7", 3))
    return traces


def _line(go: ModuleType, places: Array, name: str, color: str, width: int, *, in_legend: bool = True) -> Any:
    x, y, z = places.astype(np.float32).T
    line = {"color": color, "width": width}
    return go.Scatter3d(
        x=x, y=y, z=z, mode="lines", line=line, name=name, showlegend=in_legend, connectgaps=False, hovertemplate=_HOVER
    )


def _offset(points: Array) -> Array:
    """What is subtracted of coordinates, in whole kilometers `[3]`; zeros where none is far from the origin."""
    if np.abs(points).max() <= _FAR_M:
        return np.zeros(3)
    return np.asarray(1000.0 * np.rint(points.mean(axis=0) / 1000.0))
