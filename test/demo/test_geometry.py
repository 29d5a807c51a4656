# SPDX-License-Identifier: Apache-2.0
"""The exact images agree with the room's geometry, the camera model and the pose convention."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mvloc_ros.demo.camera_paths import camera_pose
from mvloc_ros.demo.raycast import Raycaster
from mvloc_ros.demo.renderer import CAMERA, Renderer
from mvloc_ros.demo.room import build_room
from mvloc_ros.demo.solids import Paint, Solid, Surface, turned
from mvloc_ros.geometry.camera import PinholeCamera

SLOW_START = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROOM = build_room()

poses = st.builds(
    camera_pose,
    st.floats(-2.0, 2.0), st.floats(-1.5, 1.5), st.floats(0.9, 1.6),
    st.floats(-np.pi, np.pi), st.floats(-0.4, 0.4), st.floats(-0.2, 0.2),
)  # fmt: skip


def unproject(depth: np.ndarray, pose: np.ndarray, camera: PinholeCamera = CAMERA) -> np.ndarray:
    """Points [H, W, 3] in the map frame."""
    v, u = np.mgrid[: camera.height, : camera.width]
    x, y = (u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy
    points = np.stack([x, y, np.ones_like(x)], axis=-1) * depth[..., None].astype(np.float64)
    return points @ pose[:3, :3].T + pose[:3, 3]


def distance_to_room(points: np.ndarray) -> np.ndarray:
    """Distance in metres of each point [N, 3] to the nearest rectangle of the room, by another way than ray casting."""
    nearest = np.full(len(points), np.inf)
    for face in ROOM.surfaces:
        offset = points - face.centre
        outside_right = np.maximum(np.abs(offset @ face.right) - face.half_width, 0)
        outside_down = np.maximum(np.abs(offset @ face.down) - face.half_height, 0)
        distance = np.sqrt((offset @ face.normal) ** 2 + outside_right**2 + outside_down**2)
        nearest = np.minimum(nearest, distance)
    return nearest


@SLOW_START
@given(pose=poses)
def test_every_pixel_lies_on_a_surface_and_nothing_is_nearer(renderer: Renderer, pose: np.ndarray) -> None:
    depth = renderer.exact(pose).depth
    assert depth.dtype == np.float32
    points = unproject(depth, pose)[4::24, 4::24].reshape(-1, 3)
    assert distance_to_room(points).max() < 1e-4
    # A ray that hit too far would have passed through a solid: no point half-way lies inside one.
    for share in (0.3, 0.6, 0.9, 0.99):
        between = pose[:3, 3] + share * (points - pose[:3, 3])
        for solid in ROOM.solids:
            inside = np.abs((between - solid.centre) @ solid.rotation) < solid.size / 2 - 1e-4
            assert not inside.all(axis=1).any()


def test_two_exact_views_reproject_onto_each_other(renderer: Renderer) -> None:
    first = camera_pose(-0.8, -0.6, 1.2, np.deg2rad(80), -0.05)
    second = camera_pose(-0.5, -0.4, 1.25, np.deg2rad(72), -0.08, 0.03)
    near, far = renderer.exact(first).depth, renderer.exact(second).depth
    seen = (unproject(near, first) - second[:3, 3]) @ second[:3, :3]
    u = CAMERA.fx * seen[..., 0] / seen[..., 2] + CAMERA.cx
    v = CAMERA.fy * seen[..., 1] / seen[..., 2] + CAMERA.cy
    # On a plane, inverse depth is linear in the pixel, so this interpolation is exact away from edges.
    inverse = cv2.remap(1 / far, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR)
    inside = (u > 1) & (u < CAMERA.width - 2) & (v > 1) & (v < CAMERA.height - 2)
    error = np.abs(1 / np.maximum(inverse, 1e-6) - seen[..., 2])
    curvature = np.abs(cv2.Laplacian(1 / far, cv2.CV_32F, ksize=1))
    smooth = cv2.dilate((curvature > 2e-4).astype(np.uint8), np.ones((5, 5)))
    occluded = seen[..., 2] > 1 / np.maximum(inverse, 1e-6) + 0.02
    flat = cv2.remap(smooth, u.astype(np.float32), v.astype(np.float32), cv2.INTER_NEAREST) == 0
    compared = inside & flat & ~occluded
    assert compared.mean() > 0.3
    assert error[compared].max() < 0.002
    assert (inside & flat & occluded).mean() < 0.1


@pytest.mark.parametrize(
    ("yaw_deg", "distance"), [(0, 3.0), (90, 2.5), (180, 3.0), (270, 2.5)], ids=["east", "north", "west", "south"]
)
def test_depth_is_along_the_optical_axis_and_not_along_the_ray(yaw_deg: float, distance: float) -> None:
    walls = ROOM.surfaces[:6]
    depth = Raycaster(walls, CAMERA).trace(camera_pose(0, 0, 1.4, np.deg2rad(yaw_deg))).depth
    # The whole width of a wall that the camera faces squarely has one z; rays to its sides are longer.
    np.testing.assert_allclose(depth[100:140], distance, atol=1e-5)


def test_marker_appears_where_it_stands() -> None:
    """Frames: x right, y down, z forward. Seen from the south looking north, east is right and up is up."""
    red, blue = Paint("red"), Paint("blue")
    east_high = Solid(np.array([1.0, 3.0, 2.0]), np.full(3, 0.2), turned(), red)
    west_low = Solid(np.array([-0.5, 3.0, 0.5]), np.full(3, 0.2), turned(), blue)
    back = Surface(np.array([0, 4.0, 0]), np.array([1.0, 0, 0]), np.array([0, 0, -1.0]), 50, 50, Paint("grey"))
    surfaces = [back, *east_high.surfaces(), *west_low.surfaces()]
    hits = Raycaster(surfaces, CAMERA).trace(camera_pose(0, 0, 1.0, np.deg2rad(90)))
    paint = np.array([face.paint.texture for face in surfaces])[hits.face]
    for name, x, y in (("red", 1.0, -1.0), ("blue", -0.5, 0.5)):
        v, u = np.argwhere(paint == name).mean(axis=0)
        assert u == pytest.approx(CAMERA.cx + CAMERA.fx * x / 2.95, abs=2)
        assert v == pytest.approx(CAMERA.cy + CAMERA.fy * y / 2.95, abs=2)


def test_pictures_are_upright_and_not_mirrored(renderer: Renderer) -> None:
    """The television east shows its texture as painted: the image of it matches the texture, not its mirror."""
    image = renderer.exact(camera_pose(1.6, -0.45, 0.87, 0.0)).color
    half_width, half_height = (int(CAMERA.fx * size / 2 / (2.825 - 1.6)) for size in (1.15, 0.66))
    middle_u, middle_v = round(CAMERA.cx), round(CAMERA.cy)
    seen = image[middle_v - half_height : middle_v + half_height, middle_u - half_width : middle_u + half_width]
    texture = ROOM.textures["television"].image

    def likeness(candidate: np.ndarray) -> float:
        small = [cv2.resize(picture, (60, 34), interpolation=cv2.INTER_AREA).ravel() for picture in (seen, candidate)]
        return float(np.corrcoef(small[0], small[1])[0, 1])

    upright = likeness(texture)
    assert upright > 0.9
    assert upright > max(likeness(texture[:, ::-1]), likeness(texture[::-1])) + 0.02


def test_surface_that_passes_behind_the_camera_is_cut_and_not_lost() -> None:
    floor = Surface(np.zeros(3), np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), 10, 10, Paint("floor"))
    behind = Surface(np.array([0, 0, -1.0]), np.array([1.0, 0, 0]), np.array([0, -1.0, 0]), 99, 99, Paint("far"))
    hits = Raycaster([behind, floor], CAMERA).trace(camera_pose(0, 0, 1.0, 0.0, np.deg2rad(-40)))
    assert (hits.face[120:] == 1).all()
    assert hits.depth[-1, 160] == pytest.approx(1 / np.sin(np.deg2rad(40) + np.arctan(119.5 / 250)) * np.cos(
        np.arctan(119.5 / 250)), rel=1e-4)  # fmt: skip


def test_camera_of_another_size_sees_the_same(renderer: Renderer) -> None:
    pose = camera_pose(0.3, -0.4, 1.2, np.deg2rad(60))
    half = Raycaster(ROOM.surfaces, CAMERA.scaled_to(160, 120)).trace(pose).depth
    full = renderer.exact(pose).depth
    # A pixel of the half image is the middle of four of the full one.
    around = full.reshape(120, 2, 160, 2)
    low, high = around.min(axis=(1, 3)), around.max(axis=(1, 3))
    assert ((half > low - 0.01) & (half < high + 0.01)).mean() > 0.98
