# SPDX-License-Identifier: Apache-2.0
"""Views of made surfaces, and keyframes and loop closures between them, for the tests of `mvloc_ros.posing`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.geometry.projection import transform_points
from mvloc_ros.localization.local_features import LocalFeatures, Matches, none_found
from mvloc_ros.posing.alignment import Aligned
from mvloc_ros.posing.loop_closures import Closure, Node
from mvloc_ros.posing.tracks import Keyframe
from mvloc_ros.posing.view import View
from mvloc_ros.recordings import FrameRecord

ROOM_M = np.array([4.0, 3.0, 2.4])
"""The box room: from 0 to these lengths in x, y, z."""


def transform(x: float, y: float, z: float, *degrees: float) -> np.ndarray:
    """4x4 of a place in metres and a rotation vector in degrees."""
    return se3.from_parts([x, y, z], quaternion.exp(0.5 * np.deg2rad(degrees)))


def record(index: int = 0, sequence: str = "seq-01", hz: float = 10.0, folder: Path = Path("nowhere")) -> FrameRecord:
    """A frame without files."""
    return FrameRecord(sequence, index, round(index / hz * 1e9), None, folder / f"{index}.png", None)


def box_room(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points `[N, 3]` drawn evenly on the six faces of the room, and their normals inwards."""
    area = np.repeat(np.prod(ROOM_M) / ROOM_M, 2)
    face = rng.choice(6, count, p=area / area.sum())
    axis, side = face // 2, face % 2
    points = rng.random((count, 3)) * ROOM_M
    points[np.arange(count), axis] = side * ROOM_M[axis]
    normals = np.zeros((count, 3))
    normals[np.arange(count), axis] = 1.0 - 2.0 * side
    return points, normals


def wall(count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points on the one wall x = 2 m, 3 m wide and 2 m high around y = z = 0, and their normals towards the origin."""
    points = (rng.random((count, 3)) - 0.5) * [0.0, 3.0, 2.0] + [2.0, 0.0, 0.0]
    return points, np.tile([-1.0, 0.0, 0.0], (count, 1))


def view(
    surface: tuple[np.ndarray, np.ndarray],
    T: np.ndarray,
    rng: np.random.Generator,
    features: LocalFeatures | None = None,
    index: int = 0,
) -> View:
    """What a camera at T (4x4) sees of points and normals within 60 degrees of its axis, with the depth's noise."""
    points, normals = transform_points(se3.inverse(T), surface[0]), surface[1] @ T[:3, :3]
    ahead = points[:, 2] > 0.5 * np.linalg.norm(points, axis=1)
    points, normals = points[ahead], normals[ahead]
    noise = depth_noise(points[:, 2]) * rng.standard_normal(len(points))
    points = points * (1.0 + noise / points[:, 2])[:, None]
    return View(record(index), points, normals, features or none_found(), np.zeros((60, 80), np.float32))


def hardly_anything(index: int = 0, sequence: str = "seq-01", features: LocalFeatures | None = None) -> View:
    """A view of which only its record counts, and its features: one point ahead."""
    point, normal = np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 0.0, -1.0]])
    return View(record(index, sequence), point, normal, features or none_found(), np.zeros((60, 80), np.float32))


def camera(x: float, y: float, z: float, yaw: float, pitch: float = 0.0) -> np.ndarray:
    """T_map_camera (4x4), optical frame: yaw to the left of x and pitch downwards in degrees."""
    a, b = np.deg2rad([yaw, pitch])
    ahead = np.array([np.cos(a) * np.cos(b), np.sin(a) * np.cos(b), -np.sin(b)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(ahead, right), ahead], axis=1)
    T[:3, 3] = x, y, z
    return T


def matched(count: int, T: np.ndarray, rng: np.random.Generator, noise_m: float = 0.005) -> Matches:
    """Features on the wall x = 2 m as a camera at T (4x4) sees them, and where they are."""
    places = wall(count, rng)[0]
    seen = transform_points(se3.inverse(T), places) + noise_m * rng.standard_normal((count, 3))
    return Matches(seen, places)


def track_nodes(track: int, poses: Sequence[np.ndarray]) -> list[Node]:
    """The keyframes of one track at poses (4x4) in its frame."""
    sequence = f"seq-{track + 1:02d}"
    return [Node(track, n, Keyframe(hardly_anything(n, sequence), T, np.eye(6))) for n, T in enumerate(poses)]


def closure(a: int, b: int, T_a_b: np.ndarray, matches: int = 20) -> Closure:
    """A verified pair of nodes."""
    aligned = Aligned(T_a_b, 1e4 * np.eye(6), 0.9, 0.9, 0.005, matches)
    return Closure(a, b, T_a_b, aligned, by_appearance=True)


def apart_when_aligned(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distances of positions after the best rigid alignment (Umeyama, 1991, without scale)."""
    mine, theirs = found[:, :3, 3], true[:, :3, 3]
    T = np.eye(4)
    T[:3, :3] = se3.project_to_so3((theirs - theirs.mean(axis=0)).T @ (mine - mine.mean(axis=0)))
    T[:3, 3] = theirs.mean(axis=0) - T[:3, :3] @ mine.mean(axis=0)
    return np.linalg.norm((T @ found)[:, :3, 3] - theirs, axis=1)
