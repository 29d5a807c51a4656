# SPDX-License-Identifier: Apache-2.0
"""Small recordings of a camera that looks at plain walls, as the tiny model can localize it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from child_process import ChildProcess

from mvloc_ros.geometry import se3
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_writer import BagWriter, qos_profile
from mvloc_ros.recordings.message_builder import MessageBuilder

START = 5_000_000_123
PERIOD = 33_333_333
HEIGHT, WIDTH = 48, 64


def true_pose(index: int, brightness: int, millimetres: int) -> np.ndarray:
    """What the tiny model answers, off by 1 cm an index along x and turned by 1 degree an index about z."""
    answer = np.array([10 + 2 * brightness / 255, 20 + 2 * millimetres / 1000, 32.0])
    half = np.radians(index) / 2 * (1 - 1e-9)  # rounding must not decide at 5 degrees
    answer[0] += 0.01 * index
    return se3.from_parts(answer, np.array([0, 0, np.sin(half), np.cos(half)]))


@pytest.fixture
def camera_bag(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording of `frames` frames; `skew_ns` is depth minus colour; `spoil` may change a message.

    `pause` is a frame, and by how many ns it and those after it come later.
    """

    def write(
        name: str = "camera",
        frames: int = 8,
        size: tuple[int, int] = (HEIGHT, WIDTH),
        skew_ns: int = 0,
        spoil: Callable[[str, int, Any], Any] = lambda topic, index, message: message,
        truth: bool = True,
        pause: tuple[int, int] = (0, 0),
    ) -> Path:
        path = tmp_path / name
        noise = np.random.default_rng(7)
        with BagWriter(path) as writer:
            build = MessageBuilder(writer.store)
            writer.add_topic(topics.TF_STATIC, topics.TF_MESSAGE, qos_profile(1, latched=True))
            for topic in (topics.COLOR_IMAGE, topics.DEPTH_IMAGE):
                writer.add_topic(topic, topics.IMAGE)
            writer.add_topic(topics.GROUND_TRUTH, topics.POSE)
            writer.write(topics.TF_STATIC, START, build.static_transforms(START, True))
            for index in range(frames):
                stamp = START + index * PERIOD + (pause[1] if index >= pause[0] else 0)
                brightness, millimetres = 20 * index % 250, 1000 + 100 * index
                rgb = np.full((*size, 3), brightness, np.uint8)
                # Noise of mean 0 in pairs of pixels keeps the model's answer and makes every image its own.
                offset = int(noise.integers(0, 5)) if brightness > 5 else 0
                rgb[0, 0], rgb[0, 1] = brightness + offset, brightness - offset
                messages = [
                    (topics.COLOR_IMAGE, stamp, build.color_image(stamp, topics.COLOR_FRAME, rgb)),
                    (
                        topics.DEPTH_IMAGE,
                        stamp + skew_ns,
                        build.depth_image(stamp + skew_ns, topics.DEPTH_FRAME, np.full(size, millimetres, np.uint16)),
                    ),
                ]
                if truth:
                    pose = build.pose(stamp, "map", true_pose(index, brightness, millimetres))
                    messages.append((topics.GROUND_TRUTH, stamp, pose))
                for topic, when, message in messages:
                    spoilt = spoil(topic, index, message)
                    if spoilt is not None:
                        writer.write(topic, when, spoilt)
        return path

    return write


# `mvloc VERB` of this room.
VERB = """
import argparse, logging, sys
from mvloc_ros.errors import MvlocError
from mvloc_ros.replay import verbs
logging.basicConfig()
parser = argparse.ArgumentParser(); getattr(verbs, f'add_{sys.argv[1]}_arguments')(parser)
try: sys.exit(getattr(verbs, f'run_{sys.argv[1]}')(parser.parse_args(sys.argv[2:])))
except MvlocError as error: print(error); sys.exit(2)
"""


@pytest.fixture
def verb(tmp_path: Path) -> Iterator[Callable[..., ChildProcess]]:
    """Starts verbs, and ends what a failed test left running."""
    started: list[ChildProcess] = []

    def start(*arguments: object) -> ChildProcess:
        log = tmp_path / f"{arguments[0]}_{len(started)}.log"
        one_thread = {"OMP_NUM_THREADS": "1"}
        started.append(ChildProcess(log, "-c", VERB, *map(str, arguments), environment=one_thread))
        return started[-1]

    yield start
    for running in started:
        running.end(signal.SIGKILL)
