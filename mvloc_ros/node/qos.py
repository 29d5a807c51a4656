# SPDX-License-Identifier: Apache-2.0
"""The QoS of the node's topics, and the words for why a camera's does not suit the node's."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSCompatibility,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from mvloc_ros.errors import MvlocError
from mvloc_ros.parameters.inputs import InputParameters

_BEST = "best_available"


class QosError(MvlocError):
    """A QoS that this distribution of ROS does not know."""


def image_qos(values: InputParameters) -> QoSProfile:
    """The profile of the image subscriptions.

    Raises:
        QosError: best_available is asked for where rclpy has none (Humble and older).
    """
    for name in ("image_reliability", "image_durability"):
        if getattr(values, name) == _BEST and not hasattr(ReliabilityPolicy, "BEST_AVAILABLE"):
            raise QosError(
                f"This distribution of ROS has no QoS policy BEST_AVAILABLE (it came with Iron): set {name} to its "
                "default, which works with every publisher."
            )
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=values.image_queue_size,
        reliability=ReliabilityPolicy[values.image_reliability.upper()],
        durability=DurabilityPolicy[values.image_durability.upper()],
    )


def kept() -> QoSProfile:
    """The profile of poses and status: reliable, and the last ones are kept for late subscribers that ask for them.

    Suits every subscriber. AMCL keeps its pose too, and what is made for AMCL (Nav2's BasicNavigator) asks for it.
    """
    return QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def latest(*, is_kept: bool = False) -> QoSProfile:
    """The profile of what people look at: the newest alone; `is_kept`: also for who subscribes later."""
    durability = DurabilityPolicy.TRANSIENT_LOCAL if is_kept else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def adapts(values: InputParameters) -> bool:
    """Whether a policy is chosen by the publishers that are there when the subscription is made, and not later."""
    return _BEST in (values.image_reliability, values.image_durability)


def policy_name(kind: int) -> str:
    """The name of a policy as an incompatible-QoS event gives it."""
    return QoSPolicyKind(kind).name


def incompatibility(offered: QoSProfile, requested: QoSProfile) -> str:
    """Why nothing comes from a publisher, in the middleware's words; empty where its QoS suits."""
    compatibility, reason = qos_check_compatible(offered, requested)
    return str(reason).strip().rstrip(";") if compatibility == QoSCompatibility.ERROR else ""
