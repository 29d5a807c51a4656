# SPDX-License-Identifier: Apache-2.0
"""One frame as a picture for people: its image, the depth points over it colored by residual, and what is said of it.

Green is on the map's surface, red is 10 cm or more away from it, grey was not compared. Below the image a strip of
constant height says state, verdict, score and reason, so that the pictures of one camera are all of one size.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import NEAREST_M, image_points, transform_points
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.model.preprocessing import crop, in_metres, resize_color
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.scan import Scan

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]
"""uint8 `[H, W, 3]`, blue first."""

RED_M = 0.1
"""The residual, metres, from which a point is red."""
WIDEST, NARROWEST = 640, 400
"""Pixels: images that are longer than the first are reduced, narrower ones than the second enlarged."""
STRIP = 84
"""Height in pixels of the strip below the image."""
ACCEPTED, REJECTED = (90, 230, 90), (90, 90, 255)
"""Colors (blue, green, red) of the first line of words."""
_GREY = (170, 170, 170)
_LINE, _LINES, _SCALE, _FONT = 16, 4, 0.4, cv2.FONT_HERSHEY_SIMPLEX
_EMPTY = 480, 640
# Hues of OpenCV's HSV for uint8: 60 is green, 0 is red.
_GREEN_HUE = 60.0
_TO_BGR = {
    "rgb": cv2.COLOR_RGB2BGR,
    "rgba": cv2.COLOR_RGBA2BGR,
    "bgra": cv2.COLOR_BGRA2BGR,
    "mono": cv2.COLOR_GRAY2BGR,
}


@dataclass(frozen=True)
class Words:
    """What stands below the image: a title, and a text that is wrapped and cut to the strip."""

    title: str
    text: str
    is_accepted: bool


def words_of(localized: Localized) -> Words:
    """State, verdict, score and share of inliers, and the reason."""
    estimate = localized.estimate
    parts = [localized.state.name, "accepted" if localized.accepted else "rejected"]
    if np.isfinite(estimate.score):
        parts.append(f"score {estimate.score:.2f}")
    if estimate.details is not None:
        parts.append(f"inliers {estimate.details.support.share:.0%}")
    return Words("  ".join(parts), localized.reason, localized.accepted)


def words_of_failure(reason: str) -> Words:
    """Of a frame that gave no pose."""
    return Words("LOST  no pose", reason, is_accepted=False)


def debug_image(frame: Frame | None, scan: Scan | None, rig: SensorRig, words: Words) -> Picture:
    """The picture of one frame.

    Args:
        frame: None where its images could not be read.
        scan: points and residuals of its depth image, which are drawn over the colour image; None without.
        rig: the cameras.
        words: see `words_of`.
    """
    if frame is not None and frame.color is not None and frame.color.pixels.size:
        image, camera, T_view_depth = color_background(frame.color), rig.color, rig.T_color_depth
    elif frame is not None and frame.depth is not None and frame.depth.values.size:
        image, camera, T_view_depth = depth_background(frame.depth, rig.depth.far_m), rig.depth.camera, np.eye(4)
    else:
        return with_words(np.zeros((*_EMPTY, 3), np.uint8), words, legend=False)
    if scan is not None:
        height, width = image.shape[:2]
        seen = transform_points(T_view_depth, scan.points)
        draw_points(image, seen, camera.scaled_to(width, height), residual_colors(scan.residuals, len(scan.points)))
    legend = scan is not None and scan.residuals is not None and bool(np.isfinite(scan.residuals).any())
    return with_words(image, words, legend=legend)


def color_background(color: ColorImage) -> Picture:
    """What the network was shown of a colour image, at the picture's size."""
    pixels = crop(color.pixels, color.view)
    resized = resize_color(pixels, *_size(pixels.shape))
    if color.order == "bgr":
        return np.array(resized)
    return np.asarray(cv2.cvtColor(resized, _TO_BGR[color.order]), np.uint8)


def depth_background(depth: DepthImage, far_m: float) -> Picture:
    """A depth image in grey: near is bright, beyond `far_m` and without measurement is black."""
    values = crop(depth.values, depth.view)
    height, width = _size(values.shape)
    small = cv2.resize(in_metres(values, depth.metres_per_unit), (width, height), interpolation=cv2.INTER_NEAREST)
    near = np.where(np.isfinite(small) & (small > 0.0), np.clip(1.0 - small / far_m, 0.0, 1.0), 0.0)
    return np.repeat((255.0 * near).astype(np.uint8)[..., None], 3, axis=2)


