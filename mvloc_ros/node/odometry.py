# SPDX-License-Identifier: Apache-2.0
"""The robot's own transforms at the stamp of an image: odometry and the place of the camera on the robot.

The listener fills the buffer in the executor's thread; lookups happen in the worker's thread, each one a
try without waiting that is repeated until `timeout_s` has passed. tf2's own waiting would not end when the
node is deactivated, and is no different between distributions only in this form.
"""

from __future__ import annotations

import threading
import time

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.node import Node
from rclpy.time import Time
from tf2_msgs.msg import TFMessage
from tf2_ros import Buffer, TransformException, TransformListener

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.geometry.transform_lookup import Found
from mvloc_ros.limits import MOST_CAMERA_FRAMES, MOST_NAMED
from mvloc_ros.node.messages import matrix_of
from mvloc_ros.node.qos import incompatibility

_POLL_S = 0.005
_REASON = 300
"""Characters of tf2's words, which name frames."""


class _WatchedBuffer(Buffer):
    """tf2's buffer, with a look at each transform before it is stored."""

    def __init__(self, watch: TransformWatch) -> None:
        super().__init__()
        self._watch = watch

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        if self._watch.take(transform, is_static=False):
            super().set_transform(transform, authority)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        if self._watch.take(transform, is_static=True):
            super().set_transform_static(transform, authority)


class _BoundedListener(TransformListener):
    """tf2's listener, which leaves messages of more transforms than any robot has unread: each takes its time."""

    def __init__(self, buffer: _WatchedBuffer, node: Node, watch: TransformWatch) -> None:
        self._watch = watch  # first: the subscriptions begin in tf2's constructor
        super().__init__(buffer, node)

    def callback(self, data: TFMessage) -> None:
        if self._watch.may_be_read("/tf", len(data.transforms)):
            super().callback(data)

    def static_callback(self, data: TFMessage) -> None:
        if self._watch.may_be_read("/tf_static", len(data.transforms)):
            super().static_callback(data)


class RobotTransforms:
    """Listens to /tf and /tf_static of one node."""

    def __init__(self, node: Node, timeout_s: float, watch: TransformWatch | None = None) -> None:
        """Start listening.

        Args:
            node: whose executor receives the transforms; its remappings of /tf hold.
            timeout_s: longest wait of one lookup, wall time.
            watch: looks at each transform that comes.
        """
        # Without `node`, which would add a service to it and, on some distributions only, watch its clock.
        self._node = node
        self.watch = TransformWatch() if watch is None else watch
        self._buffer = _WatchedBuffer(self.watch)
        self._listener = _BoundedListener(self._buffer, node, self.watch)
        self._timeout_s = timeout_s
        self._interrupted = threading.Event()
        # The newest transform of a pair of frames for which a wait brought nothing.
        self._stalled: dict[tuple[str, str], int] = {}

    def close(self) -> None:
        """Stop listening."""
        self._listener.unregister()
        self.watch.begin_anew()

    def stop_waiting(self) -> None:
        """End a lookup that waits."""
        self._interrupted.set()

    def resume(self) -> None:
        """Let lookups wait again."""
        self._interrupted.clear()

    def forget(self) -> None:
        """Drop what moved, as after a jump back of the clock; static transforms stay."""
        self._buffer.clear()
        self.watch.forget()
        self._stalled.clear()

    def unheard(self) -> list[str]:
        """Publishers of /tf and /tf_static whose QoS keeps them from being heard, in words."""
        found = []
        for subscription in (self._listener.tf_sub, self._listener.tf_static_sub):
            topic = subscription.topic_name
            for publisher in self._node.get_publishers_info_by_topic(topic):
                reason = incompatibility(publisher.qos_profile, subscription.qos_profile)
                if reason:
                    found.append(
                        f"{shown(publisher.node_name)} publishes {topic} with an incompatible QoS ({reason}), so that "
                        "its transforms are not heard; let it publish reliable, and /tf_static transient_local"
                    )
        return found[:MOST_NAMED]

    def lookup(self, target: str, source: str, stamp_ns: int, wait: bool = True) -> Found:
        """`T_target_source` at a stamp.

        Waits at most the timeout, and only where waiting helps: for frames that are connected, and whose
        transforms have come on since the last wait that brought nothing.
        """
        started = time.monotonic()
        while True:
            found = self._try(target, source, stamp_ns)
            if found.T is not None:
                return found
            newest = self._newest(target, source)
            if newest is not None and newest >= stamp_ns:
                # It may have arrived since the try failed. If that is not why it failed, waiting would not help.
                return self._try(target, source, stamp_ns)
            waited = time.monotonic() - started
            if not wait or newest is None or self._stalled.get((target, source)) == newest:
                break
            if waited >= self._timeout_s or self._interrupted.wait(_POLL_S):
                self._note_stalled((target, source), newest)
                found = Found(None, True, f"{found.reason} (waited {waited:.2f} s)")
                break
        return found

    def _note_stalled(self, pair: tuple[str, str], newest_ns: int) -> None:
        if len(self._stalled) >= MOST_CAMERA_FRAMES and pair not in self._stalled:
            self._stalled.clear()  # it saves waits, and is known again after one
        self._stalled[pair] = newest_ns

    def _try(self, target: str, source: str, stamp_ns: int) -> Found:
        try:
            T = matrix_of(self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns)))
        except TransformException as error:
            return Found(None, self._newest(target, source) is not None, shown(str(error).rstrip("."), _REASON))
        if not np.isfinite(T).all():  # finite ones may be too large to be chained
            return Found(None, True, "the chain of transforms between them has numbers that are not finite")
        return Found(T, True, "")

    def _newest(self, target: str, source: str) -> int | None:
        """Stamp of the newest transform between two frames; None if they are not connected."""
        try:
            return int(self._buffer.get_latest_common_time(target, source).nanoseconds)
        except TransformException:
            return None
