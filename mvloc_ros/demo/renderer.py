# SPDX-License-Identifier: Apache-2.0
"""Renders color and depth images of the room from a pose, exact or with sensor noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mvloc_ros.demo.lighting import SETTINGS, Setting
from mvloc_ros.demo.lightmaps import LightMaps
from mvloc_ros.demo.raycast import Hits, Raycaster
from mvloc_ros.demo.room import DEFAULT_ROOM_SEED, Room, build_room
from mvloc_ros.demo.sensor_noise import ColorSensor, DepthSensor, quantised
from mvloc_ros.demo.solids import Paint
from mvloc_ros.demo.texture_atlas import LEVELS
from mvloc_ros.geometry.camera import PinholeCamera

FloatMap = npt.NDArray[np.float32]

# Color and depth have the same camera (registered); 65 by 51 degrees.
CAMERA = PinholeCamera(width=320, height=240, fx=250.0, fy=250.0, cx=159.5, cy=119.5)

# Of an infrared camera: the share of red, green and blue in its image, and the lamp beside it, which gives white at
# `_LAMP_REACH_M` and no more light nearer than `_LAMP_NEAREST_M`, where exposure is shortened.
_INFRARED = np.array([0.7, 0.2, 0.1], dtype=np.float32)
_LAMP_REACH_M, _LAMP_NEAREST_M, _GAMMA = 2.0, 0.8, 2.2


@dataclass(frozen=True)
class RgbdFrame:
    """color: uint8 RGB [H, W, 3]; depth: float32 meters along the optical axis [H, W], 0 = not measured.

    further: uint8 images of further sensors by name.
    """

    color: npt.NDArray[np.uint8]
    depth: FloatMap
    further: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)


class Renderer:
    """Renders one room with one camera, in one light setting at a time."""

    def __init__(self, room: Room, camera: PinholeCamera = CAMERA) -> None:
        self.camera = camera
        self._atlas = room.atlas.image
        self._caster = Raycaster(room.surfaces, camera)
        self._lights = LightMaps(room.surfaces, room.solids)
        self._glass = np.array([face.paint.glass for face in room.surfaces])
        self._place_textures(room)
        self.set_light(SETTINGS["day"])

    def set_light(self, setting: Setting, exposure: float = 1.0) -> None:
        """Change the light; exposure multiplies the amount of light."""
        self._sheet = self._lights.sheet(setting, exposure)

    def exact(self, T_map_camera: npt.ArrayLike) -> RgbdFrame:
        """Without noise, range limits or holes (and with depth on glass)."""
        hits = self._caster.trace(T_map_camera)
        return RgbdFrame(quantised(self._shade(hits)), hits.depth)

    def measure(
        self,
        T_map_camera: npt.ArrayLike,
        rng: np.random.Generator,
        color_sensor: ColorSensor | None = None,
        depth_sensor: DepthSensor | None = None,
    ) -> RgbdFrame:
        """With sensor noise, which only depends on the generator."""
        hits = self._caster.trace(T_map_camera)
        color = (color_sensor or ColorSensor()).capture(self._shade(hits), rng)
        depth = (depth_sensor or DepthSensor()).capture(hits, self._glass[hits.face], rng)
        return RgbdFrame(color, depth)

    def encoded(self, T_map_camera: npt.ArrayLike) -> FloatMap:
        """What a color camera gets in the light of the room, gamma-encoded, 0..255 and above, [H, W, 3]."""
        return self._shade(self._caster.trace(T_map_camera))

    def lit_by_camera(self, T_map_camera: npt.ArrayLike) -> FloatMap:
        """What an infrared camera gets with a lamp beside it alone, gamma-encoded, three equal channels [H, W, 3]."""
        hits = self._caster.trace(T_map_camera)
        albedo = self._albedo(hits).astype(np.float32) @ _INFRARED
        light = hits.cosine * (_LAMP_REACH_M / np.maximum(hits.depth, _LAMP_NEAREST_M)) ** 2
        gray = albedo * np.clip(light, 0.0, None) ** np.float32(1 / _GAMMA)
        return np.repeat(gray[..., None], 3, axis=2)

    def _place_textures(self, room: Room) -> None:
        """For each surface and level: atlas pixel = offset + scale * position on the surface (m), [F * LEVELS, 2]."""
        offset, scale = np.zeros((2, len(room.surfaces), LEVELS, 2))
        for index, face in enumerate(room.surfaces):
            name = face.paint.texture
            full = 2 * np.array([face.half_width, face.half_height])
            share, start = _window(face.paint, full, np.array(room.textures[name].size), face.centre)
            extent = room.atlas.extent[name]
            scale[index] = extent * share / full
            offset[index] = room.atlas.corner[name] + extent * (start + share / 2) - 0.5
        self._offset, self._scale = offset.reshape(-1, 2).astype(np.float32), scale.reshape(-1, 2).astype(np.float32)
        density = np.sqrt(scale[:, 0, 0] * scale[:, 0, 1])  # texels per meter at the finest level
        self._texels = (density / self.camera.fx).astype(np.float32)
        self._light_origin = self._lights.origin.astype(np.float32)
        self._light_step = self._lights.step.astype(np.float32)

    def _shade(self, hits: Hits) -> FloatMap:
        """Texture times light, gamma-encoded, 0..255 and above, [H, W, 3]."""
        light = _sample(self._sheet, hits, hits.face, self._light_origin, self._light_step)
        return np.asarray(cv2.multiply(self._albedo(hits), light, dtype=cv2.CV_32F), dtype=np.float32)

    def _albedo(self, hits: Hits) -> npt.NDArray[Any]:
        """The texture, [H, W, 3]."""
        texels_per_pixel = np.take(self._texels, hits.face) * hits.depth / np.sqrt(np.maximum(hits.cosine, 0.05))
        level = np.clip(np.log2(np.maximum(texels_per_pixel, 1e-3)) + 0.4, 0, LEVELS - 1).astype(np.intp)
        tile = hits.face * LEVELS + level
        return _sample(self._atlas, hits, tile, self._offset, self._scale)


def _window(
    paint: Paint, full: npt.NDArray[np.float64], size: npt.NDArray[np.float64], centre: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Which part of a texture a face shows: (share, start) in 0..1 per axis.

    A material is cut out at a position that depends on that of the face, so that neighboring faces differ.
    """
    if paint.whole:
        return np.ones(2), np.zeros(2)
    share = np.minimum(1.0, full / size)
    chance = np.modf(np.abs(np.sin([centre @ (12.9, 78.2, 37.7), centre @ (39.3, 11.1, 83.1)])) * 4375.8)[0]
    return share, (1 - share) * chance


def _sample(
    image: npt.NDArray[Any], hits: Hits, index: npt.NDArray[np.intp], offset: FloatMap, scale: FloatMap
) -> npt.NDArray[Any]:
    """Sample an image bilinearly at offset + scale * position."""
    x = np.take(offset[:, 0], index) + np.take(scale[:, 0], index) * hits.right
    y = np.take(offset[:, 1], index) + np.take(scale[:, 1], index) * hits.down
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR))


@lru_cache(maxsize=1)
def demo_renderer(room_seed: int = DEFAULT_ROOM_SEED) -> Renderer:
    """The renderer of the demo room, built once per process."""
    return Renderer(build_room(room_seed))
