# SPDX-License-Identifier: Apache-2.0
"""Turned and moved views against a scene whose views from anywhere are known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mvloc_ros.geometry import quaternion, se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.training.views import RgbdCameras
from mvloc_ros.training.views.camera_motion import Motion
from mvloc_ros.training.views.filling import fill
from mvloc_ros.training.views.turning import turn
from mvloc_ros.training.views.warping import warp
from mvloc_ros.training.views.zbuffer import warp_depth

HEIGHT, WIDTH = 96, 128
REGISTERED = RgbdCameras(*2 * (PinholeCamera(WIDTH, HEIGHT, 112.0, 110.0, 63.0, 48.5),))
# Focal lengths as far apart as those of 7-Scenes.
UNREGISTERED = RgbdCameras(
    PinholeCamera(WIDTH, HEIGHT, 105.0, 105.0, 64.5, 47.0), PinholeCamera(WIDTH, HEIGHT, 117.0, 117.0, 63.5, 47.5)
)
STILL = ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
MOTIONS = [  # rotation vector in radians, translation in metres
    ((0.0, 0.0, 0.0), (0.3, 0.0, 0.0)),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 0.3)),
    ((0.0, 0.0, 0.0), (0.0, 0.1, -0.25)),
    ((0.1, -0.15, 0.15), (0.1, -0.2, 0.15)),
]


class View(NamedTuple):
    color: NDArray[np.uint8]
    depth: NDArray[np.float32]
    on_plate: NDArray[np.bool_]  # of the depth image


def trace(camera: PinholeCamera, T: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Depth `[H, W]` of a slanted wall and of a plate before it, and where the plate is."""
    v, u = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)
    rays = rays @ T[:3, :3].T
    wall = (2.5 - T[:3, 3] @ [0.3, -0.2, 1.0]) / (rays @ [0.3, -0.2, 1.0])
    plate = (1.4 - T[2, 3]) / rays[..., 2]
    x, y, _ = np.moveaxis(T[:3, 3] + rays * plate[..., None], -1, 0)
    hit = (np.abs(x - 0.1) < 0.25) & (np.abs(y) < 0.2)
    return np.where(hit, plate, wall), hit


