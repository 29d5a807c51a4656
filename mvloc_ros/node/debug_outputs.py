# SPDX-License-Identifier: Apache-2.0
"""What people look at: the scene map, the depth points on it, and a picture of each frame with its verdict.

All of it is made in a thread of its own, which begins with the first subscriber; a frame is handed over after its pose
and status are published, and the newest replaces one that waits. Without a subscriber no image is kept and nothing is
made. Rates are bounded by the parameter `debug_rate`.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image, PointCloud2

from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.frontend.mailbox import LatestWorker
from mvloc_ros.model.frame import Frame
from mvloc_ros.node.loaded_model import LoadedModel
from mvloc_ros.node.qos import latest
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.localized import Localized

if TYPE_CHECKING:
    from mvloc_ros.pipeline.scan import Scan

LOOK_S = 1.0
"""Seconds between two looks at whether somebody subscribes to the map."""
DRAWER = "mvloc_debug"
"""Name of the thread that makes the pictures."""
_STOP_S = 2.0
# A frame that was so much late (in periods) does not put off the next: cameras are not that regular.
_LATE = 0.5


@dataclass(frozen=True, eq=False)
class _Shown:
    """One frame to be shown; `localized` is None where it gave no pose, and then there is a reason."""

    frame: Frame | None
    paired: PairedFrame
    localized: Localized | None
    reason: str
    model: LoadedModel


@dataclass(frozen=True)
class _Job:
    """What the thread is to do: the map if it is due, and this frame if there is one."""

    shown: _Shown | None = None


class DebugOutputs:
    """Publishers from configure to cleanup, a thread from the first subscriber to deactivate.

    `note_read`, `show` and `show_failure` are called by the thread that localizes, the others by the executor's.
    """

    def __init__(self, node: LifecycleNode, values: NodeParameters, model: Callable[[], LoadedModel]) -> None:
        """Create the publishers; `model` tells what runs now."""
        self._node, self._model = node, model
        self._most_points, self._period_s = values.map_points_limit, 1.0 / values.debug_rate
        self._map = node.create_lifecycle_publisher(PointCloud2, "~/map_points", latest(is_kept=True))
        self._scan = node.create_lifecycle_publisher(PointCloud2, "~/scan_points", latest())
        self._image = node.create_lifecycle_publisher(Image, "~/debug_image", latest())
        self._lock = threading.Lock()  # of the next two
        self._worker: LatestWorker[_Job] | None = None
        self._is_active = False
        self._due_s = 0.0
        # Of the frame in work: its images if they are to be shown, and whether that was asked yet.
        self._frame: Frame | None = None
        self._was_read = False
        self._map_wanted: LoadedModel | None = None  # whose map is to be published
        # Whose map the publisher holds; None: nobody's, or an empty one. It keeps no model that was exchanged.
        self._map_shown: weakref.ref[LoadedModel] | None = None

    def close(self) -> None:
        """Remove the publishers."""
        for publisher in (self._map, self._scan, self._image):
            self._node.destroy_lifecycle_publisher(publisher)

    def start(self) -> None:
        """Show what is localized from now on."""
        with self._lock:
            self._is_active = True
        self._due_s = 0.0
        self.look()

    def stop(self) -> None:
        """Show nothing any more and end the thread. What the map's publisher holds stays for late subscribers."""
        with self._lock:
            self._is_active = False
            worker, self._worker = self._worker, None
        self._frame = self._map_wanted = None
        if worker is not None and not worker.stop(_STOP_S):
            self._node.get_logger().error(f"the thread {DRAWER} did not end within {_STOP_S:g} s and is left behind")

    def look(self) -> None:
        """Publish the map if somebody subscribes and has not got it; to be called every `LOOK_S`."""
        model = self._model()
        if self._map_shown is not None and self._map_shown() is model:
            return
        if self._map.get_subscription_count():
            self._map_wanted = model
            self._put(_Job())
        elif self._map_shown is not None:
            # Who comes next must not get the map of a model that no longer runs; he gets this one's at the next look.
            self._publish_map(None, model.map_frame)
            self._map_shown = None

    # Frames -------------------------------------------------------------------------------------------

    def note_read(self, frame: Frame) -> None:
        """Keep the images of the frame in work, if they are to be shown."""
        self._frame, self._was_read = (frame if self._is_wanted() else None), True

    def show(self, localized: Localized) -> None:
        """Show a frame whose pose was accepted or rejected."""
        frame, self._frame, self._was_read = self._frame, None, False
        if frame is not None:
            self._hand_over(_Shown(frame, localized.paired, localized, "", self._model()))

    def show_failure(self, paired: PairedFrame, reason: str) -> None:
        """Show a frame that gave no pose, its images too if they could be read."""
        frame, was_read = self._frame, self._was_read
        self._frame, self._was_read = None, False
        if frame is not None or (not was_read and self._is_wanted()):
            self._hand_over(_Shown(frame, paired, None, reason, self._model()))

    def _is_wanted(self) -> bool:
        return (
            self._is_active
            and time.monotonic() >= self._due_s
            and (self._image.get_subscription_count() > 0 or self._scan.get_subscription_count() > 0)
        )

    def _hand_over(self, shown: _Shown) -> None:
        self._due_s = max(self._due_s, time.monotonic() - _LATE * self._period_s) + self._period_s
        self._put(_Job(shown))

    def _put(self, job: _Job) -> None:
        with self._lock:
            if not self._is_active:
                return
            if self._worker is None:
                self._worker = LatestWorker(self._work, DRAWER)
            self._worker.put(job)

    # In the thread --------------------------------------------------------------------------------------

    def _work(self, job: _Job) -> None:
        wanted, self._map_wanted = self._map_wanted, None
        if wanted is not None:
            self._publish_map(wanted, wanted.map_frame)
            self._map_shown = weakref.ref(wanted)
        if job.shown is not None:
            self._show(job.shown)

    def _publish_map(self, model: LoadedModel | None, frame_id: str) -> None:
        """Of a model with a scene map, or an empty one."""
        scene_map = None if model is None else model.localizer.scene_map
        points, brightness = np.zeros((0, 3)), np.zeros(0, np.uint8)
        if scene_map is not None:
            content = scene_map.thinned(self._most_points)
            points, brightness = content.points, content.brightness
        # Imported when something is to be shown: most nodes run for years without.
        from mvloc_ros.node.array_messages import cloud_message

        x, y, z = points.T
        fields = {"x": x, "y": y, "z": z, "intensity": brightness}
        self._map.publish(cloud_message(fields, self._node.get_clock().now().nanoseconds, frame_id))

    def _show(self, shown: _Shown) -> None:
        from mvloc_ros.pipeline.scan import scan_of

        frame, localized = shown.frame, shown.localized
        estimate = None if localized is None else localized.estimate
        scan = None
        if frame is not None and frame.depth is not None and frame.depth.values.size:
            scan = scan_of(frame.depth, estimate, shown.model.localizer)
        if localized is not None and localized.accepted and scan is not None:
            self._publish_scan(scan, localized)
        if self._image.get_subscription_count():
            self._publish_image(shown, scan)

    def _publish_scan(self, scan: Scan, localized: Localized) -> None:
        from mvloc_ros.node.array_messages import cloud_message

        if scan.placed is None or not self._scan.get_subscription_count():
            return
        x, y, z = scan.placed.T
        fields = {"x": x, "y": y, "z": z}
        if scan.residuals is not None:
            fields["residual"] = scan.residuals
        stamp_ns = localized.estimate.pose.stamp_ns
        self._scan.publish(cloud_message(fields, stamp_ns, localized.placement.map_frame))

    def _publish_image(self, shown: _Shown, scan: Scan | None) -> None:
        from mvloc_ros.node.array_messages import image_message
        from mvloc_ros.pipeline.debug_image import debug_image, words_of, words_of_failure

        words = words_of_failure(shown.reason) if shown.localized is None else words_of(shown.localized)
        pixels = debug_image(shown.frame, scan, shown.model.localizer.rig, words)
        self._image.publish(image_message(pixels, shown.paired.stamp_ns, shown.paired.frame_id))
