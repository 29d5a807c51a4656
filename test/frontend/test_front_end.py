# SPDX-License-Identifier: Apache-2.0
"""What the front end makes of messages: frames, and words on what is missing or cannot be used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mvloc_ros.frontend.decode import DecodeError
from mvloc_ros.frontend.front_end import FrontEnd, FrontEndOptions, PairedFrame
from mvloc_ros.model.frame import ColorImage, DepthImage, FrameError

MS = 1_000_000
START = 10**18


def message(stamp_ns: int, frame_id: str = "camera") -> Any:
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
    )


class Ends:
    """A front end, and what it gave."""

    def __init__(self, options: FrontEndOptions, **readers: Any) -> None:
        self.frames: list[PairedFrame] = []
        self.problems: list[tuple[str, int, str]] = []
        color = ColorImage(np.zeros((4, 4, 3), np.uint8), "rgb")
        depth = DepthImage(np.ones((4, 4), np.uint16), 0.001)
        self.end = FrontEnd(
            options,
            readers.get("color", lambda _: color),
            readers.get("depth", lambda _: depth),
            lambda *_: None,
            self.frames.append,
            lambda *said: self.problems.append(said),
        )


def test_a_pair_carries_stamp_and_frame_of_the_camera_that_the_pose_is_of():
    for pose_of, stamp, frame in (("color", START, "c"), ("depth", START + 5 * MS, "d")):
        ends = Ends(FrontEndOptions(pose_of, 20 * MS))
        ends.end.take_color(message(START, "c"), 0.0)
        ends.end.take_depth(message(START + 5 * MS, "d"), 0.0)
        ends.end.synchronizer.settle()
        (paired,) = ends.frames
        assert (paired.stamp_ns, paired.frame_id, paired.pair_skew_ns) == (stamp, frame, 5 * MS)
        frame_read, _ = ends.end.read(paired)
        assert frame_read.color is not None
        assert frame_read.depth is not None


def test_a_single_image_says_why_the_other_is_missing():
    ends = Ends(FrontEndOptions("color", 20 * MS, single_wait_s=0.5))
    ends.end.topics = {"color": "/c", "depth": "/d"}
    for n in range(7):
        ends.end.take_color(message(START + 100 * n * MS), 0.1 * n)
        ends.end.tick(0.1 * n)
    assert ends.frames[0].remark == "no depth image has come on /d yet"
    ends.end.take_depth(message(START + 50 * MS), 0.7)
    ends.end.take_depth(message(START + 60 * MS), 0.8)
    for n in range(9, 20):
        ends.end.take_color(message(START + 100 * n * MS), 0.1 * n)
        ends.end.tick(0.1 * n)
    assert ends.frames[-1].remark == "no depth image fits: the last on /d came 1.1 s ago"
    ends.end.explain_missing = lambda modality: f"nothing publishes {modality}"
    ends.end.take_color(message(START + 2000 * MS), 2.0)
    assert ends.frames[-1].remark == "no depth image: nothing publishes depth"


def test_an_image_that_cannot_be_used_is_named_with_its_stamp():
    def broken(_: Any) -> Any:
        raise DecodeError("It is broken.")

    ends = Ends(FrontEndOptions("color", 20 * MS), color=broken)
    ends.end.take_color(message(START), 0.0)
    ends.end.take_depth(message(START), 0.0)
    assert ends.problems == [("colour", START, "It is broken.")]
    assert (ends.end.counts.color_invalid, ends.end.counts.depth_invalid) == (1, 0)


@pytest.mark.parametrize("waits", [0.0, 0.5])
def test_what_cannot_be_read_later_costs_its_modality_alone_where_single_images_are_processed(waits: float):
    def later(_: Any) -> Any:
        def fail() -> Any:
            raise DecodeError("It is broken.")

        return fail

    ends = Ends(FrontEndOptions("color", 20 * MS, single_wait_s=waits), depth=later)
    ends.end.take_color(message(START), 0.0)
    ends.end.take_depth(message(START), 0.0)
    (paired,) = ends.frames
    if waits == 0.0:
        with pytest.raises(DecodeError, match="broken"):
            ends.end.read(paired)
    else:
        frame, known = ends.end.read(paired)
        assert frame.depth is None
        assert known.remark == "It is broken."
    assert ends.end.counts.undecodable == 1


def test_the_cameras_frame_may_come_from_camera_info_or_the_parameters_and_is_needed():
    for options, noted, expected in (
        (FrontEndOptions("color", 20 * MS), "optical", "optical"),
        (FrontEndOptions("color", 20 * MS, camera_frame="mine"), "optical", "mine"),
    ):
        ends = Ends(options)
        ends.end.note_frame_id("depth", "of another camera")
        ends.end.note_frame_id("color", noted)
        ends.end.take_color(message(START, ""), 0.0)
        ends.end.take_depth(message(START, ""), 0.0)
        assert ends.frames[0].frame_id == expected
    ends = Ends(FrontEndOptions("color", 20 * MS))
    ends.end.take_color(message(START, ""), 0.0)
    ends.end.take_depth(message(START, ""), 0.0)
    with pytest.raises(FrameError, match="set camera_frame"):
        ends.end.read(ends.frames[0])
