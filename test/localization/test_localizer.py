# SPDX-License-Identifier: Apache-2.0
"""The localizer: what it gives the network, what it makes of the answer, and what it refuses."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wall_map import textured, with_wall

from mvloc_ros.backends.backend import NetworkOutput
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.geometry import se3
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.scan_map import ScanMap
from mvloc_ros.localization.scan_starts import ScanStarts
from mvloc_ros.localization.tracker import Tracker
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame, FrameError

COLOR = ColorImage(np.full((48, 64, 3), 51, np.uint8), "rgb")
DEPTH = DepthImage(np.full((48, 64), 1500, np.uint16), 0.001)


@pytest.fixture
def localizer(tiny_bundle: Path) -> Localizer:
    bundle = read_bundle(tiny_bundle)
    return Localizer(bundle, create_backend("onnxruntime", bundle, threads=1))


def frame(color: ColorImage | None = COLOR, depth: DepthImage | None = DEPTH) -> Frame:
    return Frame(1_000, "camera", color, depth)


def test_pose_is_in_metres_in_the_map(localizer: Localizer):
    estimate = localizer.process(frame())
    np.testing.assert_allclose(estimate.pose.T[:3, 3], [10.4, 23.0, 32.0], atol=1e-6)
    np.testing.assert_allclose(estimate.pose.T[:3, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.diag(estimate.pose.covariance), [0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
    assert (estimate.pose.stamp_ns, estimate.color_used, estimate.depth_used, estimate.remark) == (
        1_000,
        True,
        True,
        "",
    )
    assert sum(estimate.expert_share) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "depth",
    [
        None,
        DepthImage(np.zeros((48, 64), np.uint16), 0.001),
        DepthImage(np.full((48, 64), np.nan, np.float32), 1.0),
        DepthImage(np.full((48, 64), 65535, np.uint16), 0.001),
        DepthImage(np.full((48, 64), 1500.0, np.float32), 1.0),  # millimetres where metres are due
    ],
)
def test_depth_without_content_drops_its_expert_and_says_so(localizer: Localizer, depth):
    estimate = localizer.process(frame(depth=depth))
    np.testing.assert_allclose(estimate.pose.T[:3, 3], [10.4, 20.0, 32.0], atol=1e-6)
    assert not estimate.depth_used
    assert "depth" in estimate.remark


def test_depth_alone_drops_colour(localizer: Localizer):
    estimate = localizer.process(frame(color=None))
    np.testing.assert_allclose(estimate.pose.T[:3, 3], [10.0, 23.0, 30.0], atol=1e-6)
    assert (estimate.color_used, estimate.depth_used, estimate.remark) == (False, True, "no colour image")


def test_covariance_grows_with_one_modality(localizer: Localizer, tiny_bundle: Path):
    both = np.array([0.01, 0.02, 0.03, 0.001, 0.002, 0.003])
    np.testing.assert_allclose(np.diag(localizer.process(frame(depth=None)).pose.covariance), 9.0 * both)
    np.testing.assert_allclose(np.diag(localizer.process(frame(color=None)).pose.covariance), 9.0 * both)
    bundle = read_bundle(tiny_bundle)
    measured = replace(bundle.manifest, residual_variance_depth_only=(0.5, 0.001, 0.5, 0.5, 0.5, 0.5))
    informed = Localizer(replace(bundle, manifest=measured), create_backend("onnxruntime", bundle, threads=1))
    np.testing.assert_allclose(np.diag(informed.process(frame(depth=None)).pose.covariance), 9.0 * both)
    alone = np.diag(informed.process(frame(color=None)).pose.covariance)
    np.testing.assert_allclose(alone, [0.5, 0.02, 0.5, 0.5, 0.5, 0.5])  # never less than with both
    np.testing.assert_allclose(np.diag(informed.process(frame()).pose.covariance), both)


def test_nothing_to_localize_from_is_refused(localizer: Localizer):
    with pytest.raises(FrameError, match=r"no colour image, and no depth image\."):
        localizer.process(frame(None, None))


def test_an_image_of_another_shape_is_refused(localizer: Localizer):
    wide = ColorImage(np.zeros((36, 64, 3), np.uint8), "rgb")
    with pytest.raises(FrameError, match=r"64x36.*16:12"):
        localizer.process(frame(color=wide))
    empty = DepthImage(np.zeros((0, 64), np.uint16), 0.001)
    with pytest.raises(FrameError, match="empty"):
        localizer.process(frame(depth=empty))


def test_a_model_that_ignores_what_there_is_does_not_answer(tiny_bundle: Path):
    class ColourOnly:
        description = "a network that does not look at depth"

        def run(self, color: object, depth: object, present: np.ndarray, *_: object) -> NetworkOutput:
            share = np.array([1.0, 0.0, 0.0] if present[0] == 0 else [0.2, 0.8, 0.0], np.float32)
            return NetworkOutput(*[np.zeros(3, np.float32)] * 4, share)

        def close(self) -> None:
            """Nothing to release."""

    localizer = Localizer(read_bundle(tiny_bundle), ColourOnly())
    assert localizer.process(frame()).expert_share == pytest.approx((0.2, 0.8, 0.0))
    with pytest.raises(FrameError, match="no colour image"):
        localizer.process(frame(color=None))


def test_an_answer_that_is_no_number_is_refused(tiny_bundle: Path):
    class Broken:
        description = "a network whose weights are NaN"

        def run(self, *_: object) -> NetworkOutput:
            nan = np.full(3, np.nan, np.float32)
            return NetworkOutput(nan, nan, nan, nan, np.array([0.2, 0.4, 0.4], np.float32))

        def close(self) -> None:
            """Nothing to release."""

    with pytest.raises(FrameError, match="not a number"):
        Localizer(read_bundle(tiny_bundle), Broken()).process(frame())


@pytest.mark.parametrize(("seconds", "runs"), [([0.03, 0.03], 2), ([0.12, 0.03, 0.03], 3), ([0.4, 0.2, 0.1, 0.05], 4)])
def test_warm_up_runs_the_network_until_it_gets_no_faster(tiny_bundle: Path, seconds: list[float], runs: int):
    bundle = read_bundle(tiny_bundle)
    network = create_backend("onnxruntime", bundle, threads=1)
    took = []

    class Slow:
        description = "the network, and a wait before each answer"

        def run(self, *images: np.ndarray) -> NetworkOutput:
            time.sleep(seconds[len(took)])
            took.append(seconds[len(took)])
            return network.run(*images)

        def close(self) -> None:
            network.close()

    assert Localizer(bundle, Slow()).warm_up() >= 1e3 * seconds[-1]
    assert len(took) == runs


def test_scans_are_put_together_since_a_pose_was_accepted_or_the_search_began(tiny_bundle: Path, tmp_path: Path):
    bundle = read_bundle(with_wall(Path(shutil.copytree(tiny_bundle, tmp_path / "wall"))))
    options = RefinementOptions(mode="required", budget_ms=1e6)
    localizer = Localizer(bundle, create_backend("onnxruntime", bundle, threads=1), options)
    turning = np.array([se3.from_parts([0, 0, 0], [0, np.sin(a), 0, np.cos(a)]) for a in np.linspace(0.0, 1.0, 20)])
    assert localizer.scene_map is not None
    scan_map = ScanMap.of(localizer.scene_map, turning)
    assert scan_map is not None
    localizer._scan_starts = Forgets(scan_map)
    tracker, forgotten = Tracker(GateLimits(initial_fixes=2)), []
    # Off the wall, there, accepted by the second, off it again: rejected.
    for number, millimetres in enumerate((2500, 2500, 1500, 1500, 2500, 2500, 2500)):
        depth = DepthImage(np.full((48, 64), millimetres, np.uint16), 0.001)
        seen = Frame(100_000_000 * number, "camera", ColorImage(textured(), "rgb"), depth)
        localizer.follow(seen, tracker)
        forgotten.append(localizer._scan_starts.times)
        localizer._scan_starts.times = 0
    assert forgotten == [1, 0, 0, 0, 1, 0, 0]


class Forgets(ScanStarts):
    """How often what was seen is forgotten."""

    times = 0

    def forget(self) -> None:
        super().forget()
        self.times += 1
