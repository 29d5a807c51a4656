# SPDX-License-Identifier: Apache-2.0
"""What is said of a camera that is not the training's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mvloc_ros.frontend.camera_check import differences
from mvloc_ros.frontend.camera_info import CameraModel
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.manifest import InputSpec

TRAINED = PinholeCamera(640, 480, 525.0, 525.0, 319.5, 239.5)
NETWORK = InputSpec(256, 341, 0.1, 6.0)


def said(camera: PinholeCamera, rescale: bool = False, distortion: str = "", pixels: float = 0.0) -> str:
    return " | ".join(
        differences("colour", CameraModel(camera, "optical", distortion, pixels), TRAINED, NETWORK, rescale)
    )


@pytest.mark.parametrize("camera", [TRAINED, TRAINED.scaled_to(1280, 960), replace(TRAINED, fx=530.0, cx=321.0)])
@pytest.mark.parametrize("rescale", [False, True])
def test_the_training_camera_in_any_resolution_is_no_finding(camera: PinholeCamera, rescale: bool):
    assert said(camera, rescale) == ""


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (replace(TRAINED, fx=656.25, fy=656.25), "1.25 times the training's (656 instead of 525 px at 640 px width)"),
        (replace(TRAINED, fx=420.0, fy=420.0), "all looks that much smaller, so poses come out too far from"),
        (replace(TRAINED, cx=350.0), "lies 3.3 degrees beside"),
        (replace(TRAINED, height=360), "no frame is processed; set rescale_input"),
        (TRAINED.scaled_to(320, 240), "smaller than the network's input of 341x256"),
    ],
)
def test_each_difference_is_told_with_its_meaning(camera: PinholeCamera, words: str):
    assert words in said(camera)


def test_rescaling_mends_what_lies_in_the_image():
    assert said(replace(TRAINED, fx=420.0, fy=420.0, cx=330.0), rescale=True) == ""
    assert "sees 64% of what the training camera saw" in said(replace(TRAINED, fx=656.25, fy=656.25), rescale=True)


@pytest.mark.parametrize("rescale", [False, True])
def test_distortion_counts_from_a_hundredth_of_the_width(rescale: bool):
    assert "not rectified (plumb_bob distortion of up to 12 px)" in said(TRAINED, rescale, "plumb_bob", 12.0)
    assert "not rectified (odd distortion of unknown size)" in said(TRAINED, rescale, "odd", float("nan"))
    assert said(TRAINED, rescale, "plumb_bob", 5.0) == ""
