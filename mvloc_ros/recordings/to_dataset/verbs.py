# SPDX-License-Identifier: Apache-2.0
"""Command line: `mvloc bag to-dataset`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mvloc_ros.arguments import not_negative, options_of, positive
from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.recordings.agreement import add_force_argument
from mvloc_ros.recordings.damage import add_allow_damage_argument
from mvloc_ros.recordings.motion_arguments import add_motion_arguments, motion_limits
from mvloc_ros.recordings.trajectory_file import TrajectoryOptions, add_trajectory_arguments, trajectory_options

if TYPE_CHECKING:
    from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions


def add_to_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `mvloc bag to-dataset`."""
    parser.description = (
        "Write a recording (rosbag2 or a ROS 1 .bag) with images and poses as a folder that `mvloc train` reads:\n"
        "the 7-Scenes layout with camera.json. The last part of the recording is the test set. An interrupted run\n"
        "continues when it is started again."
    )
    parser.epilog = (
        "examples:\n"
        "  mvloc bag to-dataset bags/office --out data/office      (topics that are the only ones of their kind)\n"
        "  mvloc bag to-dataset office.bag --out data/office --poses tf --map-frame world --register\n"
        "  mvloc bag to-dataset bags/robot --out data/yard --depth /lidar/points --splat 3 --poses /odometry/global\n"
        "  mvloc bag to-dataset bags/robot --out data/yard --poses /gnss/pose --pose-frame base_link \\\n"
        "      --extrinsic 0.3 0 0.2 -0.5 0.5 -0.5 0.5\n"
        "  mvloc bag to-dataset bags/walk --out data/walk --poses none\n"
        "  mvloc bag to-dataset bags/rig --out data/rig --color /front/image_raw --depth /front_depth/image_raw \\\n"
        "      --sensor rear:=/rear/color/image_raw --sensor thermal:=/thermal/image_raw --sensor-kind thermal:=gray\n"
        "  mvloc bag to-dataset bags/walk --out data/walk --trajectory CameraTrajectory.txt --trajectory-frame optical"
    )
    parser.add_argument("bag", type=Path, help="recording (folder, .mcap, .db3 or ROS 1 .bag file)")
    parser.add_argument("--out", type=Path, required=True, help="folder to write (a new one)")
    add_conversion_arguments(parser)
    parser.add_argument(
        "--test-fraction",
        type=float,
        default=0.2,
        help="share of the recording's time, at its end, that is for testing (default: 0.2)",
    )
    parser.add_argument("--licence", default="", help="licence of the recording, kept in camera.json")
    add_allow_damage_argument(parser)
    add_force_argument(parser)


