# SPDX-License-Identifier: Apache-2.0
"""Random textures of materials: wood, planks, bricks, plaster, cloth, wallpaper. uint8 RGB [H, W, 3]."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Rgb = tuple[float, float, float]
Rng = np.random.Generator


def smooth_noise(rng: Rng, height: int, width: int, rows: float, columns: float) -> npt.NDArray[np.float32]:
    """Noise in -1..1 with about `rows` x `columns` independent patches."""
    grid = rng.uniform(-1, 1, (max(2, round(rows) + 1), max(2, round(columns) + 1))).astype(np.float32)
    return np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def clouds(rng: Rng, height: int, width: int, patches: float, octaves: int = 4) -> npt.NDArray[np.float32]:
    """Fractal noise of about -1..1: each octave has twice the patches and half the weight."""
    total = np.zeros((height, width), np.float32)
    for octave in range(octaves):
        rows, columns = patches * 2**octave, patches * 2**octave * width / height
        total += 0.5**octave * smooth_noise(rng, height, width, rows, columns)
    return total


def shaded(rgb: Rgb | npt.NDArray[np.float32], factor: npt.NDArray[np.float32]) -> Image:
    """Color times a factor per pixel, clipped to uint8."""
    return np.asarray(np.clip(np.asarray(rgb, np.float32) * factor[..., None], 0, 255), dtype=np.uint8)


def grain(rng: Rng, height: int, width: int) -> npt.NDArray[np.float32]:
    """Wood fibres along the width, -1..1."""
    broad = smooth_noise(rng, height, width, height / 14, width / 180)
    fine = smooth_noise(rng, height, width, height / 3, width / 70)
    return np.asarray(0.6 * np.sin(5 * broad) + 0.4 * fine, dtype=np.float32)


def wood(rng: Rng, height: int, width: int, rgb: Rgb) -> Image:
    """One board."""
    return shaded(rgb, 1 + 0.11 * grain(rng, height, width))


def planks(rng: Rng, height: int, width: int, rgb: Rgb, board: int) -> Image:
    """A floor of boards `board` pixels wide, of different tones, with dark joints."""
    factor = np.ones((height, width), np.float32)
    for top in range(0, height, board):
        left = -int(rng.integers(0, width // 3))
        while left < width:
            right = left + int(rng.integers(width // 5, width // 2))
            piece = factor[top : top + board, max(left, 0) : min(right, width)]
            if piece.size:
                piece[:] = rng.uniform(0.72, 1.18) * (1 + 0.12 * grain(rng, *piece.shape))
                piece[-1:] *= 0.55
                piece[:, -1:] *= 0.55
            left = right
    warmth = clouds(rng, height, width, 2)
    tone = np.stack([1 + 0.05 * warmth, np.ones_like(warmth), 1 - 0.08 * warmth], axis=-1)
    return shaded(np.asarray(rgb, np.float32) * tone, factor)


def bricks(rng: Rng, height: int, width: int, rgb: Rgb, course: int) -> Image:
    """A wall of bricks `course` pixels high in running bond, with light mortar and a few burnt ones."""
    length, joint = course * 3, max(1, course // 7)
    mortar = np.asarray((196, 188, 176), np.float32)
    picture = np.tile(mortar, (height, width, 1))
    for row, top in enumerate(range(0, height, course)):
        for left in range(-(row % 2) * length // 2, width, length):
            tone = rng.uniform(0.74, 1.14) if rng.random() > 0.08 else rng.uniform(0.45, 0.6)
            hue = np.asarray(rgb, np.float32) * (1 + rng.normal(0, 0.05, 3).astype(np.float32)) * tone
            picture[top + joint : top + course, max(0, left + joint) : max(0, left + length)] = hue
    return shaded(picture, 1 + 0.07 * clouds(rng, height, width, 12, 3) + 0.08 * clouds(rng, height, width, 2, 2))


def plaster(rng: Rng, height: int, width: int, rgb: Rgb, strength: float = 0.035) -> Image:
    """Painted plaster: nearly even, with faint clouds."""
    return shaded(rgb, 1 + strength * clouds(rng, height, width, 3))


def cloth(rng: Rng, height: int, width: int, rgb: Rgb, check: int = 0) -> Image:
    """Woven cloth, with a check of `check` pixels if not 0."""
    factor = 1 + 0.05 * clouds(rng, height, width, 4) + rng.normal(0, 0.03, (height, width)).astype(np.float32)
    if check:
        across, along = np.arange(width) // check % 2, np.arange(height) // check % 2
        factor *= 1 - 0.16 * across[None] - 0.16 * along[:, None]
    return shaded(rgb, factor.astype(np.float32))


def folds(rng: Rng, height: int, width: int, rgb: Rgb) -> Image:
    """A hanging curtain with irregular vertical folds."""
    wander = smooth_noise(rng, height, width, 2, 4)
    phase = np.linspace(0, 14 * np.pi, width, dtype=np.float32)[None] + 2 * wander
    return shaded(rgb, 0.82 + 0.18 * np.sin(phase) + 0.03 * clouds(rng, height, width, 4))


def stripes(rng: Rng, height: int, width: int, rgb: Rgb, other: Rgb, period: int) -> Image:
    """Striped wallpaper with stripes of different width and tone, so that all positions look different."""
    columns = np.empty((width, 3), np.float32)
    left, which = 0, 0
    while left < width:
        right = left + int(period * rng.uniform(0.5, 1.5))
        columns[left:right] = np.asarray((rgb, other)[which], np.float32) * rng.uniform(0.93, 1.06)
        left, which = right, 1 - which
    return shaded(columns[None], 1 + 0.03 * clouds(rng, height, width, 3))


def wallpaper(rng: Rng, height: int, width: int, rgb: Rgb, leaf: Rgb, size: int) -> Image:
    """Wallpaper with twigs of random angle and tone."""
    picture = plaster(rng, height, width, rgb)
    for row, y in enumerate(range(size // 2, height + size, size)):
        for x in range((row % 2) * size // 2, width + size, size):
            turn, tone = rng.uniform(0, 360), rng.uniform(0.8, 1.15)
            color = tuple(float(min(255, channel * tone)) for channel in leaf)
            stalk = np.deg2rad(turn)
            tip = (int(x + 0.42 * size * np.cos(stalk)), int(y + 0.42 * size * np.sin(stalk)))
            cv2.line(picture, (x, y), tip, color, max(1, size // 30), cv2.LINE_AA)
            for along in (0.12, 0.24, 0.36):
                for side in (-45, 45):
                    angle = np.deg2rad(turn + side)
                    centre = (
                        int(x + size * (along * np.cos(stalk) + 0.1 * np.cos(angle))),
                        int(y + size * (along * np.sin(stalk) + 0.1 * np.sin(angle))),
                    )
                    axes = (max(1, int(size * 0.11)), max(1, int(size * 0.045)))
                    cv2.ellipse(picture, centre, axes, turn + side, 0, 360, color, -1, cv2.LINE_AA)
    return picture
