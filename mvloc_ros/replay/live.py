# SPDX-License-Identifier: Apache-2.0
"""A live run on one machine: player, node and recorder as processes of their own, DDS between them.

This is what `mvloc live` and the demo do; on a robot the camera and Nav2 take the place of player and
recorder. The run has a ROS domain of its own, so it neither hears nor disturbs a robot.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from mvloc_ros import children
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.damage import ALLOW_DAMAGE
from mvloc_ros.replay import played_time
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.evaluated_parameters import OVERRIDES, evaluated
from mvloc_ros.replay.image_topics import ImageTopics, find_image_topics, remappings

# Of the node: what is recorded besides the ground truth, and what must be connected before the first frame is sent.
_OUTPUTS = ("/mvloc/pose", "/mvloc/pose_with_covariance", "/mvloc/status", "/tf", played_time.TOPIC)
_AWAITED = ("/mvloc/pose", "/mvloc/status", played_time.TOPIC)
_READY_S = 60.0
_STOP_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True)
class NodeOptions:
    """How the node is run.

    Attributes:
        overrides: parameters as `name:=value`, which win over all else.
        file: a ROS parameter file.
        rate: of play.
        truth_topic: of the recording's ground truth.
        allow_damage: play what is left of a damaged recording.
    """

    overrides: tuple[str, ...] = ()
    file: Path | None = None
    rate: float = 1.0
    truth_topic: str = topics.GROUND_TRUTH
    allow_damage: bool = False

    def parameters(self) -> NodeParameters:
        """The parameters that the node gets. Raises ParameterError for those that it would refuse."""
        return evaluated(self.overrides, self.file)


def run_live(bag: Path, model: Path, out: Path, options: NodeOptions) -> Path:
    """Play `bag` into a node that runs `model` and record what it says.

    Args:
        bag: recording with colour and depth.
        model: model bundle.
        out: folder for the recording `live` and the three processes' logs.
        options: see `NodeOptions`.

    Returns:
        The recording of the node's outputs and the (restamped) ground truth.

    Raises:
        ReplayError: a process failed; the message quotes its last words and names its log.
        BundleError, RecordingError, ParameterError: model, recording or parameters cannot be used.
    """
    manifest = read_bundle(model).manifest  # a sentence now instead of a wait for a node that cannot start
    sensors = [item.sensor.name for item in manifest.sensors]
    with BagReader(bag, allow_damage=options.allow_damage) as reader:
        optional = options.truth_topic == topics.GROUND_TRUTH
        reader.expect(options.truth_topic, topics.POSE, optional=optional)
        named = topics.COLOR_IMAGE, topics.DEPTH_IMAGE
        images, values = find_image_topics(reader, *named, "", options.parameters(), sensors)
        truth = tuple(name for name in (options.truth_topic,) if name in reader.topics and reader.topics[name].count)
        played = (*images.names.values(), *truth)
        reader.read_through(played)  # a loss is said now, and not after the run
        seconds = 1e-9 * (reader.end_ns - reader.start_ns) / options.rate
    out.mkdir(parents=True, exist_ok=True)
    recording = out / "live"
    with _Processes(out) as processes:
        stored = ("--out", str(recording), "--force", "--topics", *_OUTPUTS, options.truth_topic)
        recorder = processes.start("recorder", "mvloc_ros.cli", "record", *stored)
        node = processes.start("node", "mvloc_ros.node.main", *_node_arguments(model, options, images, values))
        # So that no frame is lost to discovery.
        awaited = (*played, *_AWAITED)
        waits = [word for topic in awaited for word in ("--wait-topic", topic)]
        player = processes.start(
            "player",
            "mvloc_ros.cli",
            "play",
            str(bag),
            "--restamp",
            "now",
            "--rate",
            str(options.rate),
            "--wait-deadline",
            str(_READY_S),
            *waits,
            *([ALLOW_DAMAGE] if options.allow_damage else []),
        )
        processes.follow(player, seconds)
        processes.stop(node)
        processes.stop(recorder)
    return recording


def _node_arguments(model: Path, options: NodeOptions, images: ImageTopics, values: NodeParameters) -> list[str]:
    """Of what is given twice, the last counts: the parameters of an evaluated run, the file, single parameters."""
    transports = {"color_transport": values.color_transport, "depth_source": values.depth_source}
    first = [*OVERRIDES, f"model:={model.resolve()}", *(f"{name}:={value}" for name, value in transports.items())]
    arguments = ["--ros-args", *(word for text in first for word in ("-p", text))]
    for own, topic in remappings(images, values).items():
        arguments += ["-r", f"{own}:={topic}"]
    if options.file is not None:
        arguments += ["--params-file", str(options.file)]
    for text in options.overrides:
        arguments += ["-p", text]
    if values.sensor_topics:  # found in the recording, and as the overrides say where they do
        arguments += ["-p", f"sensor_topics:={values.sensor_topics}"]
    return arguments


def _own_domain(robots: str, process: int) -> int:
    """A ROS domain in 1 ... 100 that is not the environment's, which may be a robot's."""
    domain = 1 + process % 100
    # Domains above 101 collide with the ephemeral ports of Linux; 0 is what is used where nothing is set.
    taken = int(robots) if robots.strip().isdecimal() else 0
    return domain if domain != taken else 1 + domain % 100


class _Processes:
    """Children that end with the block, however it ends."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: dict[subprocess.Popen[bytes], str] = {}
        self._environment = {
            **children.safe_environment(),
            "ROS_DOMAIN_ID": str(_own_domain(os.environ.get("ROS_DOMAIN_ID", ""), os.getpid())),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
            "ROS_LOCALHOST_ONLY": "1",  # the same before Iron
            "RCUTILS_LOGGING_BUFFERED_STREAM": "0",
        }

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for process in self._running:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)
            for process in self._running:
                self._join(process)
        finally:  # another Ctrl-C while these end
            for process in self._running:
                process.kill()
                process.wait()

    def start(self, name: str, module: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                children.module_command(module, *arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal reaches this process alone, which then ends the others in order.
                start_new_session=True,
            )
        self._running[process] = name
        return process

    def follow(self, player: subprocess.Popen[bytes], seconds: float) -> None:
        """Wait until the player has ended, with a bar; fail as soon as any process fails."""
        deadline = time.monotonic() + _READY_S + seconds + 60.0
        with tqdm(total=seconds, desc="playing", bar_format="{l_bar}{bar}| {n:.0f}/{total:.0f} s") as bar:
            started = None
            while player.poll() is None:
                self._check(player)
                if time.monotonic() > deadline:
                    raise ReplayError(f"The player did not end; see {self._logs / 'player.log'}.")
                if started is None and self._node_is_active():
                    started = time.monotonic()
                if started is not None:
                    bar.update(min(seconds, time.monotonic() - started) - bar.n)
                time.sleep(_POLL_S)
            bar.update(seconds - bar.n)
        if player.returncode != 0:
            raise self._failure(player)
        del self._running[player]

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a process in order; fail if it did not end so."""
        process.send_signal(signal.SIGINT)
        if self._join(process) != 0:
            raise self._failure(process)
        del self._running[process]

    def _node_is_active(self) -> bool:
        return b"active: " in (self._logs / "node.log").read_bytes()

    def _check(self, player: subprocess.Popen[bytes]) -> None:
        for process, name in self._running.items():
            if process is not player and process.poll() is not None:
                raise self._failure(process)
            if name == "node" and b" failed: " in (self._logs / "node.log").read_bytes():
                raise self._failure(process)

    def _failure(self, process: subprocess.Popen[bytes]) -> ReplayError:
        name = self._running[process]
        log = self._logs / f"{name}.log"
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
        said = next((line for line in lines if "failed" in line), lines[-1])
        return ReplayError(f"The {name} failed: {said} (its log: {log}).")

    def _join(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
