# SPDX-License-Identifier: Apache-2.0
"""The node's status message and its diagnostics, from the pipeline's counters and the last frame."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from mvloc_ros.foreign_text import shown
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.msg import LocalizationStatus
from mvloc_ros.node.messages import fill_pose, to_time
from mvloc_ros.node.pipeline import Pipeline
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.server import LocalizationServer

STATE_NAMES = {
    LocalizationStatus.INITIALISING: "INITIALISING",
    LocalizationStatus.TRACKING: "TRACKING",
    LocalizationStatus.DEGRADED: "DEGRADED",
    LocalizationStatus.LOST: "LOST",
    LocalizationStatus.STARVED: "STARVED",
}
_LEVELS = {
    LocalizationStatus.INITIALISING: DiagnosticStatus.OK,
    LocalizationStatus.TRACKING: DiagnosticStatus.OK,
    LocalizationStatus.DEGRADED: DiagnosticStatus.WARN,
    LocalizationStatus.LOST: DiagnosticStatus.ERROR,
    LocalizationStatus.STARVED: DiagnosticStatus.ERROR,
}


def failed_status(paired: PairedFrame, reason: str) -> LocalizationStatus:
    """A status of a frame that gave no pose."""
    header = Header(stamp=to_time(paired.stamp_ns), frame_id=paired.frame_id)
    status = LocalizationStatus(header=header, state=LocalizationStatus.LOST, reason=reason)
    status.pair_skew = 1e-9 * paired.pair_skew_ns
    status.decode_ms = paired.decode_ms
    return status


def frame_status(localized: Localized, wait_ms: float) -> LocalizationStatus:
    """A status of a frame whose pose was accepted or rejected; the caller adds the times of publication."""
    paired, estimate, placement = localized.paired, localized.estimate, localized.placement
    header = Header(stamp=to_time(estimate.pose.stamp_ns), frame_id=paired.frame_id)
    status = LocalizationStatus(header=header, state=int(localized.state), reason=localized.reason)
    status.pair_skew = 1e-9 * paired.pair_skew_ns
    if localized.accepted and placement.pose is not None:
        status.pose_valid = True
        fill_pose(status.network_pose, localized.network_T)
        status.color_used, status.depth_used = estimate.color_used, estimate.depth_used
        status.prior_share, status.color_share, status.depth_share = estimate.expert_share[:3]
    status.decode_ms, status.wait_ms = paired.decode_ms, wait_ms
    status.preprocess_ms = estimate.times.preprocess_ms
    status.inference_ms = estimate.times.inference_ms
    status.localization_ms = estimate.times.localization_ms
    status.refinement_ms, status.verification_ms = estimate.times.refinement_ms, estimate.times.verification_ms
    status.refined, status.score = estimate.refined, estimate.score
    return status


def add_trust(status: LocalizationStatus, server: LocalizationServer) -> None:
    """Fill in what was rejected, and what became of the time."""
    status.last_rejection = server.tracking.last_rejection
    status.clock_jumps = server.stamps.jumps


def bound(status: LocalizationStatus) -> None:
    """Make its texts, parts of which are from outside, fit for one line each."""
    for name in ("reason", "last_rejection", "model", "backend"):
        setattr(status, name, shown(getattr(status, name), MOST_LOG_CHARACTERS))


def add_counters(status: LocalizationStatus, pipeline: Pipeline) -> None:
    """Fill in what became of the images since activation."""
    front, frames = pipeline.server.front, pipeline.counts
    images, color, depth = front.counts, front.synchronizer.color_counts, front.synchronizer.depth_counts
    status.color_received = color.received + images.color_invalid
    status.depth_received = depth.received + images.depth_invalid
    status.pairs = images.pairs
    status.published = frames.published
    status.dropped_unpaired = color.unpaired + color.late + depth.unpaired + depth.late
    status.dropped_busy = frames.dropped_busy
    status.dropped_invalid = images.color_invalid + images.depth_invalid + images.undecodable
    status.single_modality = images.single
    status.dropped_failed = frames.dropped_failed
    status.rejected = frames.rejected


def diagnostics(
    status: LocalizationStatus, node_name: str, header: Header, maps: Mapping[str, str] | None = None
) -> DiagnosticArray:
    """The last status as REP-107 diagnostics, with values about the maps, by their keys."""
    state = STATE_NAMES[status.state]
    values = {
        "state": state,
        "model": status.model,
        **{key: shown(value, MOST_LOG_CHARACTERS) for key, value in (maps or {}).items()},
        "backend": status.backend,
        "refined": status.refined,
        "score": f"{status.score:.2f}",
        "inference_ms": f"{status.inference_ms:.2f}",
        "stamp_to_publication_ms": f"{status.stamp_to_publication_ms:.2f}",
        "color_received": status.color_received,
        "depth_received": status.depth_received,
        "pairs": status.pairs,
        "published": status.published,
        "dropped_unpaired": status.dropped_unpaired,
        "dropped_busy": status.dropped_busy,
        "dropped_invalid": status.dropped_invalid,
        "dropped_failed": status.dropped_failed,
        "rejected": status.rejected,
        "last_rejection": status.last_rejection,
        "clock_jumps": status.clock_jumps,
        "single_modality": status.single_modality,
        "lost_in_transport": status.lost_in_transport,
    }
    entry = DiagnosticStatus(
        level=_LEVELS[status.state],
        name=f"{node_name}: localization",
        hardware_id=status.model,
        message=f"{state}: {status.reason}" if status.reason else state,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )
    return DiagnosticArray(header=header, status=[entry])