def add_conversion_arguments(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The options of `dataset_options` but for the split and the licence; `several`: `--trajectory` may be repeated."""
    _add_images(parser)
    _add_sensors(parser)
    _add_poses(parser, several)


def _add_images(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("images")
    group.add_argument("--color", metavar="TOPIC", help="colour: Image or CompressedImage (JPEG, PNG)")
    group.add_argument("--depth", metavar="TOPIC", help="depth: Image, compressedDepth (PNG), or PointCloud2")
    group.add_argument("--color-info", metavar="TOPIC", help="camera_info of the colour camera")
    group.add_argument("--depth-info", metavar="TOPIC", help="camera_info of the depth camera")
    group.add_argument("--register", action="store_true", help="map depth images into the colour camera, through /tf")
    group.add_argument("--splat", type=positive, default=1.0, help="pixels that a point of a cloud covers (default: 1)")
    group.add_argument(
        "--max-skew",
        type=not_negative,
        metavar="MS",
        help="largest time between colour and depth, and a frame and a further sensor's image (default: 20, for "
        "clouds 60)",
    )
    group.add_argument("--keep-unpaired", action="store_true", help="keep colour images without depth")
    group.add_argument(
        "--color-format",
        choices=("png", "jpg"),
        default="png",
        help="file format of raw colour images; compressed ones stay as they are (default: png)",
    )
    group.add_argument(
        "--depth-unit-m",
        type=positive,
        default=0.0,
        metavar="M",
        help="metres of one unit of the recorded depth, as the node's parameter (default: by REP 118 0.001 for 16UC1, "
        "1 for 32FC1 and clouds)",
    )
    group.add_argument(
        "--stored-depth-units",
        "--depth-units",
        dest="depth_units_per_metre",
        type=positive,
        metavar="N",
        help="values per metre of the depth images that are WRITTEN; does not affect those that are read (default: "
        "1000, for clouds 256)",
    )


def _add_sensors(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sensors besides color and depth (docs/sensors.md)")
    group.add_argument(
        "--sensor",
        action="append",
        default=[],
        metavar="NAME:=TOPIC",
        help="images of a further sensor, Image, CompressedImage or compressedDepth, with camera_info beside it "
        "(repeatable; in the order in which a model is to take them)",
    )
    group.add_argument(
        "--sensor-kind",
        action="append",
        default=[],
        metavar="NAME:=KIND",
        help="color, gray or depth (default: by the encoding, gray for one channel of 8 bits)",
    )
    group.add_argument(
        "--sensor-info",
        action="append",
        default=[],
        metavar="NAME:=TOPIC",
        help="camera_info of a sensor (default: beside its images)",
    )
    group.add_argument(
        "--sensor-extrinsic",
        action="append",
        default=[],
        nargs=8,
        metavar=("NAME", "X", "Y", "Z", "QX", "QY", "QZ", "QW"),
        help="a sensor's optical frame in that of the color camera, instead of the recording's transforms",
    )


def _add_poses(parser: argparse.ArgumentParser, several: bool) -> None:
    group = parser.add_argument_group("poses")
    group.add_argument(
        "--poses",
        metavar="TOPIC",
        help="PoseStamped, PoseWithCovarianceStamped, Odometry or "
        "TransformStamped topic, `tf` for the transforms from the map to the camera, or `none` for a folder without "
        "poses and split, with seq-01/odometry.tum and seq-01/imu.csv where the recording has odometry and an IMU",
    )
    group.add_argument(
        "--imu-topic",
        metavar="TOPIC",
        help="sensor_msgs/Imu topic that --poses none keeps for `mvloc pose`, or `none` (default: the first one)",
    )
    add_trajectory_arguments(group, several=several)
    group.add_argument("--map-frame", default="map", metavar="FRAME", help="fixed frame of --poses tf (default: map)")
    group.add_argument(
        "--pose-frame",
        metavar="FRAME",
        help="frame whose pose the topic gives (default: the message's "
        "child_frame_id; a pose message without one is taken as the camera's own pose; name the camera's frame where "
        "child_frame_id is empty and the poses are of the camera); with --poses tf the frame of --extrinsic",
    )
    group.add_argument(
        "--extrinsic",
        type=float,
        nargs=7,
        metavar=("X", "Y", "Z", "QX", "QY", "QZ", "QW"),
        help="the camera's optical frame in the topic's frame, instead of the recording's transforms",
    )
    group.add_argument(
        "--pose-of",
        choices=("color", "depth"),
        default="color",
        help="camera whose poses the folder has (default: color)",
    )
    group.add_argument(
        "--max-gap",
        type=not_negative,
        default=200.0,
        metavar="MS",
        help="longest time between poses that is interpolated (default: 200)",
    )
    add_motion_arguments(group, MotionLimits())


def run_to_dataset(args: argparse.Namespace) -> int:
    """`mvloc bag to-dataset`."""
    from mvloc_ros.recordings.errors import RecordingError
    from mvloc_ros.recordings.to_dataset.bag_to_folder import to_dataset

    options = dataset_options(args, trajectory_options(args))
    if args.imu_topic is not None and args.poses != "none":
        raise RecordingError("--imu-topic is for folders without poses: give --poses none, or remove it.")
    summary = to_dataset(args.bag, args.out, options, force=args.force, allow_damage=args.allow_damage)
    print(summary.text())
    return 0


def dataset_options(args: argparse.Namespace, trajectory: TrajectoryOptions | None) -> DatasetOptions:
    """The options that `add_conversion_arguments` gave, with a trajectory for the poses."""
    from mvloc_ros.recordings.to_dataset.dataset_options import DatasetOptions
    from mvloc_ros.recordings.to_dataset.pose_source import PoseOptions, extrinsic
    from mvloc_ros.recordings.to_dataset.sensor_choice import sensor_choices

    poses = options_of(
        PoseOptions,
        args,
        source=args.poses,
        trajectory=trajectory,
        T_pose_camera=None if args.extrinsic is None else extrinsic(args.extrinsic),
        max_gap_ns=round(args.max_gap * 1e6),
        limits=motion_limits(args),
    )
    max_skew_ns = None if args.max_skew is None else round(args.max_skew * 1e6)
    sensors = sensor_choices(args.sensor, args.sensor_kind, args.sensor_info, args.sensor_extrinsic)
    return options_of(DatasetOptions, args, poses=poses, max_skew_ns=max_skew_ns, sensors=sensors)