def points(depth: NDArray[np.float64], camera: PinholeCamera, T: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the pixels of a depth image are in the world, `[H, W, 3]`."""
    v, u = np.mgrid[: camera.height, : camera.width]
    local = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(u.shape)], axis=-1)
    return local * depth[..., None] @ T[:3, :3].T + T[:3, 3]


def render(cameras: RgbdCameras, T: NDArray[np.float64]) -> View:
    depth, on_plate = trace(cameras.depth, T)
    place = points(trace(cameras.color, T)[0], cameras.color, T)
    color = 127.5 + 100 * np.sin(3.0 * place @ np.array([[1.0, 0.3, 0.2], [-0.4, 1.0, 0.5], [0.3, 0.2, -0.8]]))
    return View(color.round().astype(np.uint8), depth.astype(np.float32), on_plate)


def motion(vector: tuple[float, ...], translation: tuple[float, ...]) -> tuple[Motion, NDArray[np.float64]]:
    q = quaternion.exp(np.array(vector) / 2)
    moved = Motion(torch.tensor(q, dtype=torch.float32)[None], torch.tensor(translation, dtype=torch.float32)[None])
    return moved, se3.from_parts(translation, q)


def interior(mask: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """True where no value of `mask` within `margin` pixels differs, and not at the border."""
    result = np.zeros_like(mask)
    size = 2 * margin + 1
    windows = np.lib.stride_tricks.sliding_window_view(mask, (size, size))
    result[margin:-margin, margin:-margin] = windows.all(axis=(2, 3)) | ~windows.any(axis=(2, 3))
    return result


def visible_before(cameras: RgbdCameras, start: NDArray[np.float64], T: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which pixels of the moved colour camera show what the depth camera had measured, away from edges."""
    depth, hit = trace(cameras.color, T)
    place = points(depth, cameras.color, T) - start[:3, 3]
    local = place @ start[:3, :3]
    u = local[..., 0] / local[..., 2] * cameras.depth.fx + cameras.depth.cx
    v = local[..., 1] / local[..., 2] * cameras.depth.fy + cameras.depth.cy
    inside = (u > 2) & (u < WIDTH - 3) & (v > 2) & (v < HEIGHT - 3)
    row, column = (np.clip(x.round().astype(int), 0, n - 1) for x, n in ((v, HEIGHT), (u, WIDTH)))
    before, plate_before = trace(cameras.depth, start)
    same = hit == plate_before[row, column]
    return inside & same & interior(plate_before, 3)[row, column] & interior(hit, 3) & (before[row, column] > 0)


def tensors(view: View) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(view.color)[None], torch.from_numpy(view.depth)[None]


@pytest.mark.parametrize("cameras", [REGISTERED, UNREGISTERED], ids=["registered", "two focal lengths"])
@pytest.mark.parametrize(("vector", "translation"), MOTIONS)
def test_a_moved_view_equals_the_one_from_there(
    vector: tuple[float, ...], translation: tuple[float, ...], cameras: RgbdCameras
) -> None:
    start = motion((0.02, -0.05, 0.03), (0.1, 0.0, -0.1))[1]
    moved, T_old_new = motion(vector, translation)
    there = render(cameras, start @ T_old_new)
    color, depth = (values[0].numpy() for values in warp(*tensors(render(cameras, start)), moved, cameras))
    assert color.dtype == np.uint8
    assert depth.dtype == np.float32
    # The wall rises by at most 0.9 % a pixel, and a value is of a ray at most 0.7 pixels off.
    compared = (depth > 0) & interior(there.on_plate, 2)
    np.testing.assert_allclose(depth[compared], there.depth[compared], rtol=0.009)
    assert compared.mean() > 0.55
    shown = visible_before(cameras, start, start @ T_old_new)
    assert shown.mean() > 0.4
    assert np.abs(color.astype(int) - there.color)[shown].max() <= 4
    assert np.abs(color.astype(int) - render(cameras, start).color)[shown].max() > 30, "it did move"


@pytest.mark.parametrize("vector", [(0.1, 0, 0), (0, -0.12, 0), (0, 0, 0.2), (0.08, -0.06, 0.15)])
def test_a_turned_view_equals_the_one_from_there(vector: tuple[float, ...]) -> None:
    start = motion((0.02, -0.05, 0.03), (0.1, 0.0, -0.1))[1]
    moved, T_old_new = motion(vector, (0.0, 0.0, 0.0))
    there = render(UNREGISTERED, start @ T_old_new)
    color, depth = (values[0].numpy() for values in turn(*tensors(render(UNREGISTERED, start)), moved, UNREGISTERED))
    shown = visible_before(UNREGISTERED, start, start @ T_old_new)
    assert shown.mean() > 0.5
    assert np.abs(color.astype(int) - there.color)[shown].max() <= 2
    compared = (depth > 0) & interior(there.on_plate, 2)
    assert compared.mean() > 0.6
    np.testing.assert_allclose(depth[compared], there.depth[compared], rtol=0.009)


@pytest.mark.parametrize("view", [warp, turn])
@pytest.mark.parametrize("cameras", [REGISTERED, UNREGISTERED])
def test_no_motion_changes_nothing(view: type[warp], cameras: RgbdCameras) -> None:
    generator = torch.Generator().manual_seed(5)
    color = torch.randint(0, 256, (2, HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=generator)
    depth = 0.5 + 3.0 * torch.rand(2, HEIGHT, WIDTH, generator=generator)
    lost = torch.rand(2, HEIGHT, WIDTH, generator=generator)
    depth[lost < 0.1], depth[lost > 0.95], depth[0, 0, :5], depth[0, 1, :5] = 0.0, torch.nan, torch.inf, -1.0
    valid = torch.isfinite(depth) & (depth > 0)
    still = Motion(torch.tensor([[0.0, 0.0, 0.0, 1.0]] * 2), torch.zeros(2, 3))
    before = color.clone(), depth.clone()
    same_color, same_depth = view(color, depth, still, cameras)
    torch.testing.assert_close(same_depth, torch.where(valid, depth, torch.zeros(())), rtol=0.0, atol=0.0)
    assert torch.equal(same_color, color)
    torch.testing.assert_close((color, depth), before, rtol=0.0, atol=0.0, equal_nan=True)  # inputs stay


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_nearest_surface_wins_from_either_side(sign: float) -> None:
    """A plate 1 m before a wall, seen from aside, hides what it is now before, and only that."""
    camera = REGISTERED.depth
    depth = torch.full((1, HEIGHT, WIDTH), 2.0)
    depth[:, 30:60, 50:80] = 1.0
    moved, _ = motion((0.0, 0.0, 0.0), (sign * 0.25, 0.0, 0.0))
    found = warp_depth(depth, moved, camera)[0]
    # Parallax: 28 pixels of the plate, 14 of the wall.
    shift = round(sign * 0.25 * camera.fx)
    assert torch.all(found[30:60, 50 - shift : 80 - shift] == 1.0)
    assert int((found == 1.0).sum()) == 30 * 30
    # Behind where the plate was, nothing had been measured: a strip of 14 pixels beside it stays empty.
    strip = slice(80 - shift, 94 - shift) if sign > 0 else slice(36 - shift, 50 - shift)
    assert torch.all(found[31:59, strip] == 0.0)
    assert torch.all(found[:29, 20:-20] == 2.0)


def test_colour_goes_with_the_surface_in_front() -> None:
    """A green plate before a red wall moves by its own parallax, and the wall beside it by its own."""
    depth = torch.full((1, HEIGHT, WIDTH), 2.0)
    color = torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    color[..., 0] = 200
    depth[:, 30:60, 50:80] = 1.0
    color[:, 30:60, 50:80] = torch.tensor([0, 200, 0], dtype=torch.uint8)
    found, _ = warp(color, depth, motion((0.0, 0.0, 0.0), (0.25, 0.0, 0.0))[0], REGISTERED)
    green = found[0, :, :, 1].int()
    assert torch.all(green[32:58, 24:50] == 200)
    assert torch.all(green[:, :21] < 10)
    assert torch.all(green[:, 67:] < 10)
    # Columns 52 to 65 show what the plate had hidden: its rim may go on a little, but be no second plate.
    assert int((green > 100).sum()) < 900 + 14 * 30 / 2


def test_gaps_of_a_surface_that_comes_nearer_are_closed_and_hide_what_is_behind() -> None:
    camera = REGISTERED.depth
    depth = torch.full((1, HEIGHT, WIDTH), 3.0)
    v, u = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing="ij")
    depth[0, 30:70, 40:100] = 1.0 + 0.003 * u - 0.002 * v  # slanted, so that gaps are not straight
    found = warp_depth(depth, motion((0.02, -0.03, 0.12), (0.05, 0.02, 0.3))[0], camera)[0]
    near = (found > 0.4) & (found < 1.2)
    rows, columns = near.nonzero().unbind(dim=1)
    assert len(rows) > 1.6 * 40 * 60
    assert interior(near.numpy(), 1)[rows, columns].sum() > 0.85 * len(rows)
    middle = near[30:66, 45:85]
    assert torch.all(middle), "neither empty nor the wall behind"


def test_a_hole_of_the_depth_image_stays_one() -> None:
    depth = torch.full((1, HEIGHT, WIDTH), 2.0)
    depth[0, 20:26, 40:48] = 0.0
    depth[0, 60, 60] = torch.nan
    found = warp_depth(depth, motion((0.0, 0.0, 0.0), (0.0, 2.0 * 7 / 110, 0.0))[0], REGISTERED.depth)[0]
    empty = (found == 0.0).nonzero()
    inner = empty[empty[:, 0] < HEIGHT - 7]  # the last seven rows are beyond what was seen
    assert len(inner) == 6 * 8 + 1
    assert torch.equal(inner.amin(dim=0), torch.tensor([13, 40]))
    assert found[53, 60] == 0.0


@pytest.mark.parametrize("value", [0.2, 0.0, torch.nan, torch.inf])
def test_nothing_is_seen_of_what_is_behind_the_camera_or_was_not_measured(value: float) -> None:
    color = torch.full((1, HEIGHT, WIDTH, 3), 90, dtype=torch.uint8)
    moved, _ = motion((0.0, 0.1, 0.0), (0.0, 0.0, 0.3))
    found, depth = warp(color, torch.full((1, HEIGHT, WIDTH), value), moved, UNREGISTERED)
    assert torch.all(depth == 0.0)
    assert found.shape == color.shape


def test_what_came_into_the_lens_is_not_seen() -> None:
    depth = torch.full((1, HEIGHT, WIDTH), 0.305)
    depth[:, 44:54, 66:72] = 0.35
    found = warp_depth(depth, motion((0.0, 0.0, 0.0), (0.0, 0.0, 0.3))[0], REGISTERED.depth)
    assert 0.049 < found[found > 0].min() <= found.max() < 0.051


def test_without_any_depth_the_image_turns_alone() -> None:
    color = torch.from_numpy(render(REGISTERED, np.eye(4)).color)[None]
    moved, _ = motion((0.1, -0.1, 0.1), (0.2, 0.1, 0.0))
    empty = torch.zeros(1, HEIGHT, WIDTH)
    assert torch.equal(warp(color, empty, moved, REGISTERED)[0], turn(color, empty, moved, REGISTERED)[0])


def test_the_frames_of_a_batch_do_not_mix() -> None:
    views = [render(REGISTERED, motion((0.0, 0.1 * i, 0.0), (0.1 * i, 0.0, 0.0))[1]) for i in range(3)]
    motions = [motion(*MOTIONS[i])[0] for i in (0, 1, 3)]
    color, depth = (torch.cat(values) for values in zip(*map(tensors, views), strict=True))
    together = warp(color, depth, Motion(*map(torch.cat, zip(*motions, strict=True))), REGISTERED)
    for i in range(3):
        alone = warp(color[i : i + 1], depth[i : i + 1], motions[i], REGISTERED)
        assert torch.equal(together[1][i], alone[1][0])
        assert int((together[0][i].int() - alone[0][0].int()).abs().max()) <= 1


def test_filling_keeps_what_is_known_and_stays_between_its_values() -> None:
    generator = torch.Generator().manual_seed(1)
    values = torch.rand(3, 1, 37, 50, generator=generator)
    known = torch.rand(3, 1, 37, 50, generator=generator) < 0.3
    known[:, :, 10:30, 5:30] = False
    known[2] = False
    filled = fill(values, known)
    assert torch.equal(filled.masked_select(known), values.masked_select(known))
    for image in range(2):
        of_image = values[image].masked_select(known[image])
        assert filled[image].min() >= of_image.min() - 1e-5
        assert filled[image].max() <= of_image.max() + 1e-5
    assert torch.all(filled[2] == 0.0)
    ramp = torch.arange(50.0).expand(1, 1, 37, 50)
    error = (fill(ramp, known[:1]) - ramp)[:, :, 4:-4, 4:-4].abs()
    assert error.max() < 10.0, "a ramp goes on through a hole 25 wide"
