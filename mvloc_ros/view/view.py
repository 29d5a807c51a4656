# SPDX-License-Identifier: Apache-2.0
"""`mvloc view`: a bundle with a scene map in, a folder of pictures and a page out, with what was assumed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros import output_folder
from mvloc_ros.drawing.canvas import png_of
from mvloc_ros.foreign_text import shown
from mvloc_ros.view import from_poses
from mvloc_ros.view.above import draw_above, origin_line
from mvloc_ros.view.from_poses import draw_from, poses_to_show
from mvloc_ros.view.page import page_of, require_plotly
from mvloc_ros.view.scene import BRIGHTNESS, HEIGHT, Scene, read_scene, require_colors

ABOVE_FILE, PAGE_FILE = "above.png", "map.html"
_OWN_FILE = re.compile(r"above\.png|map\.html|view_\d+\.png")
_WHAT = "`mvloc view`"


@dataclass(frozen=True)
class ViewOptions:
    """What is drawn.

    Attributes:
        views: pictures from poses along the training path.
        color: of the points; empty: by height from above and in the page, by brightness from the poses.
        with_page: whether the interactive page is made.
        points: of the page, at most.
    """

    views: int
    color: str
    with_page: bool
    points: int


def view(model: Path, out: Path | None, options: ViewOptions) -> tuple[Path, list[str]]:
    """Draw a bundle's map.

    Args:
        model: the bundle.
        out: a new folder or one with earlier pictures; None: the bundle's name and `_view`, in the current folder.
        options: what is drawn.

    Returns:
        The folder, and what was assumed and written, in lines.

    Raises:
        ViewError: the bundle has no map, or Plotly is missing.
        BundleError, SceneMapError: the bundle is damaged.
        OutputFolderError, StorageError: the folder cannot be used.
    """
    if options.with_page:
        require_plotly()
    scene = read_scene(model)
    require_colors(scene, options.color)
    out = Path(f"{scene.bundle.name}_view") if out is None else out
    output_folder.require_usable(out, _WHAT, _is_own)
    chosen = poses_to_show(scene, options.views)
    from_above, from_camera = colors_of(scene, options.color)
    files: dict[str, bytes | str] = {ABOVE_FILE: png_of(draw_above(scene, from_above, chosen))}
    for number, index in enumerate(chosen, start=1):
        files[view_file(number)] = from_poses.png_of(draw_from(scene, scene.poses[index], from_camera))
    if options.with_page:
        files[PAGE_FILE] = page_of(scene, options.points, from_above)
    output_folder.write_results(out, files, _WHAT, _is_own)
    sizes = ", ".join(f"{name} ({len(content) / 1e6:.1f} MB)" for name, content in files.items())
    return out, [*_assumed(scene, options, chosen), f"written to {shown(out, 200)}: {sizes}"]


def colors_of(scene: Scene, color: str) -> tuple[str, str]:
    """Colors of the picture from above, and of those from the poses."""
    if color:
        return color, color
    return HEIGHT, BRIGHTNESS if scene.has_brightness else HEIGHT


def view_file(number: int) -> str:
    """The file of the picture from the pose of that number, from 1."""
    return f"view_{number}.png"


def _is_own(name: str) -> bool:
    return _OWN_FILE.fullmatch(name) is not None


def _assumed(scene: Scene, options: ViewOptions, chosen: NDArray[np.intp]) -> list[str]:
    found, camera = scene.scene_map, scene.camera
    points = found.thinned(1_000_000).points
    spans = ", ".join(
        f"{axis} {low:.2f} to {high:.2f}"
        for axis, low, high in zip("xyz", points.min(axis=0), points.max(axis=0), strict=True)
    )
    lines = [
        f"frame: {shown(scene.frame)}, meters, {'turned: its z does not point up' if scene.is_turned else 'z up'}"
        f"{'' if len(scene.poses) or len(scene.keyframes) else ' (not checked: the bundle does not tell its poses)'}",
        f"map: {len(found)} points at {found.resolution_m:g} m; {spans} m",
        origin_line(scene),
        f"training path: {len(scene.poses)} poses, {scene.path_m[-1] if len(scene.poses) else 0.0:.1f} m; "
        f"keyframes: {len(scene.keyframes)}",
    ]
    if not scene.has_brightness and not options.color:
        lines.append("colors: by height in all pictures, since the points have no brightness")
    for number, index in enumerate(chosen, start=1):
        (x, y, z), (a, b, c) = scene.poses[index, :3, 3], scene.poses[index, :3, 2]
        lines.append(
            f"{view_file(number)}: from {x:.2f}, {y:.2f}, {z:.2f} m along {a:.2f}, {b:.2f}, {c:.2f}, training pose "
            f"{index + 1} of {len(scene.poses)}"
        )
    if len(chosen):
        model = scene.bundle.manifest.frames.pose_of
        lines.append(
            f"camera: {camera.width}x{camera.height} pixels, {camera.fx:g} focal length (the {model} camera of the "
            f"training); surfaces up to {from_poses.FAR_M:g} m"
        )
    elif options.views:
        lines.append("no pictures from poses: the bundle does not tell its training poses")
    return lines
