# SPDX-License-Identifier: Apache-2.0
"""Command line of this package: `mvloc play`, `record`, `replay`, `live` and `evaluate`."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mvloc_ros.arguments import count, not_negative, positive
from mvloc_ros.recordings.damage import add_allow_damage_argument
from mvloc_ros.replay.parameter_arguments import (
    add_parameter_arguments,
    add_parameter_flags,
    add_sensor_argument,
    parameters_of,
    sensor_overrides,
)

if TYPE_CHECKING:
    from mvloc_ros.replay.evaluation import EvaluationResult

NO_POSE = 1
"""Exit code of a run that was evaluated and has no accepted pose."""


def add_play_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc play`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Publish a rosbag2 recording over DDS in real time, as the camera's driver did."
    parser.epilog = (
        "examples:\n"
        "  mvloc play bags/redkitchen_test --clock             (for nodes with use_sim_time:=true)\n"
        "  mvloc play bags/redkitchen_test --restamp now --wait-for-subscribers\n"
        "  mvloc play bags/demo --restamp now --wait-topic /camera/color/image_raw --wait-topic /mvloc/pose\n"
        "With --restamp now all header stamps, ground truth included, are moved by one offset to the system's\n"
        "time, so that the age of an image at publication is meaningful."
    )
    parser.add_argument("bag", type=Path, help="recording to play")
    parser.add_argument("--rate", type=positive, default=1.0, help="times real time (default: 1.0)")
    parser.add_argument("--loop", action="store_true", help="begin again at the end, until interrupted")
    parser.add_argument("--clock", action="store_true", help="publish the recording's time on /clock at 100 Hz")
    parser.add_argument("--restamp", choices=("now",), help="move header stamps to the system's time")
    start = parser.add_mutually_exclusive_group()
    start.add_argument(
        "--delay", type=not_negative, default=0.0, metavar="S", help="wait this long before the first message"
    )
    start.add_argument(
        "--wait-for-subscribers",
        action="store_true",
        help="wait until the image topics have subscribers, so that no first frame is lost",
    )
    parser.add_argument(
        "--wait-topic",
        action="append",
        metavar="TOPIC",
        help="wait for this topic instead of the images (repeatable); a topic that is not in the "
        "recording is waited for until it has a publisher and a subscriber",
    )
    parser.add_argument(
        "--wait-deadline",
        type=not_negative,
        default=30.0,
        metavar="S",
        help="give up waiting after this time (default: 30)",
    )
    add_allow_damage_argument(parser)


def run_play(args: argparse.Namespace) -> int:
    """`mvloc play`."""
    from mvloc_ros.replay.player import PlayOptions, play

    waits = args.wait_for_subscribers or args.wait_topic
    options = PlayOptions(
        rate=args.rate,
        loop=args.loop,
        clock=args.clock,
        restamp=args.restamp == "now",
        delay_s=args.delay,
        wait_topics=tuple(args.wait_topic or ()) if waits else None,
        wait_deadline_s=args.wait_deadline,
        allow_damage=args.allow_damage,
    )
    print(play(args.bag, options).text())
    return 0


def add_record_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc record`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Record topics into a rosbag2 recording (mcap) until Ctrl-C."
    parser.epilog = (
        "examples:\n"
        "  mvloc record --out bags/run1                         (the node's outputs and the ground truth)\n"
        "  mvloc record --out bags/camera --topics /camera/color/image_raw /camera/depth/image_raw --for 30"
    )
    parser.add_argument("--out", type=Path, required=True, help="recording to write (a new folder)")
    parser.add_argument(
        "--topics",
        nargs="+",
        metavar="TOPIC",
        help="topics (default: the node's pose, pose with covariance, status, /tf, ground truth)",
    )
    parser.add_argument("--for", dest="seconds", type=positive, metavar="S", help="end after this time")
    parser.add_argument("--force", action="store_true", help="overwrite an existing recording")


def run_record(args: argparse.Namespace) -> int:
    """`mvloc record`."""
    from mvloc_ros.replay.recorder import record

    print(record(args.out, args.topics, args.seconds, force=args.force).text())
    return 0


def add_replay_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc replay`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Localize every frame of a recording without ROS, as fast as this machine can, and evaluate. The messages go "
        "the way that they go in the node: transports, camera_info, TF and odometry of the recording, gate and single "
        "images as the parameters say."
    )
    parser.epilog = (
        "examples:\n"
        "  mvloc replay bags/redkitchen_test --model models/redkitchen --out out/redkitchen\n"
        "  mvloc replay bags/redkitchen_test --model models/redkitchen --out out/color --without depth --refine off\n"
        "  mvloc replay bags/drive --model models/office --out out/drive --parameter gate:=true --parameter "
        "publish_frame:=odom\n"
        "  mvloc replay bags/drive --model models/office --out out/drive --params-file my_robot.yaml\n"
        "  mvloc replay bags/drive --model models/office --out out/drive --wake-ups 50\n"
        "  mvloc replay bags/drive --model models/rig --out out/drive --sensor rear:=/rear/color/image_raw"
    )
    parser.add_argument("bag", type=Path, help="recording with images (and, for errors, ground truth)")
    _add_model_and_out(parser)
    parser.add_argument("--color-topic", help="images, raw or compressed (default: /camera/color/image_raw)")
    parser.add_argument("--depth-topic", help="images or clouds (default: /camera/depth/image_raw)")
    parser.add_argument(
        "--without",
        metavar="MODALITY",
        default="",
        help="leave the images of color, depth or a further sensor of the model out, as if it were lost (with a scene "
        "map, poses without depth are rejected at first; --refine off gives the network's throughout)",
    )
    parser.add_argument(
        "--wake-ups",
        type=count,
        default=0,
        metavar="N",
        help="afterwards start a localizer that knows nothing at N evenly spread frames, follow each with the gate and "
        "the recording's odometry for 10 s or 1 m, and count right first poses and false accepts (default: 0)",
    )
    parser.add_argument(
        "--restart-after",
        type=positive,
        default=math.inf,
        metavar="S",
        help="where the images pause for at least so many seconds, forget where the camera was, as between recordings "
        "that were put into one (default: never)",
    )
    add_sensor_argument(parser)
    add_parameter_flags(parser)
    add_parameter_arguments(parser)


def run_replay(args: argparse.Namespace) -> int:
    """`mvloc replay`."""
    from mvloc_ros.recordings import topics
    from mvloc_ros.replay.evaluation import evaluate
    from mvloc_ros.replay.offline import OfflineOptions, run_offline

    options = OfflineOptions(
        parameters=parameters_of(args),
        color_topic=args.color_topic or topics.COLOR_IMAGE,
        depth_topic=args.depth_topic or topics.DEPTH_IMAGE,
        truth_topic=args.truth_topic or topics.GROUND_TRUTH,
        tolerance_s=args.tolerance,
        without=args.without,
        allow_damage=args.allow_damage,
        wake_ups=args.wake_ups,
        restart_after_s=args.restart_after,
    )
    return _report(evaluate(run_offline(args.bag, args.model, options)), args.out)


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc evaluate`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Evaluate a live run from the recording of the node's outputs and the ground truth."
    parser.epilog = (
        "examples:\n"
        "  mvloc evaluate bags/run1 --model models/redkitchen --out out/redkitchen_live\n"
        "  mvloc evaluate bags/run1 --played-bag bags/redkitchen_test --out out/redkitchen_live"
    )
    parser.add_argument("bag", type=Path, help="recording of the live run (`mvloc record` or `ros2 bag record`)")
    _add_model_and_out(parser, required=False)
    parser.add_argument(
        "--played-bag",
        type=Path,
        help="the recording that was played: says how many frames there were, and holds the ground "
        "truth where the live recording does not",
    )
    parser.add_argument("--pose-topic", help="default: /mvloc/pose")
    parser.add_argument("--status-topic", help="default: /mvloc/status")


def run_evaluate(args: argparse.Namespace) -> int:
    """`mvloc evaluate`."""
    from mvloc_ros.recordings import topics
    from mvloc_ros.replay.evaluation import evaluate
    from mvloc_ros.replay.recorded_run import LiveOptions, read_live_run

    options = LiveOptions(
        played_bag=args.played_bag,
        tolerance_s=args.tolerance,
        pose_topic=args.pose_topic or LiveOptions.pose_topic,
        status_topic=args.status_topic or LiveOptions.status_topic,
        truth_topic=args.truth_topic or topics.GROUND_TRUTH,
        allow_damage=args.allow_damage,
    )
    return _report(evaluate(read_live_run(args.bag, args.model, options)), args.out)


def _report(result: EvaluationResult, out: Path) -> int:
    """Write and print a report; the exit code."""
    from mvloc_ros.replay.report import write_report

    return show(result, write_report(result, out))


def show(result: EvaluationResult, table: str) -> int:
    """Print an evaluation; the exit code: 1 where no frame gave an accepted pose, after a sentence with the reasons."""
    from mvloc_ros.replay.outcomes import no_pose_sentence

    print(table, flush=True)
    if result.poses:
        return 0
    print(no_pose_sentence(result.frames, result.reasons), file=sys.stderr)
    return NO_POSE


def _add_model_and_out(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        required=required,
        help="model bundle" if required else "model bundle: its training poses give the baselines",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder for report.json, frames.csv, estimate.tum, ground_truth.tum, trajectory.png",
    )
    parser.add_argument("--truth-topic", help="default: /ground_truth/pose")
    parser.add_argument(
        "--tolerance",
        type=not_negative,
        default=0.0,
        metavar="S",
        help="largest difference of the stamps of a pose and its ground truth (default: 0, exact)",
    )
    add_allow_damage_argument(parser)


def add_live_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc live`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = (
        "Play a recording over DDS into the node in a process of its own, record its poses in a third, and evaluate."
    )
    parser.epilog = (
        "examples:\n"
        "  mvloc live bags/redkitchen_test --model models/redkitchen --out out/redkitchen_live\n"
        "  mvloc live bags/demo --model models/demo --out out/x --parameter threads:=1 --rate 2"
    )
    parser.add_argument("bag", type=Path, help="recording with images (and, for errors, ground truth)")
    _add_model_and_out(parser)
    parser.add_argument("--rate", type=positive, default=1.0, help="times real time (default: 1.0)")
    add_sensor_argument(parser)
    add_parameter_arguments(parser)


def run_live(args: argparse.Namespace) -> int:
    """`mvloc live`."""
    from mvloc_ros.recordings import topics
    from mvloc_ros.replay import live
    from mvloc_ros.replay.evaluation import evaluate
    from mvloc_ros.replay.recorded_run import LiveOptions, read_live_run

    truth_topic = args.truth_topic or topics.GROUND_TRUTH
    overrides = (*sensor_overrides(args), *args.parameter)
    options = live.NodeOptions(overrides, args.params_file, args.rate, truth_topic, args.allow_damage)
    recording = live.run_live(args.bag, args.model, args.out, options)
    reading = LiveOptions(
        played_bag=args.bag,
        tolerance_s=args.tolerance,
        truth_topic=truth_topic,
        parameters=options.parameters(),
        allow_damage=args.allow_damage,
    )
    return _report(evaluate(read_live_run(recording, args.model, reading)), args.out)
