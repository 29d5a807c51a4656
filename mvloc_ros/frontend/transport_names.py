# SPDX-License-Identifier: Apache-2.0
"""What the name of an image topic says, by image_transport's rules: its transport, and where its camera_info is."""

from __future__ import annotations

_COMPRESSED = ("compressed", "compressedDepth")


def is_compressed(topic: str) -> bool:
    """Whether a topic's name is that of a compressed transport (image_transport's suffix)."""
    return topic.rsplit("/", 1)[-1] in _COMPRESSED


def base_topic(topic: str) -> str:
    """The topic without the suffix of a transport."""
    return topic.rsplit("/", 1)[0] if is_compressed(topic) else topic


def info_topic(topic: str) -> str:
    """The camera_info beside an image topic."""
    base = base_topic(topic)
    return base.rsplit("/", 1)[0] + "/camera_info" if "/" in base else "camera_info"
