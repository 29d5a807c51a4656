# SPDX-License-Identifier: Apache-2.0
"""What the pipeline makes of images, without a node around it."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.node.pipeline import Pipeline

MS = 1_000_000


@pytest.mark.parametrize("queue_size", [1, 2, 5])
@pytest.mark.parametrize("offset_ms", [0.0, 14.0, 15.5, 18.0])
def test_a_camera_half_a_period_apart_is_paired_whatever_the_queue(make_image, queue_size: int, offset_ms: float):
    """At 30 Hz. With one place for what waits, an image would push out the one that waits for something better."""

    def nothing(*_: object) -> None:
        return None

    callbacks = [nothing] * 5
    pipeline = Pipeline(None, "color", 20 * MS, queue_size, *callbacks, odometry=nothing)
    try:
        for n in range(60):
            stamp = 10**18 + n * 33_333_333
            pipeline.take_color(make_image(np.zeros((4, 4, 3), np.uint8), stamp, "camera", encoding="rgb8"))
            depth = make_image(np.ones((4, 4), np.uint16), stamp + round(offset_ms * MS), "camera", encoding="16UC1")
            pipeline.take_depth(depth)
    finally:
        pipeline.stop()
    assert pipeline.counts.pairs >= 57
