# SPDX-License-Identifier: Apache-2.0
"""Views from all training frames: they agree with exact images, hide what is hidden, and are where a camera can be."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from mvloc_ros.demo.camera_paths import Volume, camera_pose, drive
from mvloc_ros.demo.renderer import CAMERA, Renderer
from mvloc_ros.demo.room import build_room
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.depth_noise import depth_noise
from mvloc_ros.training.datasets import PosedFrames
from mvloc_ros.training.rendering.observed_space import ObservedSpace, observe
from mvloc_ros.training.rendering.places import is_clear, places_of, up_direction
from mvloc_ros.training.rendering.selection import select
from mvloc_ros.training.rendering.sensor import DepthSensor, kinds_of, sensor_of
from mvloc_ros.training.rendering.source import Source, sources_of
from mvloc_ros.training.rendering.surfaces import draw
from mvloc_ros.training.rendering.view import View, render
from mvloc_ros.training.views import RgbdCameras

CPU = torch.device("cpu")
SMALL = CAMERA.scaled_to(80, 60)


def frames_of(color: np.ndarray, depth: np.ndarray, poses: np.ndarray, names: tuple[str, ...] = ()) -> PosedFrames:
    count = len(poses)
    stamps = np.arange(count, dtype=np.int64)
    return PosedFrames(color, depth, np.ones((count, 2), np.float32), poses, stamps, names or ("seq-01",) * count)


@pytest.fixture(scope="module")
def room() -> Renderer:
    return Renderer(build_room(), SMALL)


@pytest.fixture(scope="module", params=["exact", "measured"])
def recorded(request: pytest.FixtureRequest, room: Renderer) -> tuple[str, Source, ObservedSpace]:
    """A drive through the demo room, as it is or as a sensor sees it."""
    poses, random = drive(Volume(), (3, 1), np.arange(150) * 0.6), np.random.default_rng(0)
    images = [room.exact(pose) if request.param == "exact" else room.measure(pose, random) for pose in poses]
    frames = frames_of(np.stack([i.color for i in images]), np.stack([i.depth for i in images]), poses)
    source = sources_of(frames, RgbdCameras(SMALL, SMALL), CPU)[0]
    return request.param, source, observe(source)


def differences(view: View, color: np.ndarray, depth: np.ndarray) -> dict[str, float]:
    """Median errors of depth and color, share of pixels with depth, and of those far behind the true surface."""
    both = (view.depth > 0.0) & (depth > 0.0)
    error = (view.depth - depth)[both]
    return {
        "depth": float(np.median(np.abs(error))),
        "color": float(np.median(np.abs(view.color.astype(float) - color)[view.colored])),
        "covered": float(both.sum() / (depth > 0.0).sum()),
        "behind": float((error > 0.05 + 0.05 * depth[both]).mean()),
    }


def median_of(found: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.median([one[name] for one in found])) for name in found[0]}


def test_a_recorded_pose_gives_the_recorded_image(recorded: tuple[str, Source, ObservedSpace]) -> None:
    kind, source, space = recorded
    found = median_of(
        [
            differences(render(source, space, source.poses[i]), source.frames.color[i], source.frames.depth[i])
            for i in range(0, 150, 10)
        ]
    )
    assert found["depth"] < (0.001 if kind == "exact" else 0.006)
    assert found["color"] <= (1.0 if kind == "exact" else 3.0)
    assert found["covered"] > 0.97
    assert found["behind"] < 0.01


def test_a_new_pose_gives_the_exact_image(recorded: tuple[str, Source, ObservedSpace], room: Renderer) -> None:
    """At poses that no frame had, drawn as for a training."""
    kind, source, space = recorded
    random, places = np.random.default_rng(1), places_of(source)
    found: list[dict[str, float]] = []
    apart = []
    while len(found) < 16:
        pose = places.draw(random)
        if is_clear(space, pose[:3, 3]) and select(source, pose, SMALL).covered > 0.8:
            exact = room.exact(pose)
            found.append(differences(render(source, space, pose), exact.color, exact.depth))
            apart.append(np.linalg.norm(source.poses[:, :3, 3] - pose[:3, 3], axis=1).min())
    middle = median_of(found)
    assert np.median(apart) > 0.05, "places that no frame had"
    assert middle["depth"] < (0.002 if kind == "exact" else 0.006)
    assert middle["color"] <= (4.0 if kind == "exact" else 8.0)
    assert middle["covered"] > (
        0.93 if kind == "exact" else 0.65
    )  # the sensor has holes at edges, windows and far away
    assert middle["behind"] < 0.02


# Scenes of rectangles: (axis of the normal, its coordinate, bounds of the two other axes in their order).
Rectangle = tuple[int, float, tuple[float, float], tuple[float, float]]
CAM = PinholeCamera(64, 48, 50.0, 50.0, 31.5, 23.5)
COLORS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40], [40, 200, 200]], np.uint8)


def looking(place: tuple[float, float, float], yaw: float) -> np.ndarray:
    """A pose in a map with y down: yaw 0 looks along z, 90 degrees along x."""
    pose = np.eye(4)
    pose[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    pose[:3, 3] = place
    return pose


def trace(scene: list[Rectangle], pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Color and depth of a scene, exact."""
    u, v = np.meshgrid(np.arange(CAM.width), np.arange(CAM.height))
    rays = np.stack([(u - CAM.cx) / CAM.fx, (v - CAM.cy) / CAM.fy, np.ones_like(u, float)], -1) @ pose[:3, :3].T
    depth, color = np.full(u.shape, np.inf), np.zeros((*u.shape, 3), np.uint8)
    for number, (axis, value, *bounds) in enumerate(scene):
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (value - pose[axis, 3]) / rays[..., axis]
            hit = z[..., None] * rays + pose[:3, 3]
        others = [a for a in range(3) if a != axis]
        inside = (z > 0) & (z < depth)
        for a, (low, high) in zip(others, bounds, strict=True):
            inside &= (hit[..., a] >= low) & (hit[..., a] <= high)
        depth[inside], color[inside] = z[inside], COLORS[number % len(COLORS)]
    return color, np.where(np.isfinite(depth), depth, 0.0).astype(np.float32)


