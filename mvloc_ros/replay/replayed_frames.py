# SPDX-License-Identifier: Apache-2.0
"""What became of each frame of a recording: poses, times, and the reasons of those without a pose."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace

import numpy as np

from mvloc_ros.errors import MvlocError
from mvloc_ros.frontend.front_end import FrontEnd, PairedFrame
from mvloc_ros.geometry.stamp_text import SECOND_NS
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.server import LocalizationServer
from mvloc_ros.replay.image_topics import ImageTopics
from mvloc_ros.replay.outcomes import ACCEPTED, FAILED, INVALID, REJECTED, UNPAIRED, Outcome
from mvloc_ros.replay.run import Floats, Stamps
from mvloc_ros.replay.sensor_figures import alone_note, images_note, shares_of

_OF_NODE = {"colour": "color", "depth": "depth"}


class ReplayedFrames:
    """Collects what a run over one recording gives.

    A frame is an image of the camera whose pose the model gives, or of the other one where that has none. With further
    sensors, whatever was localized is one too.
    """

    def __init__(self, pose_of: str, images: ImageTopics, without: str, tolerance_s: float) -> None:
        """Nothing has come yet; `without` is the image (color or depth) that is left out of each frame."""
        self._carrier = pose_of if pose_of in images.pair else next(iter(images.pair))
        self._without, self._tolerance_s = without, tolerance_s
        self._has_further = bool(images.further)
        self._stamps: set[int] = set()
        self._partners: dict[int, str] = {}  # stamp of an image that the frames are to be paired with -> its fault
        self._outcomes: dict[int, Outcome] = {}
        self._counts: Counter[str] = Counter(invalid=0, failed=0, rejected=0)
        self._unused: dict[str, str] = {}  # further sensor -> why its last image that was not used was not
        self.estimates: dict[int, Floats] = {}
        self.covariances: dict[int, Floats] = {}
        self.latency_ms: dict[str, dict[int, float]] = {}
        self._network: dict[int, Floats] = {}
        self._is_refined = False

    @property
    def stamps_ns(self) -> Stamps:
        """Stamps of the frames that were there to be localized."""
        return np.array(sorted(self._stamps), dtype=np.int64)

    @property
    def network(self) -> Trajectory | None:
        """The network's own poses, rejected ones included, if any pose was refined."""
        return Trajectory.collect(self._network) if self._is_refined else None

    def begin(self, modality: str, stamp_ns: int | None, is_damaged: bool) -> None:
        """An image has come; its stamp is None where damage has made it unreadable."""
        if stamp_ns is not None:
            if modality == self._carrier:
                self._stamps.add(stamp_ns)
            else:
                self._partners[stamp_ns] = ""
        if is_damaged:
            self._refuse(modality, stamp_ns, "the message is damaged")

    def note_problem(self, name: str, stamp_ns: int, text: str) -> None:
        """An image of `colour`, `depth` or a further sensor cannot be used."""
        if name not in _OF_NODE:
            self._unused[name] = text
            return
        self._refuse(_OF_NODE[name], stamp_ns, text)

    def _refuse(self, modality: str, stamp_ns: int | None, fault: str) -> None:
        self._counts["invalid"] += 1
        if stamp_ns is None:
            return
        if modality == self._carrier:
            self._outcomes[stamp_ns] = Outcome(INVALID, fault)
        else:
            self._partners[stamp_ns] = fault

    def localize(self, server: LocalizationServer, paired: PairedFrame) -> None:
        """Localize a frame as the node's worker does, and keep what comes of it."""
        started, before_ms = time.perf_counter(), paired.decode_ms
        if self._has_further:
            self._stamps.add(paired.stamp_ns)
        kept = {name: image for name, image in paired.images.items() if name != self._without}
        try:
            paired, estimate = server.estimate(replace(paired, images=kept))
            localized = server.place(paired, estimate)
        except MvlocError as error:
            self._counts["failed"] += 1
            self._outcomes[paired.stamp_ns] = Outcome(FAILED, str(error), skews_s=_skews(paired))
            return
        self._note_times(paired, estimate, before_ms + 1e3 * (time.perf_counter() - started))
        self._note_pose(localized)

    def _note_pose(self, localized: Localized) -> None:
        estimate, placement, stamp_ns = localized.estimate, localized.placement, localized.paired.stamp_ns
        # A rejected frame took its time too, and the network alone would have answered.
        self._network[stamp_ns] = localized.network_T
        found = estimate.details
        self._outcomes[stamp_ns] = Outcome(
            ACCEPTED if localized.accepted else REJECTED,
            localized.rejection,
            localized.remark,
            localized.state.name,
            estimate.score,
            estimate.refined,
            "" if found is None else found.start,
            0 if found is None else found.starts,
            estimate.times.refinement_ms + estimate.times.verification_ms,
            # As in the status, which has them of poses that were published.
            shares_of(list(estimate.further_used), estimate.expert_share) if localized.accepted else {},
            _skews(localized.paired),
        )
        if not localized.accepted or placement.pose is None:
            self._counts["rejected"] += 1
            return
        self.estimates[stamp_ns] = placement.pose.T
        self.covariances[stamp_ns] = placement.pose.covariance
        self._is_refined |= estimate.refined

    def _note_times(self, paired: PairedFrame, estimate: PoseEstimate, total_ms: float) -> None:
        steps = {key.removesuffix("_ms"): ms for key, ms in vars(estimate.times).items()}
        for step, milliseconds in {"decode": paired.decode_ms, **steps, "total": total_ms}.items():
            self.latency_ms.setdefault(step, {})[paired.stamp_ns] = milliseconds

    def drops(self, front: FrontEnd) -> dict[str, int]:
        """What gave no pose, by cause."""
        sides = front.synchronizer.color_counts, front.synchronizer.depth_counts
        unpaired = sum(side.received - side.paired - side.alone for side in sides)
        undecodable = front.counts.undecodable
        return {"unpaired": unpaired, **self._counts, "invalid": self._counts["invalid"] + undecodable}

    def further_notes(self, front: FrontEnd) -> list[str]:
        """What became of the images of further sensors, a sentence each."""
        counts = {} if front.further is None else front.further.counts
        texts = []
        for name, found in counts.items():
            refused, undecodable = front.counts.further_invalid[name], front.counts.further_undecodable[name]
            used = found.paired + found.alone
            why = self._unused.get(name, "")
            texts.append(images_note(name, used, found.received + refused, refused + undecodable, why))
        if front.counts.without_pair:
            texts.append(alone_note(front.counts.without_pair))
        return texts

    def outcomes(self) -> dict[int, Outcome]:
        """Stamp of the frame -> its outcome, for every frame."""
        return {**self._outcomes, **self._unpaired()}

    def _unpaired(self) -> dict[int, Outcome]:
        """The frames that nothing was said of: no partner, and how far away the nearest one is."""
        partners = np.array(sorted(self._partners), dtype=np.int64)
        other = "depth" if self._carrier == "color" else "color"
        result = {}
        for frame in self._stamps - set(self._outcomes):
            reason = f"the recording has no {other} image"
            if len(partners):
                nearest = int(partners[np.argmin(np.abs(partners - frame))])
                away, fault = abs(nearest - frame) / SECOND_NS, self._partners[nearest]
                reason = f"the nearest {other} image is {away:.6f} s away, {self._tolerance_s:g} s are allowed"
                if away <= self._tolerance_s:
                    reason = (
                        f"its {other} image cannot be used: {fault}" if fault else f"its {other} image went elsewhere"
                    )
            result[frame] = Outcome(UNPAIRED, reason)
        return result


def _skews(paired: PairedFrame) -> dict[str, float]:
    """Further sensor -> seconds, of those that the frame has."""
    return {name: 1e-9 * skew_ns for name, skew_ns in paired.further_skew_ns.items()}
