# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the inputs, in words: topics, QoS, stamps, losses, cameras, transforms."""

from __future__ import annotations

import time

from rclpy.node import Node

from mvloc_ros.frontend.camera_check import differences, size_differences
from mvloc_ros.frontend.depth_check import depth_problem, statistics_of, unit_text
from mvloc_ros.frontend.extrinsic_check import extrinsic_problem
from mvloc_ros.frontend.single_modality import COLOR
from mvloc_ros.limits import MOST_NAMED
from mvloc_ros.model.manifest import InputSpec, Manifest
from mvloc_ros.model.modalities import SensorInput
from mvloc_ros.node.lasting_problems import Level, Problem
from mvloc_ros.node.odometry import RobotTransforms
from mvloc_ros.node.topic_monitor import TopicMonitor
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.server import LocalizationServer

_LOSS = 0.05
"""Share of lost images in a check from which on it is worth a word."""
_OLD_S = 60.0
"""No camera and no link delays an image by this much."""


_MODALITIES = {"colour": "color"}
"""Name of a monitor -> the modality, where they differ."""


class Watchdog:
    """Looks at the inputs every second or so; the findings last until the next look."""

    def __init__(
        self,
        node: Node,
        values: NodeParameters,
        server: LocalizationServer,
        monitors: list[TopicMonitor],
        transforms: RobotTransforms | None = None,
    ) -> None:
        """Take what there is to look at: the monitors are those of colour, depth and further sensors, in this order."""
        self._transforms = transforms
        self._node, self._values = node, values
        self._front, self._reader = server.front, server.reader
        self._monitors, self._pair, self._further = monitors, monitors[:2], monitors[2:]
        self._joined = {monitor.name: (0, time.monotonic()) for monitor in self._further}
        self._started = time.monotonic()
        self._seen = {monitor.name: (0, 0) for monitor in monitors}
        self._losing = {monitor.name: 0 for monitor in monitors}
        self._losses: list[Problem] = []
        self.findings: list[Problem] = []
        self._causes: dict[str, str] = {}
        self.depth_text = ""
        """Unit and median of the last depth image, in words; empty before the first."""

    def look(self, manifest: Manifest, now: float) -> list[Problem]:
        """All that is wrong at `now` (monotonic s)."""
        self._causes = {}
        silent = [finding for monitor in self._pair for finding in self._silence(monitor, now)]
        found = silent if silent else self._gap(now)
        sensors = {item.sensor.name: item for item in manifest.sensors}
        for monitor in self._further:
            if monitor.name in sensors:
                found += self._sensor(monitor, sensors[monitor.name], now)
        for monitor in self._monitors:
            found += self._camera(monitor, manifest, now)
            found += self._age(monitor)
        found += self._depth(manifest)
        found += self._losses
        if self._reader.cloud_problem:
            found.append(Problem("transforms", "clouds without a transform", Level.WARN, self._reader.cloud_problem))
        if self._transforms is not None:
            texts = [*self._transforms.unheard(), *self._transforms.watch.problems()][:MOST_NAMED]
            found += [Problem("transforms", f"transforms ({n})", Level.WARN, text) for n, text in enumerate(texts, 1)]
        self.findings = found
        return found

    def explain_missing(self, modality: str) -> str:
        """Why no images of a modality can come, as the last look found; empty where nothing hinders them."""
        return self._causes.get("colour" if modality == COLOR else modality, "")

    def _silence(self, monitor: TopicMonitor, now: float) -> list[Problem]:
        if now - (monitor.last_arrival or self._started) <= self._values.starvation_timeout:
            return []
        cause = self._causes[monitor.name] = monitor.hindrance(self._node)
        text = cause or monitor.silence(self._node, now)
        # The others go on without a further sensor.
        level = Level.ERROR if monitor in self._pair else Level.WARN
        return [Problem(monitor.name, f"no {monitor.name} images", level, text)]

    def _sensor(self, monitor: TopicMonitor, item: SensorInput, now: float) -> list[Problem]:
        """What is wrong with a further sensor, besides its camera."""
        name, sensor = monitor.name, item.sensor
        if silent := self._silence(monitor, now):
            return silent
        found = self._unjoined(name, now)
        if self._transforms is not None:
            frames = self._front.frames.get("color", ""), self._front.frames.get(name, "")
            text = extrinsic_problem(sensor, *frames, self._transforms, monitor.last_stamp_ns)
            found += [Problem(name, f"{name} sits elsewhere", Level.WARN, text)] if text else []
        image = self._reader.further_depths.get(name)
        if image is not None and sensor.depth_min_m is not None and sensor.depth_max_m is not None:
            limits = InputSpec(item.height, item.width, sensor.depth_min_m, sensor.depth_max_m)
            depth = depth_problem(statistics_of([image], limits), image.metres_per_unit, limits, "the driver's unit")
            found += [Problem(name, f"{name} out of range", Level.WARN, f"{name}: {depth}")] if depth else []
        return found

    def _unjoined(self, name: str, now: float) -> list[Problem]:
        """A sensor comes; is it in frames?"""
        assert self._front.further is not None
        counts = self._front.further.counts[name]
        used, (before, since) = counts.paired + counts.alone, self._joined[name]
        if used != before:
            self._joined[name] = used, now
            return []
        miss_ns = self._front.further.smallest_miss_ns(name)
        if miss_ns is None or now - since <= self._values.starvation_timeout:
            return []
        text = (
            f"{name} images come, but their stamps are at least {miss_ns * 1e-6:.1f} ms from those of the frames, more "
            f"than pair_tolerance ({1e3 * self._values.pair_tolerance:g} ms); set it above that, or synchronise the "
            "cameras"
        )
        return [Problem("synchronization", f"{name} images fit no frame", Level.WARN, text)]

    def _gap(self, now: float) -> list[Problem]:
        """Both topics come; do they pair?"""
        miss_ns = self._front.synchronizer.smallest_miss_ns
        alone = now - (self._front.last_pair_s or self._started) > self._values.starvation_timeout
        if not alone or miss_ns is None:
            return []
        text = (
            f"colour and depth both come, but their stamps are at least {miss_ns * 1e-6:.1f} ms apart, more than "
            f"pair_tolerance ({1e3 * self._values.pair_tolerance:g} ms); set it above that, or synchronise the cameras"
        )
        return [Problem("synchronization", "no pairs of images", Level.ERROR, text)]

    def check_losses(self) -> None:
        """Look at what was lost since the last call; to be called once a second."""
        self._losses = [finding for monitor in self._monitors for finding in self._lost(monitor)]

    def _lost(self, monitor: TopicMonitor) -> list[Problem]:
        """Losses that last for two looks: a camera that halves its rate shows as a loss once."""
        received, lost = self._seen[monitor.name]
        self._seen[monitor.name] = monitor.received, monitor.gaps.lost
        came, missing = monitor.received - received, monitor.gaps.lost - lost
        self._losing[monitor.name] = self._losing[monitor.name] + 1 if missing > _LOSS * (came + missing) else 0
        if self._losing[monitor.name] < 2:
            return []
        text = (
            f"{missing} of {came + missing} {monitor.name} images of the last second never came on {monitor.topic}, by "
            "the gaps between the stamps: lost in transport (`mvloc doctor` says what the middleware needs; Fast DDS "
            "the profile config/fastdds.xml for driver and node) or never taken"
        )
        return [Problem(monitor.name, f"{monitor.name} images lost", Level.WARN, text)]

    def _age(self, monitor: TopicMonitor) -> list[Problem]:
        """Stamps far behind the clock: recordings have them, and cameras whose clock is another one."""
        now_ns = int(self._node.get_clock().now().nanoseconds)
        age_s = 1e-9 * (now_ns - monitor.last_stamp_ns)
        silent = time.monotonic() - (monitor.last_arrival or 0.0) > self._values.starvation_timeout
        if silent or not monitor.last_stamp_ns or age_s < _OLD_S:
            return []
        text = (
            f"the {monitor.name} images are stamped {1e-9 * monitor.last_stamp_ns:.0f} s, this node's clock is at "
            f"{1e-9 * now_ns:.0f} s ({age_s:.0f} s later): stamps of a recording or of another clock, which do not fit "
            "transforms of now; synchronise the clocks, or set use_sim_time for a recording or simulation"
        )
        return [Problem(monitor.name, f"{monitor.name} stamps of another clock", Level.WARN, text)]

    def _camera(self, monitor: TopicMonitor, manifest: Manifest, now: float) -> list[Problem]:
        if monitor.name == "depth" and self._values.depth_source == "cloud":
            return []
        modality = _MODALITIES.get(monitor.name, monitor.name)
        inputs = {item.name: item for item in manifest.inputs}
        if modality not in inputs:
            return []
        reader = self._reader
        models = {"color": reader.color_model, "depth": reader.depth_model, **reader.further_models}
        cameras = {"color": manifest.color_camera, "depth": manifest.depth_camera}
        cameras |= {item.sensor.name: item.sensor.camera for item in manifest.sensors}
        model, trained = models.get(modality), cameras[modality]
        problem = self._reader.info_problems.get(monitor.name)
        unusable = (
            [Problem(monitor.name, f"{monitor.name} camera_info unusable", Level.WARN, problem)] if problem else []
        )
        if model is None:
            if unusable:
                return unusable
            waited = monitor.last_arrival is not None and now - self._started > self._values.starvation_timeout
            return [self._without_info(monitor.name)] if waited else []
        texts = differences(monitor.name, model, trained, inputs[modality], self._values.rescale_input)
        texts += [] if monitor.size is None else size_differences(monitor.name, monitor.size, model)
        return unusable + [
            Problem(monitor.name, f"{monitor.name} camera differs ({n})", Level.WARN, text)
            for n, text in enumerate(texts, start=1)
        ]

    def _depth(self, manifest: Manifest) -> list[Problem]:
        """Whether most of the last image's depth is out of range; notes its unit and how far it is."""
        image = self._reader.last_depth
        if image is None:
            return []
        found = statistics_of([image], manifest.input)
        # The projection of a cloud is in metres whatever the cloud is in.
        is_cloud = self._values.depth_source == "cloud"
        unit_m = (self._values.depth_unit_m or 1.0) if is_cloud else image.metres_per_unit
        self.depth_text = f"{unit_text(unit_m, self._values.depth_unit_m, 'depth_unit_m')}, {found.text()}"
        problem = depth_problem(found, unit_m, manifest.input, "depth_unit_m")
        return [Problem("depth", "depth out of range", Level.WARN, problem)] if problem else []

    @staticmethod
    def _without_info(name: str) -> Problem:
        side = {**_MODALITIES, "depth": "depth"}.get(name)
        remedy = f"{side}/camera_info can be remapped" if side else "it is looked for beside the image topic"
        text = f"no camera_info of the {name} images comes: they are taken for those of the training camera ({remedy})"
        return Problem(name, f"no {name} camera_info", Level.OK, text)
