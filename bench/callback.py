# SPDX-License-Identifier: Apache-2.0
"""How long an image occupies the executor's thread, from its callback to the mailbox, and what the worker decodes.

    python -m bench.callback --frames 200

Feeds the node's own inputs with messages as rclpy delivers them (serialised and back), one pair after the other, and
measures each callback; what the worker does to JPEG, PNG, RVL and clouds is measured apart. Prints one JSON object
with medians and 99th percentiles in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import struct
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField

from bench.harness.image_message import image_message
from bench.pictures import depth_map, picture
from mvloc_ros.frontend.clouds import project_cloud
from mvloc_ros.frontend.compressed import decode_compressed_color, decode_compressed_depth
from mvloc_ros.frontend.decode import decode_color, decode_depth
from mvloc_ros.frontend.front_end import FrontEnd, FrontEndOptions, PairedFrame
from mvloc_ros.frontend.rvl import encode_rvl
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import unproject
from mvloc_ros.model.frame import FrameError
from mvloc_ros.node.pipeline import Pipeline
from mvloc_ros.node.topic_monitor import TopicMonitor

HEIGHT, WIDTH = 480, 640
CAMERA = PinholeCamera(WIDTH, HEIGHT, 525.0, 525.0, 319.5, 239.5)


class Idle:
    """Stands where the server stands, with its front end: the mailbox is emptied, nothing is computed."""

    def __init__(self, put: Callable[[PairedFrame], None]) -> None:
        options = FrontEndOptions("color", 20_000_000, single_wait_s=0.5)
        self.front = FrontEnd(options, decode_color, decode_depth, lambda *_: None, put, print)

    def see(self, paired: PairedFrame) -> Any:
        """Nothing."""
        return paired

    def judge(self, _: Any) -> Any:
        """No pose."""
        raise FrameError("Nothing is localized here.")


def image(pixels: np.ndarray, encoding: str) -> Image:
    """As rclpy delivers it."""
    return deserialize_message(serialize_message(image_message(pixels, 0, "", encoding=encoding)), Image)


def stamp(message: Any, n: int) -> Any:
    """The same message at another time."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(10**18 + n * 33_000_000, 10**9)
    return message


def summary(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    values = 1e3 * np.array(seconds)
    return {"median_ms": round(float(np.median(values)), 3), "p99_ms": round(float(np.percentile(values, 99)), 3)}


def callbacks(color: Image, depth: Image, frames: int) -> dict[str, dict[str, float]]:
    """Of the monitor and the pipeline together, as in the node; the second callback of a pair fills the mailbox."""
    ignored: Callable[..., None] = lambda *_: None  # noqa: E731
    pipeline = Pipeline(Idle, ignored, ignored, ignored)  # type: ignore[arg-type]
    monitors = {"color": TopicMonitor("colour"), "depth": TopicMonitor("depth")}
    times: dict[str, list[float]] = {"color": [], "depth": []}
    for n in range(frames):
        for name, message, take in (("color", color, pipeline.take_color), ("depth", depth, pipeline.take_depth)):
            stamp(message, n).header.frame_id = "camera"
            started = time.perf_counter()
            monitors[name].note(message, time.monotonic())
            take(message)
            times[name].append(time.perf_counter() - started)
    pipeline.stop()
    assert pipeline.server.front.counts.pairs == frames
    return {name: summary(values) for name, values in times.items()}


def decoding(frames: int) -> dict[str, dict[str, float]]:
    """What the worker does to a VGA image before it is resized."""
    rgb, depth = picture(HEIGHT, WIDTH), depth_map(HEIGHT, WIDTH)
    head = struct.pack("<iff", 0, 10100.0, -1009.0)
    rvl = head + struct.pack("<II", WIDTH, HEIGHT) + encode_rvl(depth).tobytes()
    jpeg = CompressedImage(format="rgb8; jpeg compressed bgr8", data=cv2.imencode(".jpg", rgb)[1].tobytes())
    coded = {
        "png": CompressedImage(
            format="16UC1; compressedDepth png", data=head + cv2.imencode(".png", depth)[1].tobytes()
        ),
        "rvl": CompressedImage(format="16UC1; compressedDepth rvl", data=rvl),
        "rvl_32FC1": CompressedImage(format="32FC1; compressedDepth rvl", data=rvl),
    }
    whole = np.where(depth == 0, np.float32(np.nan), depth * np.float32(0.001))
    points = np.full((HEIGHT, WIDTH, 3), np.nan, np.float32)
    points[np.isfinite(whole)] = unproject(whole, CAMERA)
    cloud = PointCloud2(height=HEIGHT, width=WIDTH, point_step=12, row_step=12 * WIDTH, data=points.tobytes())
    cloud.fields = [PointField(name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
    elsewhere = np.eye(4)
    elsewhere[0, 3] = 0.05
    jobs = {
        "jpeg": lambda: decode_compressed_color(jpeg),
        **{f"depth_{name}": (lambda m=message: decode_compressed_depth(m)) for name, message in coded.items()},
        "cloud_of_this_camera": lambda: project_cloud(cloud, CAMERA, np.eye(4)),
        "cloud_of_another_place": lambda: project_cloud(cloud, CAMERA, elsewhere),
    }
    result = {}
    for name, job in jobs.items():
        times = []
        for _ in range(frames):
            started = time.perf_counter()
            job()
            times.append(time.perf_counter() - started)
        result[name] = summary(times)
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=200, help="images of each kind (default: 200)")
    frames = parser.parse_args().frames
    rgb, depth = picture(HEIGHT, WIDTH), depth_map(HEIGHT, WIDTH)
    rgba = np.dstack([rgb, rgb[..., 0]])
    colors = {"rgb8": rgb, "bgr8": rgb, "rgba8": rgba, "bgra8": rgba, "mono8": rgb[..., 0]}
    depths = {"16UC1": depth, "32FC1": (depth * 0.001).astype(np.float32)}
    report: dict[str, Any] = {"callback": {}, "worker": decoding(max(frames // 10, 5))}
    for name, pixels in colors.items():
        kind = "32FC1" if name == "bgr8" else "16UC1"
        measured = callbacks(image(pixels, name), image(depths[kind], kind), frames)
        report["callback"][name] = measured["color"]
        report["callback"][kind] = measured["depth"]
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
