# SPDX-License-Identifier: Apache-2.0
"""What the pipeline makes of images, without a node around it."""

from __future__ import annotations

import threading
from typing import NoReturn

import numpy as np
import pytest
from stand_in_server import MS, StandInServer, nothing

from mvloc_ros.frontend.front_end import FrontEndOptions
from mvloc_ros.model.frame import Frame, FrameError
from mvloc_ros.node.pipeline import Pipeline


@pytest.mark.parametrize("queue_size", [1, 2, 5])
@pytest.mark.parametrize("offset_ms", [0.0, 14.0, 15.5, 18.0])
def test_a_camera_half_a_period_apart_is_paired_whatever_the_queue(make_image, queue_size: int, offset_ms: float):
    """At 30 Hz. With one place for what waits, an image would push out the one that waits for something better."""

    options = FrontEndOptions("color", 20 * MS, queue_size)
    pipeline = Pipeline(lambda put: StandInServer(put, nothing, options), nothing, nothing, nothing)
    try:
        for n in range(60):
            stamp = 10**18 + n * 33_333_333
            pipeline.take_color(make_image(np.zeros((4, 4, 3), np.uint8), stamp, "camera", encoding="rgb8"))
            depth = make_image(np.ones((4, 4), np.uint16), stamp + round(offset_ms * MS), "camera", encoding="16UC1")
            pipeline.take_depth(depth)
    finally:
        pipeline.stop()
    assert pipeline.server.front.counts.pairs >= 57


@pytest.mark.parametrize("broken", ["color", "depth"])
def test_an_image_whose_reading_fails_in_any_way_costs_its_modality_alone(make_image, broken: str):
    reached: list[Frame] = []
    failures: list[str] = []
    done = threading.Event()

    def process(frame: Frame) -> NoReturn:
        reached.append(frame)
        raise FrameError("enough is known")

    def fail() -> NoReturn:
        raise KeyError(2)

    def on_failure(_: object, reason: str) -> None:
        failures.append(reason)
        done.set()

    options = FrontEndOptions("color", 20 * MS, single_wait_s=0.5)
    readers = {f"read_{broken}": lambda _: fail}
    pipeline = Pipeline(lambda put: StandInServer(put, process, options, **readers), nothing, nothing, on_failure)
    try:
        pipeline.take_color(make_image(np.zeros((4, 4, 3), np.uint8), 10**18, "camera", encoding="rgb8"))
        pipeline.take_depth(make_image(np.ones((4, 4), np.uint16), 10**18, "camera", encoding="16UC1"))
        assert done.wait(10.0)
    finally:
        pipeline.stop()
    assert failures == ["enough is known"]
    assert getattr(reached[0], broken) is None
    assert getattr(reached[0], "depth" if broken == "color" else "color") is not None
    assert pipeline.server.front.counts.undecodable == 1


def test_who_waits_for_a_frame_that_hangs_gives_up_when_the_pipeline_ends(make_image, monkeypatch):
    monkeypatch.setattr("mvloc_ros.node.pipeline.STOP_S", 0.05)
    monkeypatch.setattr("mvloc_ros.node.pipeline._GIVE_UP_S", 0.05)
    begun, go, told = threading.Event(), threading.Event(), []

    def hang(_: Frame) -> NoReturn:
        begun.set()
        assert go.wait(60.0)
        raise FrameError("too late")

    pipeline = Pipeline(lambda put: StandInServer(put, hang), nothing, nothing, lambda *said: told.append(said))
    pipeline.take_color(make_image(np.zeros((4, 4, 3), np.uint8), 10**18, "camera", encoding="rgb8"))
    pipeline.take_depth(make_image(np.ones((4, 4), np.uint16), 10**18, "camera", encoding="16UC1"))
    assert begun.wait(10.0)
    refusals = []

    def exchange() -> None:
        try:
            with pipeline.between_frames():
                raise AssertionError("a frame is in work")
        except FrameError as error:
            refusals.append(str(error))

    thread = threading.Thread(target=exchange)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()  # while the pipeline goes on it waits
    assert not pipeline.stop()
    assert pipeline.is_stuck
    thread.join(10.0)
    assert refusals == ["The node was deactivated, and the frame in work has not ended."]
    go.set()
    assert pipeline.stop()
    assert not pipeline.is_stuck
    assert not told  # what was left behind publishes nothing any more
