# SPDX-License-Identifier: Apache-2.0
"""The robot's transforms out of a recording, where a live node asks TF."""

from __future__ import annotations

import math

from mvloc_ros.geometry.motion_limits import MotionLimits
from mvloc_ros.geometry.trajectory import Interpolation, NoPose
from mvloc_ros.geometry.transform_lookup import Found
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.transforms import TransformTree

# As tf2 does: between any two transforms that its buffer keeps, however far they are apart.
_AS_TF2 = Interpolation(10_000_000_000, MotionLimits(math.inf, math.inf))


class RecordedTransforms:
    """All of /tf and /tf_static at once, so that no transform is ever late; a `TransformLookup`.

    Where tf2 takes whichever of two contradicting sources came last, which a recording does not tell, there is no
    transform, and the reason says so.
    """

    def __init__(self, tree: TransformTree) -> None:
        """Answer from a tree of transforms."""
        self._tree = tree

    @staticmethod
    def of(reader: BagReader) -> RecordedTransforms:
        """Read the transforms of a recording. Raises RecordingError where it is damaged."""
        tree = TransformTree()
        for raw in reader.raw(tf_topics(reader)):
            message = reader.decode_or_leave_out(raw)
            if message is not None:
                tree.add_message(message, static=raw.topic == topics.TF_STATIC)
        return RecordedTransforms(tree)

    def lookup(self, target: str, source: str, stamp_ns: int, wait: bool = True) -> Found:
        """`T_target_source` at a stamp; there is nothing to wait for."""
        try:
            if not self._tree.connects(target, source):
                return Found(None, False, "the recording has no chain of transforms between the two frames")
            T = self._tree.sample(target, source, stamp_ns, _AS_TF2)
        except RecordingError as error:
            return Found(None, False, str(error).rstrip("."))
        if isinstance(T, NoPose):
            return Found(None, True, f"the stamp is {T.value} of a transform between the two frames")
        return Found(T, True, "")

    def forget(self) -> None:
        """A recording's transforms are those of all of its time, and stay."""


def tf_topics(reader: BagReader) -> tuple[str, ...]:
    """The topics of transforms that a recording has."""
    wanted = (topics.TF, topics.TF_STATIC)
    return tuple(name for name in wanted if name in reader.topics and reader.topics[name].type == topics.TF_MESSAGE)