def recording(scene: list[Rectangle], poses: list[np.ndarray]) -> tuple[Source, ObservedSpace]:
    images = [trace(scene, pose) for pose in poses]
    frames = frames_of(np.stack([i[0] for i in images]), np.stack([i[1] for i in images]), np.stack(poses))
    source = sources_of(frames, RgbdCameras(CAM, CAM), CPU)[0]
    return source, observe(source)


WALL: Rectangle = (2, 4.0, (-9.0, 9.0), (-9.0, 9.0))
BOARD: Rectangle = (2, 2.0, (-0.4, 0.4), (-0.4, 0.4))


@pytest.mark.parametrize("place", [(0.0, 0.0, 1.0), (0.2, 0.1, 1.5), (-0.5, 0.0, 0.8)])
def test_nothing_shows_through_a_surface_that_is_seen_from_near(place: tuple[float, float, float]) -> None:
    """At up to four times the size it was recorded with, a board has no holes that show the wall behind it."""
    source, space = recording([WALL, BOARD], [looking((x, 0.0, 0.0), 0.0) for x in np.linspace(-1.5, 1.5, 13)])
    pose = looking(place, 0.0)
    color, depth = trace([WALL, BOARD], pose)
    view = render(source, space, pose)
    board = depth == np.float32(2.0 - place[2])
    inside = cv2.erode(board.astype(np.uint8), np.ones((3, 3))) > 0  # its edge lies up to half a recorded pixel inside
    assert inside.sum() > 0.85 * board.sum()
    assert np.abs(view.depth - depth)[inside].max() < 1e-3
    assert np.median(np.abs(view.color.astype(int) - color)[inside]) <= 1
    assert (np.abs(view.depth - depth)[view.depth > 0.0] > 0.01).mean() < 0.03


def test_the_back_of_a_surface_is_not_shown_and_hides() -> None:
    """A surface that only its other side's frames saw is a hole, not a picture of what is farther away."""
    pose = looking((0.0, 0.0, 3.5), np.pi)
    wide, near = (torch.from_numpy(trace(scene, looking((0.0, 0.0, 0.5), 0.0))[1]) for scene in ([WALL], [BOARD]))
    wall, board = torch.where(near > 0.0, torch.zeros_like(wide), wide), near
    T = se3.inverse(pose) @ np.stack([looking((0.0, 0.0, 0.5), np.pi), looking((0.0, 0.0, 0.5), 0.0)])
    front = torch.from_numpy(trace([(2, -1.0, (-9.0, 9.0), (-9.0, 9.0))], looking((0.0, 0.0, 0.5), np.pi))[1])
    placed = torch.as_tensor(T, dtype=torch.float32)
    for second, hides in ((board, True), (torch.zeros_like(wall), False)):
        found = draw(torch.stack([front, second]), placed[:, :3, :3], placed[:, :3, 3], CAM)
        middle = found.depth[20:28, 28:36]
        assert bool(found.hidden[20:28, 28:36].all()) == hides
        assert bool((middle == 0.0).all()) if hides else torch.allclose(middle, torch.tensor(4.5))