def residual_colors(residuals: Array | None, count: int) -> NDArray[np.uint8]:
    """Blue, green, red `[N, 3]`: from green at 0 to red at `RED_M` and beyond; grey where there is no residual."""
    if residuals is None or not count:
        return np.full((count, 3), _GREY, np.uint8)
    known = np.isfinite(residuals)
    share = np.clip(np.where(known, residuals, 0.0) / RED_M, 0.0, 1.0)
    hsv = np.full((count, 1, 3), 255, np.uint8)
    hsv[:, 0, 0] = np.rint(_GREEN_HUE * (1.0 - share))
    colors = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR), np.uint8)[:, 0]
    colors[~known] = _GREY
    return colors


def draw_points(image: Picture, points: Array, camera: PinholeCamera, colors: NDArray[np.uint8]) -> None:
    """Draw points `[N, 3]` (optical frame of `camera`, which has the image's size) as squares of 2 pixels, in place.

    A point's pixel and the ones to the right and below are painted. Where points meet, the nearest is seen; what lies
    behind the camera or outside of the image is left out.
    """
    ahead = points[:, 2] > NEAREST_M
    order = np.argsort(-points[ahead, 2], kind="stable")  # far to near: of what is assigned twice, the last stays
    points, colors = points[ahead][order], colors[ahead][order]
    height, width = image.shape[:2]
    u, v = image_points(points, camera)
    inside = (u > -0.5) & (v > -0.5) & (u < width - 0.5) & (v < height - 0.5)
    column, row = np.rint(u[inside]).astype(np.intp), np.rint(v[inside]).astype(np.intp)
    column, row, colors = np.clip(column, 0, width - 1), np.clip(row, 0, height - 1), colors[inside]
    for down, right in ((1, 1), (1, 0), (0, 1), (0, 0)):
        image[np.minimum(row + down, height - 1), np.minimum(column + right, width - 1)] = colors


def with_words(image: Picture, words: Words, legend: bool) -> Picture:
    """The image with the strip below it; `legend` explains the residuals' colors there."""
    height, width = image.shape[:2]
    picture = np.zeros((height + STRIP, width, 3), np.uint8)
    picture[:height] = image
    _put(picture, height + _LINE, _cut(words.title, width - 8), ACCEPTED if words.is_accepted else REJECTED)
    for number, line in enumerate(wrapped(words.text, width - 8, _LINES - 1), start=2):
        _put(picture, height + number * _LINE, line, (230, 230, 230))
    if legend:
        _draw_legend(picture, height + STRIP - 10)
    return picture


def wrapped(text: str, width: int, most: int) -> list[str]:
    """Lines of at most `width` pixels, `most` of them; what is cut off ends in `...`."""
    # OpenCV's font has ASCII alone; it draws ? for each byte of anything else.
    words = shown(text, MOST_LOG_CHARACTERS).encode("ascii", "replace").decode().split()
    lines: list[str] = []
    for word in words:
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and _width(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    if len(lines) > most:
        lines = lines[:most]
        lines[-1] += " ..."
    return [_cut(line, width) for line in lines]


def _cut(line: str, width: int) -> str:
    if _width(line) <= width:
        return line
    while len(line) > 1 and _width(f"{line}...") > width:
        line = line[:-1]
    return f"{line}..."


def _width(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _SCALE, 1)[0][0])


def _put(picture: Picture, baseline: int, text: str, color: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, (4, baseline - 4), _FONT, _SCALE, color, 1, cv2.LINE_AA)


def _draw_legend(picture: Picture, row: int) -> None:
    """A bar of the residuals' colors between its ends in metres."""
    length = 120
    _put(picture, row + 8, "residual 0 m", (230, 230, 230))
    left = 10 + _width("residual 0 m")
    bar = residual_colors(np.linspace(0.0, RED_M, length), length)
    picture[row - 4 : row + 4, left : left + length] = bar[:, :]
    end = left + length + 6
    cv2.putText(picture, f"{RED_M:g} m", (end, row + 4), _FONT, _SCALE, (230, 230, 230), 1, cv2.LINE_AA)


def _size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of the picture of an image."""
    height, width = shape[:2]
    scale = min(1.0, WIDEST / max(height, width))
    if width * scale < NARROWEST:
        scale = min(NARROWEST / width, WIDEST / height)
    return max(1, round(height * scale)), max(1, round(width * scale))
