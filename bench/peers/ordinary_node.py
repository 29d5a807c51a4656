# SPDX-License-Identifier: Apache-2.0
"""A localization node as such nodes are usually written.

Queues of ten messages, pairs by approximate time, cv_bridge, arrays of float32, PyTorch in the callback, all in
the thread of `rclpy.spin`. It has what a careful author gives it: no gradients, weights loaded once, a warm-up,
one resize an image. It publishes ~/pose and the camera's transform, as the node of this project does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import rclpy
import torch
from cv_bridge import CvBridge
from geometry_msgs.msg import PoseStamped, TransformStamped
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from tf2_ros import TransformBroadcaster

from bench.peers.approximate_time import ApproximateTime
from bench.random_bundle import load_network
from mvloc_ros.geometry import quaternion
from mvloc_ros.model.bundle import read_bundle

QUEUE_SIZE = 10
SLOP_S = 0.02
WARM_UPS = 5


class OrdinaryNode(Node):
    """Colour and depth in, ~/pose and TF out."""

    def __init__(self, bundle: Path, weights: Path) -> None:
        super().__init__("ordinary")
        self._bundle = read_bundle(bundle)
        self._network = load_network(weights)
        self._bridge = CvBridge()
        spec = self._bundle.manifest.input
        self._size = spec.width, spec.height
        for _ in range(WARM_UPS):
            blank = np.ones((spec.height, spec.width, 4), np.float32)
            self._infer(blank[..., :3], blank[..., 3])
        self._pose = self.create_publisher(PoseStamped, "~/pose", QUEUE_SIZE)
        self._tf = TransformBroadcaster(self)
        pairs = ApproximateTime(self._localize, QUEUE_SIZE, SLOP_S)
        self.create_subscription(Image, "color/image", pairs.add_first, QUEUE_SIZE)
        self.create_subscription(Image, "depth/image", pairs.add_second, QUEUE_SIZE)

    def _localize(self, color: Image, depth: Image) -> None:
        rgb = self._bridge.imgmsg_to_cv2(color, "rgb8").astype(np.float32)
        rgb = cv2.resize(rgb, self._size, interpolation=cv2.INTER_AREA)
        metres = self._bridge.imgmsg_to_cv2(depth, "passthrough").astype(np.float32)
        if depth.encoding == "16UC1":
            metres *= 0.001
        metres = cv2.resize(metres, self._size, interpolation=cv2.INTER_NEAREST)
        pose = self._infer(rgb, metres)
        position = self._bundle.position_in_map(pose[:3])
        self._publish(color, position, quaternion.exp(pose[3:]))

    def _infer(self, rgb: NDArray[np.float32], metres: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            output = self._network(torch.from_numpy(rgb)[None], torch.from_numpy(metres)[None], torch.ones(1, 2))
        return np.asarray(output.pose[0].numpy())

    def _publish(self, color: Image, position: NDArray[np.float64], rotation: NDArray[np.float64]) -> None:
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = color.header.stamp, "map"
        point, turn = pose.pose.position, pose.pose.orientation
        point.x, point.y, point.z = position.tolist()
        turn.x, turn.y, turn.z, turn.w = rotation.tolist()
        self._pose.publish(pose)
        transform = TransformStamped(header=pose.header, child_frame_id=color.header.frame_id)
        transform.transform.translation.x, transform.transform.translation.y = point.x, point.y
        transform.transform.translation.z = point.z
        transform.transform.rotation = turn
        self._tf.sendTransform(transform)


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, required=True, help="for sizes and units")
    parser.add_argument("--weights", type=Path, required=True, help="what bench.random_bundle saved")
    args = parser.parse_args()
    rclpy.init()
    try:
        rclpy.spin(OrdinaryNode(args.bundle, args.weights))
    except Exception:
        if rclpy.ok():
            raise
        # A signal took the context away, perhaps under a callback.


if __name__ == "__main__":
    main()
