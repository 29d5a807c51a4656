# SPDX-License-Identifier: Apache-2.0
"""A depth camera that hangs, and what looks like one and is none."""

from __future__ import annotations

import numpy as np
import pytest

from mvloc_ros.geometry import se3
from mvloc_ros.localization.frozen_depth import HANGS_NS, TOLERATED_NS, DepthAge, FrozenDepth
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.motion import Distance
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Fix, Tracker

PERIOD_NS = 33_333_333
RNG = np.random.default_rng(0)
WALL = RNG.integers(30, 220, (12, 16)).repeat(10, axis=0).repeat(40, axis=1).astype(np.float64)


def color(column: float = 0.0, noise: float = 2.0, brighter: float = 0.0) -> np.ndarray:
    """What a camera sees of a painted wall, turned by some of 160 columns."""
    first = 200 + round(column)
    grey = WALL[:, first : first + 160] + brighter + noise * RNG.standard_normal((120, 160))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def depth(noise: float = 0.003) -> np.ndarray:
    return (2.0 + noise * RNG.standard_normal((120, 160))).astype(np.float32)


class Frozen(FrozenDepth):
    """With the words alone, of a camera whose motion nobody knows."""

    def fault_of(self, stamp_ns: int, color: np.ndarray | None, depth: np.ndarray | None) -> str:
        return self.age_of(stamp_ns, color, depth, lambda _: None).fault


@pytest.fixture
def frozen() -> Frozen:
    return Frozen()


def test_depth_that_hangs_while_the_camera_turns_is_told_from_a_single_repetition(frozen):
    hanging = depth()
    words = [frozen.fault_of(i * PERIOD_NS, color(3.0 * i), hanging) for i in range(20)]
    assert words[0] == ""
    assert all("to the last bit" in text for text in words[1:])
    assert ["hangs" in text for text in words] == [i * PERIOD_NS >= HANGS_NS for i in range(20)]
    assert frozen.fault_of(20 * PERIOD_NS, color(60.0), depth()) == "", "it works again"


def test_depth_that_hung_while_the_camera_stood_is_found_when_it_turns_however_slowly(frozen):
    hanging = depth()
    still = [frozen.fault_of(i * PERIOD_NS, color(), hanging) for i in range(30)]
    assert still == [""] * 30
    turning = [frozen.fault_of((30 + i) * PERIOD_NS, color(0.1 * i), hanging) for i in range(100)]
    assert turning[0] == ""
    assert all("hangs" in text for text in turning[60:])


@pytest.mark.parametrize("noise", [0.0, 2.0, 10.0])
def test_a_simulated_camera_that_stands_still_is_none(frozen, noise):
    """Depth without noise is the same to the last bit; colour has noise, and a lamp grows brighter."""
    scene = depth()
    assert not any(frozen.fault_of(i * PERIOD_NS, color(0.0, noise, 0.2 * i), scene) for i in range(100))


def test_a_real_camera_that_stands_still_is_none_whatever_moves_in_its_colour_image(frozen):
    """One pixel of 19,200 that was measured again is enough."""
    scene = depth()
    for i in range(30):
        scene = scene.copy()
        scene[60, 80] += 0.001
        assert frozen.fault_of(i * PERIOD_NS, color(5.0 * i), scene) == ""


def test_invalid_pixels_count_as_equal_and_a_missing_image_as_nothing(frozen):
    hanging = depth()
    hanging[:20] = np.nan
    assert frozen.fault_of(0, None, hanging) == ""
    assert frozen.fault_of(1, None, hanging.copy()) == ""
    assert frozen.fault_of(2, color(), None) == ""
    assert frozen.fault_of(3, color(), hanging.copy()) == "", "the first colour image beside it"
    assert "to the last bit" in frozen.fault_of(4, color(20.0), hanging.copy())


def ages(motion: Distance | None, period_ns: int, repetitions: int) -> list[DepthAge]:
    """Of a camera that turns, and whose depth image comes so many times more."""
    frozen, repeated = FrozenDepth(), depth()
    return [frozen.age_of(i * period_ns, color(3.0 * i), repeated, lambda _: motion) for i in range(1 + repetitions)]


def test_one_repetition_within_two_frame_periods_and_little_motion_is_tolerated_and_no_second():
    little = Distance(0.015, np.radians(1.5))
    new, once, twice, thrice = ages(little, PERIOD_NS, 3)
    assert (new.fault, new.moved) == ("", None)
    assert (once.fault, once.moved) == ("", little), "the motion that its covariance has to state"
    assert "to the last bit for 0.07 s" in twice.fault
    assert "to the last bit for 0.10 s" in thrice.fault
    assert ages(little, TOLERATED_NS, 1)[1].moved == little


@pytest.mark.parametrize(
    ("motion", "period_ns"),
    [
        (None, PERIOD_NS),
        (Distance(0.025, 0.0), PERIOD_NS),
        (Distance(0.0, np.radians(2.5)), PERIOD_NS),
        (Distance(0.001, 0.001), TOLERATED_NS + 1_000_000),
    ],
)
def test_a_repetition_is_rejected_where_motion_is_unknown_or_large_or_the_image_old(motion, period_ns):
    age = ages(motion, period_ns, 1)[1]
    assert "to the last bit" in age.fault
    assert age.moved is None


def test_a_driver_at_half_the_rate_of_colour_is_tolerated_throughout():
    frozen, little = FrozenDepth(), Distance(0.01, 0.01)
    for i in range(20):
        image = depth()
        assert frozen.age_of(2 * i * PERIOD_NS, color(6.0 * i), image, lambda _: little) == DepthAge()
        age = frozen.age_of((2 * i + 1) * PERIOD_NS, color(6.0 * i + 3.0), image, lambda _: little)
        assert age == DepthAge(moved=little)


def along(x: float) -> np.ndarray:
    return se3.from_parts([x, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0])


def test_motion_since_a_stamp_is_by_odometry_or_as_fast_as_the_last_poses():
    tracker = Tracker(GateLimits(enabled=False))

    def accept(stamp_ns: int, x: float, T_odom_camera: np.ndarray | None = None, *, is_repeated: bool = False) -> None:
        pose = Pose(stamp_ns, along(x), 1e-4 * np.eye(6))
        assert tracker.update(Fix(pose, T_odom_camera, is_repeated=is_repeated)).accepted

    accept(0, 0.0, along(5.0))
    assert tracker.moved_since(0, PERIOD_NS, None) is None, "one pose has no speed"
    # By odometry: the distance, and what it may be wrong by.
    assert tracker.moved_since(0, PERIOD_NS, along(5.01)).metres == pytest.approx(0.01 * 1.05 + 0.02 * 1e-9 * PERIOD_NS)
    accept(PERIOD_NS, 0.01)
    came = tracker.moved_since(PERIOD_NS, 3 * PERIOD_NS, along(9.0))
    assert (came.metres, came.radians) == pytest.approx((0.02, 0.0))
    assert tracker.moved_since(0, PERIOD_NS, None) is None, "not the last accepted pose"
    accept(2 * PERIOD_NS, 0.5, is_repeated=True)  # of a moment whose pose is the accepted one already
    assert tracker.moved_since(PERIOD_NS, 3 * PERIOD_NS, None).metres == pytest.approx(0.02)
    accept(10 * PERIOD_NS, 0.02)
    assert tracker.moved_since(10 * PERIOD_NS, 11 * PERIOD_NS, None) is None, "0.3 s before tells no speed"
    tracker.forget()
    assert tracker.moved_since(10 * PERIOD_NS, 11 * PERIOD_NS, None) is None
