# SPDX-License-Identifier: Apache-2.0
"""A depth sensor that hangs is left out while another one does not."""

from __future__ import annotations

import numpy as np
import pytest
from box_rig import REAR

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.frame_moment import CurrentFrame, of_this_moment
from mvloc_ros.localization.frozen_depth import FrozenDepth
from mvloc_ros.localization.sensor_rig import RigCamera, RigDepth, SensorRig
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame

CAMERA = PinholeCamera(40, 30, 30.0, 30.0, 19.5, 14.5)
DEPTH = DepthCamera(CAMERA, 0.3, 4.0, np.zeros(CORRECTION_SHAPE, np.float32))
RIG = SensorRig(
    CAMERA, DEPTH, np.eye(4), np.eye(4),
    (RigDepth("rear_depth", DEPTH, REAR),), (RigCamera("rear", "color", CAMERA, 30, 40, REAR),),
)  # fmt: skip
PERIOD_NS = 200_000_000


class Stream:
    """Frames of a robot that moves, one after another."""

    def __init__(self) -> None:
        self.rng, self.number = np.random.default_rng(0), 0
        self.known: dict[str, FrozenDepth] = {}

    def image(self) -> np.ndarray:
        return self.rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)

    def depth(self) -> np.ndarray:
        return self.rng.integers(1000, 3000, (30, 40)).astype(np.uint16)

    def see(
        self, front: np.ndarray | None, rear: np.ndarray | None, color: np.ndarray | None, rear_color: np.ndarray
    ) -> CurrentFrame:
        self.number += 1
        further = {"rear": ColorImage(rear_color, "rgb")}
        if rear is not None:
            further["rear_depth"] = DepthImage(rear, 0.001)
        depth = None if front is None else DepthImage(front, 0.001)
        shown = None if color is None else ColorImage(color, "rgb")
        frame = Frame(self.number * PERIOD_NS, "camera", shown, depth, further=further)
        metres = None if front is None else front.astype(np.float32)
        return of_this_moment(frame, color, metres, RIG, self.known, lambda _: None)


@pytest.fixture
def stream() -> Stream:
    return Stream()


def test_new_images_stay_as_they_are(stream):
    for _ in range(3):
        found = stream.see(stream.depth(), stream.depth(), stream.image(), stream.image())
        assert found.frame.depth is not None
        assert set(found.frame.further) == {"rear", "rear_depth"}
        assert (found.age.fault, found.remarks, found.has_depth) == ("", (), True)


def test_a_further_sensor_that_hangs_is_left_out_with_a_word(stream):
    rear = stream.depth()
    for _ in range(2):
        found = stream.see(stream.depth(), rear, stream.image(), stream.image())
    assert set(found.frame.further) == {"rear"}
    assert found.remarks == ("the depth image of rear_depth is that of an earlier frame and is left out",)
    assert found.age.fault == ""


def test_the_pairs_depth_that_hangs_is_left_out_while_another_sees(stream):
    front = stream.depth()
    for _ in range(2):
        found = stream.see(front, stream.depth(), stream.image(), stream.image())
    assert found.frame.depth is None
    assert "rear_depth" in found.frame.further
    assert found.has_depth
    assert "to the last bit for 0.20 s" in found.remarks[0]
    assert found.remarks[0].endswith("; it is left out")
    assert found.age.fault == ""


@pytest.mark.parametrize("covered", [False, True])
def test_what_hangs_is_found_by_a_color_camera_that_shows_anything(stream, covered):
    rear = stream.depth()
    black = np.zeros((30, 40, 3), np.uint8)
    for _ in range(2):
        found = stream.see(None, rear, black if covered else None, stream.image())
    assert "to the last bit" in found.age.fault
    assert "rear_depth" in found.frame.further, "it is all there is, and is rejected"


def test_where_all_hang_the_frame_is_at_fault(stream):
    front, rear = stream.depth(), stream.depth()
    for _ in range(2):
        found = stream.see(front, rear, stream.image(), stream.image())
    assert "to the last bit" in found.age.fault
    assert found.frame.depth is not None
    assert "rear_depth" not in found.frame.further


def test_without_any_depth_there_is_none(stream):
    assert not stream.see(None, None, stream.image(), stream.image()).has_depth
