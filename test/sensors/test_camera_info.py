# SPDX-License-Identifier: Apache-2.0
"""CameraInfo messages: which of their numbers count, and what they say of the image."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.sensors.camera_info import CameraInfoError, is_rectified, read_camera_info, training_view

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


def test_ros_1_writes_capitals():
    message = info()
    for name in "kdp":
        setattr(message, name.upper(), np.array(getattr(message, name)))
        delattr(message, name)
    assert read_camera_info(message, "image_raw").camera == RAW


def test_what_cannot_be_used_is_said():
    with pytest.raises(CameraInfoError, match="image_raw is of an uncalibrated camera"):
        read_camera_info(info(k=[0.0] * 9), "image_raw")
    telescope = read_camera_info(info(k=[30000.0, 0, 319.5, 0, 30000.0, 239.5, 0, 0, 1]), "image_raw")
    with pytest.raises(CameraInfoError, match="shows 0% of what the training camera"):
        training_view(telescope, RAW)
