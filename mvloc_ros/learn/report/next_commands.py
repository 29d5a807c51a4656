# SPDX-License-Identifier: Apache-2.0
"""The three commands that come next, with the names of this place filled in: launch, replay, Nav2."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mvloc_ros.errors import MvlocError
from mvloc_ros.learn.report.inputs import ReportInputs
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import open_bag
from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
from mvloc_ros.recordings.to_dataset.topic_selection import Selection, select

_SUFFIXES = {"color": "/compressed", "depth": "/compressedDepth"}
_MAP_YAML = "map.yaml"


@dataclass(frozen=True)
class NextCommand:
    """One thing to do next.

    Attributes:
        title: what for.
        lines: of the shell; usually one, more where something must be made first.
        remark: what to know of it.
    """

    title: str
    lines: tuple[str, ...]
    remark: str


def next_commands(inputs: ReportInputs) -> tuple[NextCommand, ...]:
    """Launch, replay and Nav2, for the bundle, the recording and the grid of the inputs."""
    bag, found = _first_bag(inputs.recordings, inputs.topics)
    arguments, flags, remark = _topics(found)
    model = f"model:={inputs.bundle}"
    launch = _line("ros2", "launch", "mvloc_ros", "mvloc.launch.py", model, *arguments)
    evaluation = Path("out") / f"{_file_name(inputs.name)}_replay"
    made = bag or Path("bags") / _file_name(inputs.name)
    replay = [_line("mvloc", "replay", made, "--model", inputs.bundle, "--out", evaluation, *flags)]
    if bag is None:
        replay.insert(0, _line("mvloc", "bag", "from-folder", inputs.posed, "--out", made))
    grid = inputs.grid
    map_folder = grid or Path("maps") / _file_name(inputs.name)
    yaml = map_folder if map_folder.suffix == ".yaml" else map_folder / _MAP_YAML
    nav2 = [_line("ros2", "launch", "mvloc_ros", "nav2_localization.launch.py", model, f"map:={yaml}", *arguments)]
    if grid is None:
        nav2.insert(0, _line("mvloc", "grid", inputs.bundle, "--out", map_folder))
    return (
        NextCommand("On the robot", (launch,), remark),
        NextCommand(
            "On a recording that was not learned from",
            tuple(replay),
            "Put a new recording in place of the first path: figures on what was learned from are better than the "
            "robot will have.",
        ),
        NextCommand(
            "With Nav2 in place of AMCL",
            tuple(nav2),
            "The map server and this node, in one frame; look at the grid first.",
        ),
    )


def _first_bag(recordings: Sequence[str], said: DatasetOptions) -> tuple[Path | None, Selection | None]:
    """The first recording that is a bag, and its image topics as far as they can be told."""
    for recording in recordings:
        path = Path(recording)
        try:
            with open_bag(path) as reader:
                pass
        except (MvlocError, OSError, ValueError):
            continue
        try:
            with open_bag(path) as reader:
                named = said.color, said.depth, said.color_info, said.depth_info
                return path, select(reader, *named, said.sensors)
        except (MvlocError, OSError, ValueError):
            return path, None
    return None, None


def _topics(found: Selection | None) -> tuple[list[str], list[str], str]:
    """Arguments of a launch file, flags of `mvloc replay`, and a remark."""
    if found is None:
        return (
            ["camera:=realsense"],
            [],
            "The recording does not tell the topics of your camera: put its name (realsense, oak_d, zed, azure_kinect, "
            "orbbec) in place of realsense, or give color_topic:= and depth_topic:=.",
        )
    color = found.color.name.removesuffix(_SUFFIXES["color"])
    arguments, flags = [f"color_topic:={color}"], ["--color-topic", color]
    if found.color.type == topics.COMPRESSED_IMAGE:
        arguments.append("color_transport:=compressed")
    if found.depth is not None:
        depth, kind = found.depth.name.removesuffix(_SUFFIXES["depth"]), found.depth.type
        flags += ["--depth-topic", depth]
        arguments.append(f"cloud_topic:={depth}" if kind == topics.POINT_CLOUD else f"depth_topic:={depth}")
        source = {topics.POINT_CLOUD: "cloud", topics.COMPRESSED_IMAGE: "compressed"}.get(kind)
        arguments += [f"depth_source:={source}"] if source else []
    if found.sensors:
        named = [f"{sensor.choice.name}:={sensor.topic.name}" for sensor in found.sensors]
        arguments.append(f"sensor_topics:={' '.join(named)}")
        flags += [word for entry in named for word in ("--sensor", entry)]
    return arguments, flags, "The topics are those of the recording; mvloc doctor shows whether they are published."


def _line(*words: object) -> str:
    return " ".join(shlex.quote(str(word)) for word in words)


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:60] or "my_place"
