# SPDX-License-Identifier: Apache-2.0
"""A camera's driver: colour, depth and camera_info at a steady rate, stamped when they are sent.

Waits for a subscriber of both images, sends, and writes the stamps it sent to a file.
"""

from __future__ import annotations

import argparse
import json
import signal
import time
from itertools import cycle
from pathlib import Path

import rclpy
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from bench.harness.image_message import image_message
from bench.pictures import depth_map, picture

FRAME = "camera_color_optical_frame"
PICTURES = 6
FIND_S = 60.0
# A subscriber that a publisher has found may still have to find the publisher.
SETTLE_S = 1.0
LINGER_S = 1.0


class Camera(Node):
    """Publishes pairs, registered, as a driver does.

    Attributes:
        stamps: of what was sent, in nanoseconds.
    """

    def __init__(self, width: int, height: int) -> None:
        super().__init__("bench_camera")
        self.stamps: list[int] = []
        self._pairs = cycle(
            (
                image_message(picture(height, width, seed), 0, FRAME, encoding="rgb8"),
                image_message(depth_map(height, width, seed), 0, FRAME, encoding="16UC1"),
            )
            for seed in range(PICTURES)
        )
        self._info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
        self._info.header.frame_id = FRAME
        self._info.k = [0.82 * width, 0.0, width / 2, 0.0, 0.82 * width, height / 2, 0.0, 0.0, 1.0]
        self._info.p = [*self._info.k[:3], 0.0, *self._info.k[3:6], 0.0, *self._info.k[6:], 0.0]
        self._images = [self.create_publisher(Image, f"{side}/image", 5) for side in ("color", "depth")]
        self._infos = [self.create_publisher(CameraInfo, f"{side}/camera_info", 5) for side in ("color", "depth")]

    def wait_for_subscribers(self) -> None:
        """Until both images are listened to; SystemExit if nobody comes."""
        deadline = time.monotonic() + FIND_S
        while not all(publisher.get_subscription_count() for publisher in self._images):
            if time.monotonic() > deadline:
                raise SystemExit(f"nobody subscribed to the images within {FIND_S:g} s")
            time.sleep(0.02)
        time.sleep(SETTLE_S)

    def send(self) -> int:
        """One pair of this moment; its stamp in nanoseconds."""
        stamp_ns = time.time_ns()
        stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
        self._info.header.stamp = stamp
        for message, image, info in zip(next(self._pairs), self._images, self._infos, strict=True):
            message.header.stamp = stamp
            image.publish(message)
            info.publish(self._info)
        return stamp_ns

    def run(self, rate_hz: float, seconds: float) -> None:
        """Send at a rate for a time. A frame that is late does not hurry the next."""
        period, end, due = 1.0 / rate_hz, time.monotonic() + seconds, time.monotonic()
        while due < end:
            time.sleep(max(0.0, due - time.monotonic()))
            self.stamps.append(self.send())
            due = max(due, time.monotonic() - period) + period


def main() -> None:
    """Send and say what was sent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--height", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True, help="pairs a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--stamps", type=Path, required=True, metavar="FILE", help="write the stamps here, as JSON")
    parser.add_argument("--no-wait", action="store_true", help="send whether anybody listens or not")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    camera = Camera(args.width, args.height)
    if not args.no_wait:
        camera.wait_for_subscribers()
    try:
        camera.run(args.rate, args.seconds)
        time.sleep(LINGER_S)
    except KeyboardInterrupt:
        pass  # whoever started this has seen enough
    args.stamps.write_text(json.dumps(camera.stamps))
    camera.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