def test_a_wall_that_was_seen_from_its_other_side_hides_what_is_behind_it() -> None:
    """10 cm thick, and free on both sides; the frames that saw it are none of those that make the view."""
    scene: list[Rectangle] = [WALL, BOARD, (2, 2.1, (-0.4, 0.4), (-0.4, 0.4)), (2, 0.0, (-9.0, 9.0), (-9.0, 9.0))]
    across = np.linspace(-1.0, 1.0, 9)
    towards = [looking((x, 0.0, 0.3), 0.0) for x in across]
    away = [looking((x, 0.0, 1.6), np.pi) for x in across]
    along = [looking((-3.0, 0.0, z), np.pi / 2) for z in np.arange(2.3, 3.2, 0.05)]
    scene += [(0, x, (-0.4, 0.4), (2.0, 2.1)) for x in (-0.4, 0.4)] + [(0, 3.0, (-9.0, 9.0), (-9.0, 9.0))]
    source, space = recording(scene, towards + away + along)
    pose = looking((0.0, 0.0, 2.9), np.pi)
    view, depth = render(source, space, pose), trace(scene, pose)[1]
    wall = depth == np.float32(0.8)
    middle = cv2.erode(wall.astype(np.uint8), np.ones((17, 17))) > 0  # all but one cube of the grid at its sides
    assert middle.sum() > 500
    assert not (view.depth[middle] > 0.9).any()


def test_what_no_frame_saw_to_be_free_hides_what_is_behind_it() -> None:
    """A cupboard was seen from the front only; the wall beyond its side, seen from elsewhere, is not shown through."""
    cupboard: list[Rectangle] = [
        (2, 2.0, (-0.4, 0.4), (-2.0, 2.0)),
        (0, -0.4, (-2.0, 2.0), (2.0, 3.2)),
        (0, 0.4, (-2.0, 2.0), (2.0, 3.2)),
    ]
    scene: list[Rectangle] = [WALL, (0, -3.0, (-9.0, 9.0), (-9.0, 9.0)), *cupboard]
    front = [looking((x, 0.0, 0.0), 0.0) for x in np.linspace(-0.3, 0.3, 9)]
    left = [looking((-1.0, 0.0, z), -np.pi / 2) for z in np.linspace(2.0, 3.2, 9)]
    source, space = recording(scene, front + left)
    pose = looking((1.5, 0.0, 2.6), -np.pi / 2)
    view, depth = render(source, space, pose), trace(scene, pose)[1]
    side = depth == np.float32(1.1)
    assert side.sum() > 500
    assert (view.depth[side] > 1.2).mean() < 0.02
    assert is_clear(space, pose[:3, 3])
    assert not is_clear(space, np.array([0.0, 0.0, 2.6])), "no camera is inside of the cupboard"
    assert not is_clear(space, np.array([0.0, 0.0, 4.5])), "nor behind the wall"


