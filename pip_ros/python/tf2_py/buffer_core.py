# SPDX-License-Identifier: Apache-2.0
"""The tree of frames over time, and the lookups through it."""

from __future__ import annotations

import threading

from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.logging import get_logger
from rclpy.time import Time

from tf2_py import listing
from tf2_py.exceptions import (
    ConnectivityException,
    ExtrapolationException,
    InvalidArgumentException,
    LookupException,
    TransformException,
)
from tf2_py.messages import fault_of, rigid_of, stamp_ns_of, to_message
from tf2_py.rigid import IDENTITY, Rigid, compose, inverse
from tf2_py.time_cache import LATEST, Sample, StaticCache, TimeCache, seconds

DEFAULT_CACHE_NS = 10_000_000_000


class BufferCore:
    """Stores transforms and answers lookups; safe to use from several threads."""

    def __init__(self, cache_time: Duration | None = None) -> None:
        self._cache_ns = DEFAULT_CACHE_NS if cache_time is None else int(cache_time.nanoseconds)
        self._caches: dict[str, TimeCache | StaticCache] = {}
        self._authorities: dict[str, str] = {}
        self._known: set[str] = set()
        self._changed = threading.Condition(threading.RLock())

    # -- filling

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Add a moving frame's place. A transform that makes no sense is logged as an error and ignored."""
        self._insert(transform, authority, is_static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Add a place that holds at any time. A transform that makes no sense is logged and ignored."""
        self._insert(transform, authority, is_static=True)

    def clear(self) -> None:
        """Forget every moving frame's data; static transforms and the names of the frames stay."""
        with self._changed:
            for cache in self._caches.values():
                cache.clear()

    def _insert(self, transform: TransformStamped, authority: str, *, is_static: bool) -> None:
        fault = fault_of(transform)
        if fault is not None:
            get_logger("tf2").error(f"Ignoring the transform from authority '{authority}': {fault}")
            return
        parent = transform.header.frame_id.removeprefix("/")
        child = transform.child_frame_id.removeprefix("/")
        sample = Sample(stamp_ns_of(transform.header.stamp), parent, rigid_of(transform.transform))
        with self._changed:
            cache = self._caches.get(child)
            if cache is None or cache.is_static != is_static:
                cache = StaticCache() if is_static else TimeCache(self._cache_ns)
                self._caches[child] = cache
            if not cache.insert(sample):
                get_logger("tf2").warning(
                    f"Ignoring old data for frame '{child}' at time {seconds(sample.stamp_ns)} from '{authority}'"
                )
                return
            self._authorities[child] = authority
            self._known.update((parent, child))
            self._changed.notify_all()

    # -- asking

    def lookup_transform_core(self, target_frame: str, source_frame: str, time: Time) -> TransformStamped:
        """The transform that takes coordinates in `source_frame` to `target_frame` at `time` (0: latest common)."""
        with self._changed:
            stamp_ns, rigid = self._find(target_frame, source_frame, stamp_ns_of(time))
        return to_message(stamp_ns, target_frame, source_frame, rigid)

    def lookup_transform_full_core(
        self, target_frame: str, target_time: Time, source_frame: str, source_time: Time, fixed_frame: str
    ) -> TransformStamped:
        """From `source_frame` at its time to `target_frame` at its time, through a frame that did not move."""
        with self._changed:
            for frame in (target_frame, source_frame, fixed_frame):
                self._require(frame)
            _, into_fixed = self._find(fixed_frame, source_frame, stamp_ns_of(source_time))
            stamp_ns, out_of_fixed = self._find(target_frame, fixed_frame, stamp_ns_of(target_time))
        return to_message(stamp_ns, target_frame, source_frame, compose(out_of_fixed, into_fixed))

    def can_transform_core(self, target_frame: str, source_frame: str, time: Time) -> tuple[int, str]:
        """(1 or 0: whether the lookup would succeed, why not)."""
        try:
            self.lookup_transform_core(target_frame, source_frame, time)
        except TransformException as error:
            return 0, str(error)
        return 1, ""

    def can_transform_full_core(
        self, target_frame: str, target_time: Time, source_frame: str, source_time: Time, fixed_frame: str
    ) -> tuple[int, str]:
        """(1 or 0: whether the full lookup would succeed, why not)."""
        try:
            self.lookup_transform_full_core(target_frame, target_time, source_frame, source_time, fixed_frame)
        except TransformException as error:
            return 0, str(error)
        return 1, ""

    def get_latest_common_time(self, target_frame: str, source_frame: str) -> Time:
        """The newest time at which the two frames are connected; zero where every step is static."""
        with self._changed:
            self._require(target_frame)
            self._require(source_frame)
            return Time(nanoseconds=self._latest_common_ns(target_frame, source_frame))

    def all_frames_as_string(self) -> str:
        """One line a frame."""
        with self._changed:
            return listing.as_lines(self._caches)

    def all_frames_as_yaml(self) -> str:
        """A YAML mapping: for each frame its parent, sender, rate and time span; [] when none is known."""
        with self._changed:
            return listing.as_yaml(self._caches, self._authorities)

    # -- walking; the caller holds the lock

    def _require(self, frame: str) -> None:
        if not frame:
            raise InvalidArgumentException('Invalid frame "": a frame name cannot be empty')
        if frame.startswith("/"):
            raise InvalidArgumentException(f"Invalid frame \"{frame}\": a frame name cannot start with a '/'")
        if frame not in self._known:
            raise LookupException(f'The frame "{frame}" does not exist')

    def _find(self, target: str, source: str, time_ns: int) -> tuple[int, Rigid]:
        """(time of the answer, source in target)."""
        if target == source:
            # As in tf2, a frame is where it is, whether or not it is known.
            cache = self._caches.get(target)
            return (cache.span_ns()[1] if cache and time_ns == LATEST else time_ns), IDENTITY
        self._require(target)
        self._require(source)
        if time_ns == LATEST:
            time_ns = self._latest_common_ns(target, source)
        try:
            source_steps, target_steps = self._meet(target, source, time_ns)
        except ExtrapolationException as error:
            raise ExtrapolationException(
                f"{error}, when looking up transform from frame [{source}] to frame [{target}]"
            ) from None
        return time_ns, compose(inverse(_chain(target_steps)), _chain(source_steps))

    def _latest_common_ns(self, target: str, source: str) -> int:
        if target == source:
            cache = self._caches.get(target)
            return cache.span_ns()[1] if cache else 0
        source_steps, target_steps = self._meet(target, source, LATEST)
        return min((step.stamp_ns for step in source_steps + target_steps if step.stamp_ns != 0), default=0)

    def _meet(self, target: str, source: str, time_ns: int) -> tuple[list[Sample], list[Sample]]:
        """The steps from the source, and from the target, up to their nearest common ancestor."""
        source_steps, failure = self._climb(source, time_ns)
        above = {source: 0} | {step.parent: count for count, step in enumerate(source_steps, start=1)}
        target_steps: list[Sample] = []
        target_failure: ExtrapolationException | None = None
        if target not in above:
            target_steps, target_failure = self._climb(target, time_ns)
        frames = [target] + [step.parent for step in target_steps]
        for count, frame in enumerate(frames):
            if frame in above:
                return source_steps[: above[frame]], target_steps[:count]
        if target_failure or failure:
            raise target_failure or failure  # type: ignore[misc]
        raise ConnectivityException(
            f"Could not find a connection between '{target}' and '{source}' because they are not part of the "
            "same tree: TF has two or more unconnected trees"
        )

    def _climb(self, frame: str, time_ns: int) -> tuple[list[Sample], ExtrapolationException | None]:
        """The steps up to the root, or up to where the time is not covered and why it is not.

        A step that fails is no error in itself: the other frame's path may join below it.
        """
        steps: list[Sample] = []
        visited = {frame}
        while (cache := self._caches.get(frame)) is not None:
            try:
                step = cache.at(time_ns)
            except ExtrapolationException as error:
                return steps, error
            if step is None:
                break
            steps.append(step)
            frame = step.parent
            if frame in visited:
                raise LookupException(f"The tf tree is invalid because it contains a loop through '{frame}'")
            visited.add(frame)
        return steps, None


def _chain(steps: list[Sample]) -> Rigid:
    """The place of the lowest frame of the steps in the highest."""
    place = IDENTITY
    for step in steps:
        place = compose(step.place, place)
    return place
