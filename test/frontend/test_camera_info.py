# SPDX-License-Identifier: Apache-2.0
"""CameraInfo messages: which of their numbers count, and what they say of the image."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mvloc_ros.frontend.camera_info import (
    CameraInfoError,
    is_rectified,
    is_uncalibrated,
    read_camera_info,
    training_view,
)
from mvloc_ros.geometry.camera import PinholeCamera

RAW = PinholeCamera(640, 480, 600.0, 610.0, 319.5, 239.5)


def info(**changes: Any) -> SimpleNamespace:
    values = {
        "header": SimpleNamespace(frame_id="optical"),
        "width": 640,
        "height": 480,
        "k": [600.0, 0, 319.5, 0, 610.0, 239.5, 0, 0, 1],
        "d": [0.0] * 5,
        "p": [500.0, 0, 310.0, 0, 0, 505.0, 230.0, 0, 0, 0, 1, 0],
        "distortion_model": "plumb_bob",
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
        **changes,
    }
    return SimpleNamespace(**values)


def test_k_counts_for_raw_images_and_p_for_rectified_ones():
    raw = read_camera_info(info(), "/camera/image_raw")
    assert (raw.camera, raw.frame_id, raw.distortion) == (RAW, "optical", "")
    rectified = read_camera_info(info(d=[0.3, 0, 0, 0, 0]), "/camera/image_rect_color/compressed")
    assert rectified.camera == PinholeCamera(640, 480, 500.0, 505.0, 310.0, 230.0)
    assert (rectified.distortion, rectified.displacement_px) == ("", 0.0)
    assert read_camera_info(info(p=[0.0] * 12), "image_rect").camera == RAW  # a driver without stereo or rectification


@pytest.mark.parametrize(
    ("topic", "rectified"),
    [
        ("/c/image_raw", False),
        ("/c/image_rect", True),
        ("/rectifier/image_raw/compressed", False),
        ("image_rect", True),
        ("/zed/rgb/color/rect/image", True),
        ("/zed/rgb/color/raw/image", False),
        ("/rectified/left/image", True),
        ("/left/image_rectified/compressedDepth", True),
        ("/left/image_unrect", False),
        ("/direct/image", False),
    ],
)
def test_the_topic_names_what_is_rectified(topic: str, rectified: bool):
    assert is_rectified(topic) == rectified


def test_distortion_is_told_in_pixels():
    model = read_camera_info(info(d=[0.1, 0, 0, 0, 0]), "image_raw")
    x, y = 320 / 600, 240 / 610  # the corner, with x' = x (1 + 0.1 r^2)
    expected = 0.1 * (x * x + y * y) * math.hypot(320, 240)
    assert model.distortion == "plumb_bob"
    assert model.displacement_px == pytest.approx(expected, rel=1e-6)
    fisheye = read_camera_info(info(d=[0.1, 0, 0, 0], distortion_model="equidistant"), "image_raw")
    assert fisheye.displacement_px > 10
    assert math.isnan(read_camera_info(info(d=[0.1] * 3, distortion_model="odd"), "image_raw").displacement_px)


def test_a_region_of_interest_and_binning_change_the_camera():
    roi = SimpleNamespace(x_offset=100, y_offset=50, width=200, height=100)
    camera = read_camera_info(info(roi=roi), "image_raw").camera
    assert camera == PinholeCamera(200, 100, 600.0, 610.0, 219.5, 189.5)
    assert read_camera_info(info(binning_x=2, binning_y=2), "image_raw").camera == RAW.scaled_to(320, 240)


def test_of_k_and_p_the_one_that_is_filled_in_counts_and_it_is_said():
    only_p = read_camera_info(info(k=[0.0] * 9), "/sim/image")
    assert (only_p.camera, only_p.matrix) == (PinholeCamera(640, 480, 500.0, 505.0, 310.0, 230.0), "P")
    assert only_p.remark == "K has no focal length, so P is taken"
    for empty in ([0.0] * 12, [0.0] * 10 + [1.0, 0.0]):
        assert read_camera_info(info(p=empty), "/cam/rect/image").camera == RAW
        assert is_uncalibrated(info(k=[0.0] * 8 + [1.0], p=empty))
    assert not is_uncalibrated(info(k=[NAN] * 9, p=[0.0] * 12))
    only_k = read_camera_info(info(p=[0.0] * 12), "/cam/rect/image")
    assert (only_k.camera, only_k.matrix) == (RAW, "K")
    assert "P has no focal length" in only_k.remark


def test_intrinsics_of_the_binned_image_are_not_binned_twice():
    binned = [300.0, 0, 159.5, 0, 305.0, 119.5, 0, 0, 1]
    model = read_camera_info(info(k=binned, binning_x=2, binning_y=2), "image_raw")
    assert model.camera == PinholeCamera(320, 240, 300.0, 305.0, 159.5, 119.5)
    assert "taken for those of the image binned by 2x2" in model.remark
    assert read_camera_info(info(binning_x=2, binning_y=2), "image_raw").remark == ""


NAN = float("nan")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"k": [NAN, 0, 319.5, 0, 610.0, 239.5, 0, 0, 1]}, "must be finite"),
        ({"k": [600.0, 0, NAN, 0, 610.0, 239.5, 0, 0, 1]}, "must be finite"),
        ({"k": [-600.0, 0, 319.5, 0, 610.0, 239.5, 0, 0, 1]}, "must be positive"),
        (
            {"k": [600.0, 0, 900.0, 0, 610.0, 239.5, 0, 0, 1]},
            "principal point .900, 239.5. is not in the image of 640x",
        ),
        ({"k": [0.94, 0, 0.5, 0, 1.27, 0.5, 0, 0, 1]}, "too short .* in pixels, not in shares"),
        ({"width": 100_000, "height": 100_000}, "at most 67108864 pixels, not 100000x100000"),
        ({"binning_x": 1000, "binning_y": 1000}, "binned by 1000x1000 nothing is left of 640x480"),
        ({"roi": SimpleNamespace(x_offset=600, y_offset=0, width=200, height=100)}, "200x100 at .600, 0. is not in"),
        ({"width": 0}, "must be positive"),
    ],
)
def test_an_impossible_camera_is_refused_with_the_reason(changes: dict[str, Any], words: str):
    with pytest.raises(CameraInfoError, match=rf"The camera_info of image_raw cannot be right \(.*{words}"):
        read_camera_info(info(**changes), "image_raw")


def test_distortion_is_put_into_words():
    assert read_camera_info(info(), "image_raw").distortion_text == "no distortion"
    assert "plumb_bob distortion of up to 1" in read_camera_info(info(d=[0.1, 0, 0, 0, 0]), "image_raw").distortion_text
    assert "of unknown size" in read_camera_info(info(d=[NAN, 0, 0, 0, 0]), "image_raw").distortion_text


def test_ros_1_writes_capitals():
    message = info()
    for name in "kdp":
        setattr(message, name.upper(), np.array(getattr(message, name)))
        delattr(message, name)
    assert read_camera_info(message, "image_raw").camera == RAW


def test_what_cannot_be_used_is_said():
    for unknown in (info(k=[0.0] * 9, p=[0.0] * 12), info(k=[0.0] * 9, d=[0.1, 0, 0, 0, 0])):
        with pytest.raises(CameraInfoError, match="image_raw is of an uncalibrated camera"):
            read_camera_info(unknown, "image_raw")
    telescope = read_camera_info(info(k=[30000.0, 0, 319.5, 0, 30000.0, 239.5, 0, 0, 1]), "image_raw")
    with pytest.raises(CameraInfoError, match="shows 0% of what the training camera"):
        training_view(telescope, RAW)
