# SPDX-License-Identifier: Apache-2.0
"""Messages in, frames, and for each frame a pose with its verdict: the one path that the node and the replay share.

The node gives it the messages of its subscriptions in the executor's thread and its frames in the workers'; the replay
reads a recording and does both in one thread. A frame is seen and then judged (see `Localizer`), and the node does that
with two frames beside each other. What differs between the two is passed in: the clock, the robot's
transforms, and where transforms are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from mvloc_ros.frontend.camera_infos import CameraInfos
from mvloc_ros.frontend.front_end import FrontEnd, FrontEndOptions, PairedFrame
from mvloc_ros.frontend.image_reader import ImageReader
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.stamp_guard import StampGuard
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.geometry.transform_lookup import TransformLookup
from mvloc_ros.localization.estimate import PoseEstimate
from mvloc_ros.localization.localizer import Localizer, Seen
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.model.frame import Frame
from mvloc_ros.model.manifest import Manifest
from mvloc_ros.parameters.sensor_topics import read_sensor_topics
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.robot_tracking import RobotTracking, TransformOutput


@dataclass(frozen=True)
class Surroundings:
    """What a server has around it.

    Attributes:
        now_ns: the time that stamps are compared with, in nanoseconds; 0 where it is not known yet.
        steady_ns: a clock that never jumps, in nanoseconds.
        transforms: the robot's; None where nothing needs them.
        sends: takes the transforms for TF.
        watch: has seen all transforms of others.
        log: told what is wrong with the input.
    """

    now_ns: Callable[[], int]
    transforms: TransformLookup | None
    sends: TransformOutput
    watch: TransformWatch
    log: InputLog
    steady_ns: Callable[[], int] = time.monotonic_ns


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """A frame between the network and the map.

    Attributes:
        paired: the frame with all that is known of it by now.
        localizer: that saw it and is to judge it.
        frame: its images; None where they could not be read.
        seen: what the network says, or why there is nothing to judge.
    """

    paired: PairedFrame
    localizer: Localizer
    frame: Frame | None
    seen: Seen | Exception


class LocalizationServer:
    """Lives as long as one activation of the node, or one recording.

    Attributes:
        localizer: of the frames; may be replaced between two of them.
        front: images in, frames out.
        reader: how messages become images.
        tracking: the accepted pose, as the robot's.
        stamps: watches stamps and clock.
        infos: takes the camera_info messages.
        sensor_topics: further sensor -> topic, of those that have one.
        on_read: told each frame whose images could be read, before it is judged.
    """

    def __init__(
        self,
        values: NodeParameters,
        localizer: Localizer,
        manifest: Callable[[], Manifest],
        around: Surroundings,
        on_frame: Callable[[PairedFrame], None],
        on_problem: Callable[[str, int, str], None],
    ) -> None:
        """Start with nothing seen.

        Args:
            values: the parameters.
            localizer: of the frames.
            manifest: of the model that runs; another model's after an exchange.
            around: see `Surroundings`.
            on_frame: gets each frame, for `estimate`.
            on_problem: called with `colour`, `depth` or a sensor's name, the stamp, and a sentence about an image that
                is not used.
        """
        self.localizer, self._around, self._log = localizer, around, around.log
        self.on_read: Callable[[Frame], object] = lambda _frame: None
        self.stamps = StampGuard(around.now_ns, values.future_tolerance, self._forget_the_past, around.steady_ns)
        self._tracker = Tracker(values.gate_limits, values.refinement.unverified_after_s)
        self.tracking = RobotTracking(
            values,
            self._tracker,
            values.map_frame or manifest().frames.map,
            around.transforms if values.needs_tf else None,
            around.sends,
            self.stamps.is_from_before,
            around.log,
            around.watch,
        )
        self.reader = ImageReader(values, manifest, around.transforms)
        sensors = [item.sensor.name for item in manifest().sensors]
        self.sensor_topics = read_sensor_topics(values.sensor_topics, sensors, "that runs")
        self.front = FrontEnd(
            FrontEndOptions(
                manifest().frames.pose_of,
                round(1e9 * values.pair_tolerance),
                values.image_queue_size,
                values.single_modality_wait,
                values.camera_frame,
            ),
            self.reader.read_color,
            self.reader.read_depth,
            self.stamps.check,
            lambda paired: on_frame(replace(paired, era=self.tracking.era)),
            on_problem,
            {name: partial(self.reader.read_further, name) for name in self.sensor_topics},
        )
        self.infos = CameraInfos(self.reader, values.rescale_input, around.log, self.front.note_frame_id)

    @property
    def refines(self) -> bool:
        """Whether judging a frame takes long, as there is a map."""
        return self.localizer.refines

    def see(self, paired: PairedFrame) -> SeenFrame:
        """Read a frame and run the network on it; `judge` is to follow, and says what could not be done."""
        localizer, frame = self.localizer, None
        try:
            frame, paired = self.front.read(paired)
            return SeenFrame(paired, localizer, frame, localizer.see(frame))
        except Exception as error:  # whatever it is, it is told in the order of the frames
            return SeenFrame(paired, localizer, frame, error)

    def judge(self, seen: SeenFrame) -> PoseEstimate:
        """Refine and verify a frame's pose by the frames before it; where the pose counts, `place` is to follow.

        Raises:
            FrameError, DecodeError: the frame gives no pose.
        """
        if seen.frame is not None:
            self.on_read(seen.frame)
        if isinstance(seen.seen, Exception):
            raise seen.seen
        self.tracking.require_of_now(seen.paired.stamp_ns, seen.paired.era)
        return seen.localizer.judge(seen.seen, self._tracker, self.tracking.odometry_of)

    def estimate(self, paired: PairedFrame) -> tuple[PairedFrame, PoseEstimate]:
        """Read and localize a frame: `see` and `judge`. Raises as `judge`."""
        seen = self.see(paired)
        return seen.paired, self.judge(seen)

    def place(self, paired: PairedFrame, estimate: PoseEstimate) -> Localized:
        """Accept or reject a pose and tell TF if it is accepted. Raises as `RobotTracking.place`."""
        return Localized(paired, estimate, self.tracking.place(estimate, paired.frame_id, paired.era))

    def _forget_the_past(self, what: str) -> None:
        """After a jump back: accepted poses, transforms and waiting images are of another time."""
        self._log.warn("jumps back", f"{what}: forgetting the poses, transforms and images from before")
        self.front.reset()
        if self._around.transforms is not None:
            self._around.transforms.forget()
        self.tracking.forget()
