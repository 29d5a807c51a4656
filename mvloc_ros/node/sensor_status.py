# SPDX-License-Identifier: Apache-2.0
"""What the node's status message says of the sensors besides color and depth."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.front_end import FrontEnd, PairedFrame
from mvloc_ros.frontend.further_sensors import FurtherSensors
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.model.modalities import PAIR
from mvloc_ros.msg import LocalizationStatus

_OF_PAIR = 1 + len(PAIR)
"""Expert shares before those of further sensors: of the prior, and of the pair."""


def add_frame_sensors(
    status: LocalizationStatus, names: Sequence[str], paired: PairedFrame | None, estimate: PoseEstimate | None
) -> None:
    """Fill in which sensors the frame has, and, where its pose was published, what they had to do with it.

    Args:
        status: whose `pose_valid` is set.
        names: of the model's further sensors, in its order.
        paired: the frame; None where the status is of no frame.
        estimate: of the frame; None where it gave none.
    """
    skews_ns = {} if paired is None else paired.further_skew_ns
    status.sensors = list(names)
    status.sensor_skews = [1e-9 * skews_ns[name] if name in skews_ns else math.nan for name in names]
    used, shares = [False] * len(names), [0.0] * len(names)
    if estimate is not None and status.pose_valid:
        used = [estimate.further_used[name] for name in names]
        shares = list(estimate.expert_share[_OF_PAIR:])
    status.sensors_used, status.sensor_shares = used, shares


def add_sensor_counters(
    status: LocalizationStatus, names: Sequence[str], front: FrontEnd, states: Sequence[str]
) -> None:
    """Fill in what became of the sensors' images since activation, and how each sensor is.

    `states` are words of each, as /diagnostics has them.
    """
    status.sensor_states = [shown(state, MOST_LOG_CHARACTERS) for state in states]
    further = front.further
    status.sensors_silent = [further is None or name not in further.counts or name in further.silent for name in names]
    found = [_counts(name, front, further) for name in names]
    status.sensors_received = [one[0] for one in found]
    status.sensors_in_frames = [one[1] for one in found]
    status.sensors_dropped_unpaired = [one[2] for one in found]
    status.sensors_dropped_invalid = [one[3] for one in found]
    status.without_pair = front.counts.without_pair


def _counts(name: str, front: FrontEnd, further: FurtherSensors | None) -> tuple[int, int, int, int]:
    """Of a sensor's images: received, in frames, unpaired, invalid; zeros of one without a topic."""
    if further is None or name not in further.counts:
        return 0, 0, 0, 0
    stream, refused = further.counts[name], front.counts.further_invalid[name]
    undecodable = front.counts.further_undecodable[name]
    # None of them ever falls, which would look like another activation.
    in_frames = stream.paired + stream.alone
    return stream.received + refused, in_frames, stream.unpaired + stream.late, refused + undecodable