def test_lights_are_not_mixed() -> None:
    """Two sequences of one place in two lights: each source has the frames of its own."""
    poses = [looking((x, 0.0, 0.0), 0.0) for x in np.linspace(-1.0, 1.0, 9)]
    color, depth = (np.stack(values) for values in zip(*(trace([WALL, BOARD], pose) for pose in poses), strict=True))
    names = ("bright",) * 9 + ("dark",) * 9
    both = frames_of(np.concatenate([color, color // 4]), np.tile(depth, (2, 1, 1)), np.stack(poses * 2), names)
    bright, dark = sources_of(both, RgbdCameras(CAM, CAM), CPU)
    assert (bright.name, dark.name) == ("bright", "dark")
    pose = looking((0.1, 0.0, 0.4), 0.0)
    lit, unlit = (render(source, observe(source), pose).color.astype(int) for source in (bright, dark))
    assert np.abs(lit // 4 - unlit).max() <= 1


def test_poses_are_like_those_of_the_recording() -> None:
    random = np.random.default_rng(0)
    path = random.uniform((-3, -2, 0.9, -3.1, -0.1, -0.02), (3, 2, 1.1, 3.1, 0.05, 0.02), (300, 6))
    poses = np.stack([camera_pose(*row) for row in path])
    np.testing.assert_allclose(up_direction(poses), [0.0, 0.0, 1.0], atol=0.01)
    color, depth = np.zeros((300, 60, 80, 3), np.uint8), np.full((300, 60, 80), 2.0, np.float32)
    places = places_of(sources_of(frames_of(color, depth, poses), RgbdCameras(SMALL, SMALL), CPU)[0])
    drawn = np.stack([places.draw(random) for _ in range(500)])
    assert all(se3.is_rigid(pose) for pose in drawn)
    assert np.all((drawn[:, 2, 3] > 0.85) & (drawn[:, 2, 3] < 1.15)), "heights"
    pitch = np.arcsin(drawn[:, 2, 2])
    assert np.all((pitch > -0.13) & (pitch < 0.08))
    assert np.abs(drawn[:, 2, 0]).max() < 0.05, "roll"
    headings = np.arctan2(drawn[:, 1, 2], drawn[:, 0, 2])
    assert np.histogram(headings, 8, (-np.pi, np.pi))[0].min() > 30


def test_up_is_level_where_all_frames_look_down_to_one_side() -> None:
    """Their mean up direction has the pitch of the cameras, 25 degrees; their x axes do not."""
    random = np.random.default_rng(0)
    headings = random.uniform(-0.5, 0.5, 100)
    poses = np.stack([camera_pose(0, 0, 1, heading, -0.44) for heading in headings])
    angle = np.degrees(np.arccos(up_direction(poses) @ [0.0, 0.0, 1.0]))
    assert angle < 10.0


def test_the_sensor_has_noise_holes_and_a_range() -> None:
    chances, random = (0.6, 0.9, 0.9, 0.9, 0.9, 0.9, 0.004, 0.004), np.random.default_rng(0)
    sensor = DepthSensor(SMALL, 0.4, 5.0, chances)
    depth = np.full((60, 80), 3.0, np.float32)
    depth[:, 40:] = 4.0
    depth[:10], depth[50:] = 0.0, 6.0
    measured = np.stack([sensor.measure(depth, random) for _ in range(20)])
    assert not measured[:, :10].any(), "what no frame saw stays without depth"
    assert not measured[:, 50:].any(), "beyond the range"
    for z, columns in ((3.0, slice(5, 38)), (4.0, slice(43, 75))):
        part = measured[:, 12:48, columns]
        assert (part == 0.0).mean() < 0.01
        assert np.std(part[part > 0.0]) == pytest.approx(depth_noise(z), rel=0.1)
    assert (measured[:, 12:48, 39:41] == 0.0).mean() == pytest.approx(0.6, abs=0.05)
    grazing = np.tile(1.0 / np.linspace(8.0, 0.3, 80, dtype=np.float32), (60, 1))  # a wall along the way
    steep = (kinds_of(grazing, SMALL) >= 1) & (kinds_of(grazing, SMALL) <= 5)
    assert 1000 < steep.sum() < 1500, "the part that is seen at less than 17 degrees"
    assert (DepthSensor(SMALL, 0.1, 5.0, chances).measure(grazing, random)[steep] == 0.0).mean() > 0.85


def test_a_slanted_floor_has_no_edges_and_the_holes_are_those_of_the_recording() -> None:
    """Neighboring rows of a floor are 10 % of their depth apart; that is a slope, no step."""
    random, camera = np.random.default_rng(0), SMALL
    rows = (np.arange(60) - camera.cy) / camera.fy
    floor = np.tile(np.where(rows > 0.14, 0.9 / np.maximum(rows, 1e-3), 0.0)[:, None], (1, 80)).astype(np.float32)
    assert (kinds_of(floor, camera)[floor > 0.0] != 0).all()
    floor[:, 40:] *= np.float32(0.6)
    pairs = []
    for _ in range(10):
        chance = np.where(kinds_of(floor, camera) == 0, 0.5, 0.02)
        pairs.append((floor, np.where(random.random(floor.shape) < chance, 0.0, floor).astype(np.float32)))
    fitted = DepthSensor(camera, 0.4, 9.0).with_holes_of(pairs)
    assert fitted.chances[0] == pytest.approx(0.5, abs=0.05)
    assert fitted.chances[5] == pytest.approx(0.02, abs=0.01)


def test_the_range_is_that_of_the_recording(recorded: tuple[str, Source, ObservedSpace]) -> None:
    _, source, _ = recorded
    depth = source.frames.depth
    cut = replace(source.frames, depth=np.where(depth < 3.0, depth, np.float32(0.0)))
    sensor = sensor_of(cut, SMALL)
    assert 2.9 < sensor.far_m <= 3.0
    assert sensor.near_m >= depth[depth > 0.0].min()
