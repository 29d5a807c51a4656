# SPDX-License-Identifier: Apache-2.0
"""Another camera's image, cut and resized to what the training camera would have shown."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.geometry.camera import PinholeCamera, View
from mvloc_ros.model.frame import ColorImage, DepthImage
from mvloc_ros.model.preprocessing import crop, prepare_color, prepare_depth, resize_color, resize_depth

cameras = st.builds(
    PinholeCamera,
    width=st.integers(40, 200),
    height=st.integers(40, 200),
    fx=st.floats(40.0, 300.0),
    fy=st.floats(40.0, 300.0),
    cx=st.floats(10.0, 150.0),
    cy=st.floats(10.0, 150.0),
)


def directions(camera: PinholeCamera) -> np.ndarray:
    """x/z and y/z of every pixel's centre, `[2, H, W]`."""
    v, u = np.mgrid[: camera.height, : camera.width]
    return np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy])


@settings(deadline=None)
@given(cameras, cameras)
def test_the_view_shows_what_the_other_camera_would(seen: PinholeCamera, trained: PinholeCamera):
    """Images of the directions themselves: after cutting and resizing each pixel must hold its own direction."""
    view = seen.view_of(trained)
    if max(view.right - view.left, view.bottom - view.top) > 8:
        return  # so large that padding it is a waste; the node refuses it
    in_seen, in_trained = directions(seen), directions(trained)
    for axis, f in ((0, min(seen.fx, trained.fx)), (1, min(seen.fy, trained.fy))):
        # + 5, since 0 stands for outside.
        image = DepthImage((in_seen[axis] + 5.0).astype(np.float32), 1.0, view)
        if min(crop(image.values, view).shape) < 1:
            return  # a rectangle thinner than half a pixel
        result = prepare_depth(image, trained.height, trained.width)
        inside = result != 0.0
        # Half a pixel of rounding the edges, half a pixel of the nearest sample, in the coarser of both images.
        np.testing.assert_allclose(result[inside], in_trained[axis][inside] + 5.0, atol=1.51 / f)
        a_pixel = 1.0 / min(*crop(image.values, view).shape, trained.width, trained.height)
        assert inside.mean() == pytest.approx(view.covered, abs=3 * a_pixel)


def test_the_same_camera_in_another_resolution_has_the_whole_view():
    camera = PinholeCamera(640, 480, 525.0, 520.0, 319.5, 239.5)
    view = camera.view_of(camera.scaled_to(320, 240))
    assert (view.left, view.top, view.right, view.bottom) == pytest.approx((0.0, 0.0, 1.0, 1.0))
    assert view.covered == pytest.approx(1.0)


def test_a_longer_lens_lacks_the_edges():
    wide, long = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5), PinholeCamera(64, 48, 120.0, 120.0, 31.5, 23.5)
    view = long.view_of(wide)
    assert (view.left, view.right) == pytest.approx((-0.5, 1.5))
    assert view.covered == pytest.approx(0.25)
    white = ColorImage(np.full((48, 64, 3), 255, np.uint8), "rgb", view)
    result = prepare_color(white, 12, 16)
    assert result[3:9, 4:12].min() == 255
    assert result[:3].max() == result[9:].max() == result[:, :4].max() == result[:, 12:].max() == 0
    assert wide.view_of(long).covered == pytest.approx(1.0)


def test_a_part_inside_of_the_image_is_not_copied():
    image = np.zeros((48, 64, 3), np.uint8)
    part = crop(image, View(0.25, 0.25, 0.75, 0.75))
    assert part.shape == (24, 32, 3)
    assert np.shares_memory(part, image)
    assert crop(image, None) is image


@settings(deadline=None, max_examples=25)
@given(st.integers(96, 600), st.integers(128, 800), st.integers(0, 99))
def test_shrinking_by_halves_averages_as_in_one_step(height: int, width: int, seed: int):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    halvings = np.log2(min(height / 24, width / 32))  # at most so many
    # Of an image with structure of a few pixels, as lenses make it.
    pixels = cv2.GaussianBlur(noise, None, 2.0)
    found = resize_color(pixels, 24, 32).astype(int)
    whole = cv2.resize(pixels, (32, 24), interpolation=cv2.INTER_AREA).astype(int)
    # OpenCV rounds a half up, each time: a quarter of a level at the mean. Pixels that a boundary cuts differ further.
    assert np.abs(found - whole).max() <= 3 + halvings
    assert abs((found - whole).mean()) < 0.05 + 0.3 * halvings


@settings(deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.sampled_from([np.float32, np.float64, np.uint16]),
    st.integers(0, 2**32 - 1),
)
def test_of_points_each_new_pixel_keeps_the_nearest(size: tuple, more: tuple, kind: type, seed: int):
    rng, (height, width) = np.random.default_rng(seed), size
    depth = (rng.integers(1, 60000, (height + more[0], width + more[1])) * (rng.random() > 0.2)).astype(kind)
    depth[rng.random(depth.shape) < 0.7] = 0
    if kind is not np.uint16:
        depth[rng.random(depth.shape) < 0.1] = np.nan
        depth[rng.random(depth.shape) < 0.1] = np.inf
        depth[rng.random(depth.shape) < 0.1] = -1.0
    before = depth.copy()
    result = resize_depth(depth, height, width, of_points=True)
    np.testing.assert_array_equal(depth, before)
    assert result.dtype == depth.dtype
    assert result.shape == size
    if depth.shape == size:
        np.testing.assert_array_equal(result, depth)
        return
    expected = np.zeros(size, kind)
    for v, u in np.argwhere(np.isfinite(depth) & (depth > 0)):
        new = v * height // depth.shape[0], u * width // depth.shape[1]
        expected[new] = min(depth[v, u], expected[new] or depth[v, u])
    np.testing.assert_array_equal(result, expected)


def test_depth_of_surfaces_and_what_grows_is_sampled():
    rng = np.random.default_rng(1)
    depth = rng.uniform(0.5, 5.0, (48, 64)).astype(np.float32)
    rows, columns = (np.arange(12) * 2 + 1) * 48 // 24, (np.arange(16) * 2 + 1) * 64 // 32
    np.testing.assert_array_equal(resize_depth(depth, 12, 16), depth[np.ix_(rows, columns)])
    for size in ((96, 128), (24, 128)):
        np.testing.assert_array_equal(resize_depth(depth, *size, of_points=True), resize_depth(depth, *size))
