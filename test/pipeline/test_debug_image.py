# SPDX-License-Identifier: Apache-2.0
"""The picture of a frame: known points on known pixels, colors by residual, and words that fit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.sensor_rig import SensorRig
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.pipeline import debug_image as drawing
from mvloc_ros.pipeline.debug_image import RED_M, STRIP, WIDEST, Words, debug_image, draw_points, residual_colors
from mvloc_ros.pipeline.scan import Scan

CAMERA = PinholeCamera(640, 480, 500.0, 500.0, 320.0, 240.0)
GREEN, YELLOW, RED, GREY = (0, 255, 0), (0, 255, 255), (0, 0, 255), (170, 170, 170)
SAME_PLACE = np.eye(4)
WORDS = Words("TRACKING  accepted", "", is_accepted=True)


def rig(T_color_depth: np.ndarray = SAME_PLACE) -> SensorRig:
    depth = DepthCamera(CAMERA, 0.3, 4.0, np.zeros(CORRECTION_SHAPE, np.float32))
    return SensorRig(CAMERA, depth, T_color_depth, T_color_depth)


def frame(height: int = 480, width: int = 640) -> Frame:
    return Frame(1, "camera", ColorImage(np.zeros((height, width, 3), np.uint8), "rgb"), None)


def painted(image: np.ndarray) -> set[tuple[int, int]]:
    return {(int(row), int(column)) for row, column in zip(*np.nonzero(image.any(axis=2)), strict=True)}


def test_colors_by_residual():
    found = residual_colors(np.array([0.0, RED_M / 2, RED_M, 5.0, np.nan]), 5)
    assert [tuple(color) for color in found.tolist()] == [GREEN, YELLOW, RED, RED, GREY]
    assert [tuple(color) for color in residual_colors(None, 2).tolist()] == [GREY, GREY]
    assert residual_colors(np.zeros(0), 0).shape == (0, 3)


def test_a_point_is_drawn_on_the_pixel_that_the_camera_sees_it_in():
    image = np.zeros((480, 640, 3), np.uint8)
    draw_points(image, np.array([[0.2, -0.1, 2.0]]), CAMERA, np.array([GREEN], np.uint8))
    # 320 + 500 * 0.2 / 2 and 240 - 500 * 0.1 / 2
    assert painted(image) == {(215, 370), (215, 371), (216, 370), (216, 371)}
    assert tuple(image[215, 370].tolist()) == GREEN


def test_points_behind_the_camera_or_outside_of_the_image_are_left_out_and_the_nearest_is_seen():
    image = np.zeros((480, 640, 3), np.uint8)
    points = np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 2.0], [0.0, 0.0, -1.0], [9.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    colors = np.array([RED, GREEN, YELLOW, YELLOW, YELLOW], np.uint8)
    draw_points(image, points, CAMERA, colors)
    assert painted(image) == {(240, 320), (240, 321), (241, 320), (241, 321)}
    assert tuple(image[240, 320].tolist()) == RED


def test_the_corner_pixels_are_in_the_image():
    image = np.zeros((480, 640, 3), np.uint8)
    corner = np.array([[(639 - 320) / 500, (479 - 240) / 500, 1.0], [-320 / 500, -240 / 500, 1.0]])
    draw_points(image, corner, CAMERA, np.array([RED, RED], np.uint8))
    assert {(479, 639), (0, 0)} <= painted(image)


def test_depth_points_are_drawn_where_the_colour_camera_sees_them():
    # The depth camera sits 0.2 m to the right of the colour camera.
    T_color_depth = se3.from_parts([0.2, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])
    scan = Scan(np.array([[0.0, 0.0, 2.0]]), None, np.array([0.0]))
    picture = debug_image(frame(), scan, rig(T_color_depth), WORDS)
    assert tuple(picture[240, 370].tolist()) == GREEN
    assert not picture[240, 320].any()


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(480, 640, (480, 640)), (960, 1280, (480, 640)), (48, 64, (300, 400)), (720, 1280, (360, 640))],
)
def test_large_images_are_reduced_and_points_move_with_them(height: int, width: int, size: tuple[int, int]):
    scan = Scan(np.array([[0.2, -0.1, 2.0]]), None, np.array([1.0]))
    picture = debug_image(frame(height, width), scan, rig(), WORDS)
    assert picture.shape == (size[0] + STRIP, size[1], 3)
    camera = CAMERA.scaled_to(size[1], size[0])
    column, row = round(camera.fx * 0.1 + camera.cx), round(camera.cy - camera.fy * 0.05)
    assert tuple(picture[row, column].tolist()) == RED


@pytest.mark.parametrize("shape", [(1, 5000), (5000, 1), (2, 2), (3000, 10)])
def test_no_image_makes_a_large_picture(shape: tuple[int, int]):
    picture = debug_image(frame(*shape), None, rig(), WORDS)
    assert max(picture.shape[0] - STRIP, picture.shape[1]) <= WIDEST


def test_the_picture_has_one_size_whatever_is_said():
    texts = ("", "a rejected pose", "word " * 300, "x" * 700, "ümläut \x1b[31m \n")
    sizes = {debug_image(frame(), None, rig(), Words("LOST", text, is_accepted=False)).shape for text in texts}
    assert sizes == {(480 + STRIP, 640, 3)}


def test_words_are_wrapped_and_cut_to_the_strip():
    lines = drawing.wrapped("the depth image fits the scene map badly; " * 20, 392, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("...")
    assert all(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)[0][0] <= 392 for line in lines)
    assert drawing.wrapped("x" * 500, 392, 3)[0].endswith("...")
    assert drawing.wrapped("", 392, 3) == []
    assert drawing.wrapped("é\x1b", 392, 3) == ["?\\x1b"]


def test_the_verdict_has_its_color_and_the_legend_is_there_only_with_residuals():
    def colors_of(words: Words, scan: Scan | None) -> set[tuple[int, ...]]:
        strip = debug_image(frame(), scan, rig(), words)[480:]
        return {tuple(color) for color in strip.reshape(-1, 3).tolist()}

    point = np.array([[0.0, 0.0, 2.0]])
    assert max(green - red for _, green, red in colors_of(WORDS, None)) > 50
    assert max(red - green for _, green, red in colors_of(Words("LOST", "", is_accepted=False), None)) > 50
    assert {GREEN, RED} <= colors_of(WORDS, Scan(point, None, np.array([0.1])))
    for residuals in (None, np.array([np.nan])):
        assert GREEN not in colors_of(WORDS, Scan(point, None, residuals))


@pytest.mark.parametrize("order", ["rgb", "bgr", "rgba", "bgra"])
def test_every_order_of_channels_gives_the_same_picture(order: str):
    pixels = np.zeros((480, 640, len(order)), np.uint8)
    for place, channel in enumerate(order):
        pixels[..., place] = {"r": 200, "g": 100, "b": 50, "a": 255}[channel]
    picture = debug_image(Frame(1, "camera", ColorImage(pixels, order), None), None, rig(), WORDS)
    assert picture[100, 100].tolist() == [50, 100, 200]
    assert (pixels == pixels[0, 0]).all()  # the message's own memory is as it was


def test_points_are_not_drawn_into_the_message():
    pixels = np.zeros((480, 640, 3), np.uint8)
    shown = Frame(1, "camera", ColorImage(pixels, "bgr"), None)
    debug_image(shown, Scan(np.array([[0.0, 0.0, 2.0]]), None, np.array([0.0])), rig(), WORDS)
    assert not pixels.any()


def test_a_depth_image_alone_is_grey_with_its_points():
    depth = np.full((480, 640), 2000, np.uint16)
    depth[:, :320] = 0
    alone = Frame(1, "camera", None, DepthImage(depth, 0.001))
    picture = debug_image(alone, Scan(np.array([[0.2, 0.0, 2.0]]), None, np.array([0.0])), rig(), WORDS)
    assert picture[10, 10].tolist() == [0, 0, 0]
    assert picture[10, 600].tolist() == [127, 127, 127]  # half of the camera's range of 4 m
    assert tuple(picture[240, 370].tolist()) == GREEN


def test_a_frame_that_could_not_be_read_has_words_alone():
    empty = Frame(1, "camera", ColorImage(np.zeros((0, 0, 3), np.uint8), "rgb"), None)
    for what in (None, empty):
        picture = debug_image(what, None, rig(), drawing.words_of_failure("A colour image cannot be read."))
        assert not picture[:480].any()
        assert picture[480:].any()
