# SPDX-License-Identifier: Apache-2.0
"""Random textures of whole objects: paintings, book spines, fronts of furniture, window views.

Every function returns uint8 RGB [height, width, 3] and uses the given generator.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from mvloc_ros.demo.material_textures import Image, Rgb, Rng, cloth, clouds, plaster, shaded, smooth_noise, wood

INK = (38, 36, 40)


def _color(rng: Rng, value: float | None = None) -> tuple[float, float, float]:
    """A saturated random color."""
    hue, bright = rng.uniform(0, 180), value if value is not None else rng.uniform(110, 235)
    pixel = np.array([[[hue, rng.uniform(110, 210), bright]]], np.uint8)
    r, g, b = cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0]
    return float(r), float(g), float(b)


def landscape(rng: Rng, height: int, width: int) -> Image:
    """Sky, sun and ranges of hills."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    upper, lower = np.asarray(_color(rng, 200), np.float32), np.asarray((250, 225, 180), np.float32)
    picture = np.repeat(upper * (1 - down) + lower * down, width, axis=1).astype(np.uint8)
    sun = (int(rng.uniform(0.2, 0.8) * width), int(rng.uniform(0.15, 0.4) * height))
    cv2.circle(picture, sun, height // 9, (255, 244, 200), -1, cv2.LINE_AA)
    for layer in range(4):
        ridge = (0.45 + 0.14 * layer + 0.12 * smooth_noise(rng, 1, width, 1, 3 + layer)[0]) * height
        hill = np.asarray(_color(rng, 190 - 40 * layer))
        below = np.arange(height)[:, None] > ridge[None]
        picture[below] = hill.astype(np.uint8)
    return picture


def abstract(rng: Rng, height: int, width: int) -> Image:
    """Discs, bars and triangles on a plain ground."""
    picture = plaster(rng, height, width, _color(rng, 235))
    for _ in range(9):
        x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        size, color = int(rng.uniform(0.08, 0.3) * min(height, width)) + 2, _color(rng)
        shape = rng.integers(0, 3)
        if shape == 0:
            cv2.circle(picture, (x, y), size, color, -1, cv2.LINE_AA)
        elif shape == 1:
            cv2.rectangle(picture, (x, y), (x + 2 * size, y + size // 2), color, -1)
        else:
            corners = np.array([[x, y - size], [x - size, y + size], [x + size, y + size]], np.int32)
            cv2.fillPoly(picture, [corners], color, cv2.LINE_AA)
    return picture


def blocks(rng: Rng, height: int, width: int) -> Image:
    """Colored rectangles between thick black lines."""
    picture = np.full((height, width, 3), 238, np.uint8)
    columns = [0, *sorted(rng.integers(width // 8, width, 3).tolist()), width]
    for left, right in pairwise(columns):
        rows = [0, *sorted(rng.integers(height // 8, height, 3).tolist()), height]
        for top, bottom in pairwise(rows):
            if rng.random() < 0.55:
                picture[top:bottom, left:right] = _color(rng)
            cv2.rectangle(picture, (left, top), (right, bottom), INK, max(2, width // 50))
    return picture


def portrait(rng: Rng, height: int, width: int) -> Image:
    """Head and shoulders against a dark ground."""
    picture = shaded(_color(rng, 110), 1 + 0.3 * clouds(rng, height, width, 3))
    middle = width * rng.uniform(0.42, 0.58)
    for down, across, along, color in (
        (1.0, 0.38, 0.36, _color(rng)),  # shoulders
        (0.42, 0.2, 0.26, INK),  # hair
        (0.47, 0.15, 0.2, (225, 178, 145)),  # face
    ):
        place, axes = (int(middle), int(down * height)), (int(across * width), int(along * height))
        cv2.ellipse(picture, place, axes, 0, 0, 360, color, -1, cv2.LINE_AA)
    return picture


def poster(rng: Rng, height: int, width: int, words: tuple[str, ...]) -> Image:
    """A printed sheet with words on it."""
    ground = _color(rng, 225)
    picture = plaster(rng, height, width, ground, 0.02)
    step = height // (len(words) + 1)
    for row, word in enumerate(words):
        (wide, _), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_DUPLEX, 1.0, 2)
        scale = min(width * 0.86 / wide, step / 30)
        place = (int(width * 0.07), int(step * (row + 0.95)))
        cv2.putText(picture, word, place, cv2.FONT_HERSHEY_DUPLEX, scale, INK, max(1, round(scale * 2)), cv2.LINE_AA)
    cv2.rectangle(picture, (0, height - step * 3 // 4), (width, height), _color(rng, 120), -1)
    return picture


def framed(picture: Image, rgb: Rgb, rim: int) -> Image:
    """The picture with a pale mount and a frame."""
    inner = cv2.copyMakeBorder(picture, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=(236, 232, 222))
    return np.asarray(cv2.copyMakeBorder(inner, rim, rim, rim, rim, cv2.BORDER_CONSTANT, value=rgb), dtype=np.uint8)


def books(rng: Rng, height: int, width: int) -> Image:
    """A row of spines of different widths, heights and colors in front of a dark shelf."""
    picture = np.full((height, width, 3), (44, 34, 28), np.uint8)
    left = 0
    while left < width - 4:
        right = min(width, left + int(rng.uniform(0.09, 0.24) * height) + 2)
        top = int(rng.uniform(0.0, 0.28) * height)
        color = _color(rng) if rng.random() < 0.75 else (225, 218, 200)
        cv2.rectangle(picture, (left, top), (right - 1, height), color, -1)
        cv2.rectangle(picture, (left, top), (right - 1, height), tuple(0.5 * c for c in color), 1)
        band = top + int(rng.uniform(0.15, 0.6) * (height - top))
        cv2.rectangle(picture, (left + 1, band), (right - 2, band + height // 12), _color(rng, 240), -1)
        left = right
    return picture


def panels(rng: Rng, height: int, width: int, rgb: Rgb, columns: int, rows: int) -> Image:
    """The front of a cupboard or door: raised panels with a knob each."""
    picture = wood(rng, height, width, rgb)
    light, dark = tuple(min(255.0, 1.15 * c) for c in rgb), tuple(0.55 * c for c in rgb)
    for column in range(columns):
        for row in range(rows):
            left, right = width * column // columns, width * (column + 1) // columns
            top, bottom = height * row // rows, height * (row + 1) // rows
            cv2.rectangle(picture, (left, top), (right, bottom), tuple(0.3 * c for c in rgb), 1)
            inset = max(2, min(right - left, bottom - top) // 8)
            cv2.rectangle(picture, (left + inset, top + inset), (right - inset, bottom - inset), dark, 2)
            cv2.line(picture, (left + inset, bottom - inset), (right - inset, bottom - inset), light, 2)
            knob = (right - inset // 2 - 1 if column % 2 == 0 else left + inset // 2 + 1, (top + bottom) // 2)
            cv2.circle(picture, knob, max(2, inset // 4), (214, 190, 120), -1, cv2.LINE_AA)
    return picture


def rug(rng: Rng, height: int, width: int, rgb: Rgb) -> Image:
    """A carpet with borders, a medallion and scattered figures."""
    picture = cloth(rng, height, width, rgb)
    for inset, color in ((0.03, (226, 206, 160)), (0.06, (40, 56, 96)), (0.11, (200, 168, 110)), (0.13, rgb)):
        edge = int(inset * height)
        cv2.rectangle(picture, (edge, edge), (width - edge, height - edge), color, -1)
    for _ in range(70):
        spot = (int(rng.uniform(0.17, 0.83) * width), int(rng.uniform(0.2, 0.8) * height))
        size = int(rng.uniform(0.012, 0.035) * height)
        cv2.ellipse(picture, spot, (size, max(1, size // 2)), rng.uniform(0, 360), 0, 360, _color(rng), -1, cv2.LINE_AA)
    centre = (width // 2, height // 2)
    for radius, color in ((0.3, (40, 56, 96)), (0.24, (226, 206, 160)), (0.16, (168, 44, 44)), (0.07, (226, 206, 160))):
        axes = (int(radius * height * 1.25), int(radius * height))
        corners = np.asarray(cv2.ellipse2Poly(centre, axes, 0, 0, 360, 30), dtype=np.int32)
        cv2.fillPoly(picture, [corners], color, cv2.LINE_AA)
    return shaded(picture.astype(np.float32), 1 + rng.normal(0, 0.05, (height, width)).astype(np.float32))


def window_view(rng: Rng, height: int, width: int) -> Image:
    """View outside: sky with clouds, far hills, houses and trees."""
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.asarray((150, 190, 240), np.float32) * (1 - down) + np.asarray((232, 240, 250), np.float32) * down
    fleece = np.clip(clouds(rng, height, width, 3), 0, 1)[..., None]
    picture = np.ascontiguousarray((sky + (255 - sky) * fleece).astype(np.uint8))
    ridge = (0.6 + 0.08 * smooth_noise(rng, 1, width, 1, 4)[0]) * height
    picture[np.arange(height)[:, None] > ridge[None]] = (134, 160, 150)
    for _ in range(4):
        left, top = int(rng.uniform(-0.1, 0.9) * width), int(rng.uniform(0.55, 0.7) * height)
        wide = int(rng.uniform(0.14, 0.26) * width)
        cv2.rectangle(picture, (left, top), (left + wide, height), _color(rng, 205), -1)
        roof = np.array([[left - 4, top], [left + wide + 4, top], [left + wide // 2, top - wide // 3]], np.int32)
        cv2.fillPoly(picture, [roof], (150, 72, 56), cv2.LINE_AA)
        pane = (left + wide // 4, top + wide // 4), (left + wide // 2, top + wide // 2)
        cv2.rectangle(picture, *pane, (70, 80, 96), -1)
    for _ in range(7):
        spot = (int(rng.uniform(0, width)), int(rng.uniform(0.82, 1.0) * height))
        shade = tuple(float(c * rng.uniform(0.7, 1.2)) for c in (74, 120, 62))
        cv2.circle(picture, spot, int(rng.uniform(0.07, 0.13) * height), shade, -1, cv2.LINE_AA)
    return picture


def clock_face(rng: Rng, height: int, width: int) -> Image:
    """A clock face that shows ten past ten."""
    picture = plaster(rng, height, width, (242, 240, 230), 0.01)
    centre, radius = (width // 2, height // 2), min(height, width) // 2 - 3
    cv2.circle(picture, centre, radius, INK, max(2, radius // 10), cv2.LINE_AA)
    for hour in range(12):
        way = np.array([np.sin(hour * np.pi / 6), -np.cos(hour * np.pi / 6)])
        ends = [tuple(int(c) for c in np.asarray(centre) + way * radius * share) for share in (0.7, 0.84)]
        cv2.line(picture, ends[0], ends[1], INK, max(1, radius // 20), cv2.LINE_AA)
    for angle, length in ((305, 0.45), (60, 0.65)):
        way = np.array([np.sin(np.deg2rad(angle)), -np.cos(np.deg2rad(angle))])
        tip = tuple(int(c) for c in np.asarray(centre) + way * radius * length)
        cv2.line(picture, centre, tip, (160, 30, 30), max(2, radius // 14), cv2.LINE_AA)
    return picture


def screen(rng: Rng, height: int, width: int) -> Image:
    """A monitor or television that shows a bright picture inside a black rim."""
    rim = max(2, height // 24)
    picture = np.full((height, width, 3), 22, np.uint8)
    picture[rim:-rim, rim:-rim] = landscape(rng, height - 2 * rim, width - 2 * rim)
    return picture


def ribs(rng: Rng, height: int, width: int, rgb: Rgb, count: int) -> Image:
    """A radiator, or slats: vertical ribs that catch the light."""
    phase = np.linspace(0, 2 * np.pi * count, width, dtype=np.float32)[None]
    return shaded(rgb, 0.86 + 0.14 * np.sin(phase) + 0.01 * clouds(rng, height, width, 3))
