# SPDX-License-Identifier: Apache-2.0
"""The node's books: every image that was sent is in exactly one column of the status, or the books are wrong."""

from __future__ import annotations

from collections.abc import Mapping

from mvloc_ros.msg import LocalizationStatus


def account(status: LocalizationStatus, sent: Mapping[str, int]) -> dict[str, int]:
    """What became of the images that were sent, by a status that was made when nothing was on its way any more.

    `waiting` are those that wait for a partner: at most `image_queue_size` of each topic. `unaccounted` must be 0:
    pairs and single images of which the status tells neither a pose nor a reason.
    """
    received = status.color_received + status.depth_received
    frames = status.pairs + status.single_modality
    unaccounted = frames - status.published - status.rejected - status.dropped_busy - status.dropped_failed
    waiting = received - 2 * status.pairs - status.single_modality - status.dropped_unpaired - status.dropped_invalid
    return {
        "sent": sum(sent.values()),
        "received": received,
        "never_arrived": sum(sent.values()) - received,
        "frames": frames,
        "published": status.published,
        "rejected": status.rejected,
        "dropped_busy": status.dropped_busy,
        "dropped_failed": status.dropped_failed,
        "dropped_unpaired": status.dropped_unpaired,
        "dropped_invalid": status.dropped_invalid,
        "waiting": waiting,
        "unaccounted": unaccounted,
    }
