# SPDX-License-Identifier: Apache-2.0
"""Places that a scan fits: found by depth alone, told apart by further images, and spread over the frames."""

from __future__ import annotations

import time

import numpy as np
import pytest
from box_room import looking
from laid_room import STEP, rectangle

from mvloc_ros.geometry import se3
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE
from mvloc_ros.localization.level_scan import CELL_M, DepthScan, ScanHistory
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.scan_map import ScanMap
from mvloc_ros.localization.scan_starts import ScanStarts
from mvloc_ros.localization.scene_map import MapPoints, SceneMap

HEIGHT, PITCH = 0.9, 0.09
# x, y, size in x and in y of what stands in the two rooms, which are alike but for the last.
FURNITURE = [
    (0.5, 0.3, 0.8, 0.5),
    (3.2, 2.4, 0.5, 1.0),
    (8.5, 0.3, 0.8, 0.5),
    (11.2, 2.4, 0.5, 1.0),
    (9.6, 3.0, 1.2, 0.6),
]
WALLS = [(0, 0, 4, 0), (0, 4, 4, 0), (0, 0, 0, 4), (4, 0, 0, 1.5), (4, 2.5, 0, 1.5), (4, 1.5, 4, 0), (4, 2.5, 4, 0)]
WALLS += [(8, 0, 4, 0), (8, 4, 4, 0), (12, 0, 0, 4), (8, 0, 0, 1.5), (8, 2.5, 0, 1.5)]


def surfaces() -> np.ndarray:
    """Two rooms of 4 x 4 m with a corridor between them: points and normals `[N, 6]`."""
    rows = [rectangle((0, 0, 0), (12, 0, 0), (0, 4, 0), (0, 0, 1))]
    rows += [rectangle((x, y, 0), (dx, dy, 0), (0, 0, 2.2), (dy > 0, dx > 0, 0)) for x, y, dx, dy in WALLS]
    for x, y, dx, dy in FURNITURE:
        for side in ((x, y, dx, 0), (x, y + dy, dx, 0), (x, y, 0, dy), (x + dx, y, 0, dy)):
            rows.append(rectangle((side[0], side[1], 0), (side[2], side[3], 0), (0, 0, 1.2), (1, 0, 0)))
    return np.vstack(rows)


SURFACES = surfaces()
TRAINED = np.array([looking(x, 2.0, HEIGHT, 0.7 * n, PITCH) for n, x in enumerate(np.linspace(1.0, 11.0, 60))])


def seen(points: np.ndarray) -> list[DepthScan]:
    """By one sensor, which is the camera."""
    return [DepthScan(points, np.zeros(3))]


def seen_from(T: np.ndarray) -> list[DepthScan]:
    """What a camera sees of the surfaces: 70 x 50 degrees, hidden ones left out."""
    points = (SURFACES[:, :3] - T[:3, 3]) @ T[:3, :3]
    z = points[:, 2]
    ahead = (z > 0.3) & (z < 6.0) & (np.abs(points[:, 0]) < 0.7 * z) & (np.abs(points[:, 1]) < 0.47 * z)
    points = points[ahead]
    # The nearest in each direction, of cells of 2.5 degrees.
    cell = np.rint(points[:, :2] / points[:, 2:] / 0.045).astype(int) @ np.array([1000, 1])
    order = np.lexsort([points[:, 2], cell])
    first = np.concatenate([[True], np.diff(cell[order]) != 0])
    return seen(points[order][first])


@pytest.fixture(scope="module")
def scan_map() -> ScanMap:
    content = MapPoints(SURFACES[:, :3], SURFACES[:, 3:], np.full(len(SURFACES), 100, np.uint8))
    scene_map = SceneMap.from_points(content, np.zeros(CORRECTION_SHAPE, np.float32), 4.0, STEP)
    found = ScanMap.of(scene_map, TRAINED)
    assert found is not None
    return found


def is_near(found: np.ndarray, T: np.ndarray) -> bool:
    return se3.translation_error(found, T) <= 0.3 and np.degrees(se3.rotation_error(found, T)) <= 10.0


def test_a_camera_that_nods_has_no_scan_map(scan_map):
    nodding = np.array([looking(0, 0, 0.9, a, 0.5 * np.sin(5 * a)) for a in np.linspace(0, 6, 50)])
    content = MapPoints(SURFACES[:, :3], SURFACES[:, 3:], np.full(len(SURFACES), 100, np.uint8))
    assert ScanMap.of(SceneMap.from_points(content, scan_map.fine[0, :24, :32] * 0, 4.0, STEP), nodding) is None


def test_the_floor_is_no_obstacle(scan_map):
    assert scan_map.bottom_m == pytest.approx(0.15 - HEIGHT, abs=0.02)
    history = ScanHistory(scan_map.motion, scan_map.bottom_m)
    floor = np.array([[x, HEIGHT - 0.02, z] for x in np.linspace(-1, 1, 20) for z in np.linspace(1, 4, 30)])
    assert history.with_images(seen(floor), 0, None).count == 0


@pytest.mark.parametrize(
    "place", [(10.8, 1.0, 2.2), (9.0, 2.0, 0.6), (5.5, 2.0, 0.0), (2.0, 3.2, -1.2)], ids=["a", "b", "corridor", "c"]
)
def test_the_true_place_is_among_the_best(scan_map, place):
    T = looking(*place[:2], HEIGHT, place[2], PITCH)
    scan = ScanHistory(scan_map.motion, scan_map.bottom_m).with_images(seen_from(T), 0, None)
    found = scan_map.find(scan, 12)
    assert len(found) == 12
    assert any(is_near(one, T) for one in found)
    for one in found:
        assert one[2, 3] == pytest.approx(HEIGHT, abs=1e-3)
        assert se3.is_rigid(one)
    apart = [
        se3.translation_error(a, b) > 0.399 or se3.rotation_error(a, b) > 0.34
        for a in found
        for b in found
        if a is not b
    ]
    assert all(apart)


def test_two_rooms_alike_are_told_apart_by_what_odometry_puts_together(scan_map):
    """Looking at the piece of furniture that both rooms have, and then around at what the right one alone has."""
    history = ScanHistory(scan_map.motion, scan_map.bottom_m)
    drift = looking(-20.0, 7.0, 0.3, 1.0, 0.0)
    for number, yaw in enumerate(np.linspace(-1.4, 1.9, 12)):
        T = looking(10.2 + 0.02 * number, 1.6, HEIGHT, yaw, PITCH)
        scan = history.with_images(seen_from(T), 100_000_000 * number, drift @ T)
    best = scan_map.find(scan, 1)[0]
    assert is_near(best, T)


def test_two_rooms_alike_are_told_apart_by_a_second_camera(scan_map):
    """One frame: the front camera sees the piece of furniture that both rooms have, the rear one what one room has."""
    front = looking(10.2, 1.6, HEIGHT, -1.4, PITCH)
    T_front_rear = se3.from_parts([0.0, 0.0, -0.2], [0.0, 1.0, 0.0, 0.0])
    rear = [scan.moved(T_front_rear) for scan in seen_from(front @ T_front_rear)]

    def best(scans: list[DepthScan]) -> np.ndarray:
        return scan_map.find(ScanHistory(scan_map.motion, scan_map.bottom_m).with_images(scans, 0, None), 1)[0]

    assert not is_near(best(seen_from(front)), front)
    assert is_near(best([*seen_from(front), *rear]), front)


def test_without_odometry_only_the_last_image_counts(scan_map):
    motion, bottom = scan_map.motion, scan_map.bottom_m
    first, second = (looking(9.0, 2.0, HEIGHT, yaw, PITCH) for yaw in (0.0, 2.0))
    history = ScanHistory(motion, bottom)
    history.with_images(seen_from(first), 0, None)
    together = history.with_images(seen_from(second), 100_000_000, None)
    alone = ScanHistory(motion, bottom).with_images(seen_from(second), 0, None)
    assert all(
        np.array_equal(a, b) for a, b in zip(together.hits + together.free, alone.hits + alone.free, strict=True)
    )


def test_cells_that_were_looked_through_lie_before_what_was_seen(scan_map):
    wall = np.array([[x, y, 3.0] for x in np.linspace(-1.5, 1.5, 80) for y in np.linspace(-0.2, 0.2, 5)])
    scan = ScanHistory(scan_map.motion, scan_map.bottom_m).with_images(seen(wall), 0, None)
    assert scan.count > 10
    for hits, free in zip(scan.hits, scan.free, strict=True):
        if len(hits):
            assert free[:, 0].max() < hits[:, 0].min()
            assert np.abs(free[:, 1]).max() <= 1.5 + CELL_M


def test_of_too_little_nothing_is_told(scan_map):
    scan = ScanHistory(scan_map.motion, scan_map.bottom_m).with_images(seen(np.array([[0.0, 0.0, 1.0]])), 0, None)
    assert scan_map.find(scan, 5) == []


def test_one_search_serves_the_frames_that_follow_and_is_carried_along_odometry(scan_map):
    starts, drift = ScanStarts(scan_map), looking(3.0, -4.0, 0.0, 0.4, 0.0)
    T = looking(10.2, 1.6, HEIGHT, 1.2, PITCH)
    soon = time.perf_counter() + 60.0
    first = starts.of(seen_from(T), 0, drift @ T, soon, [], is_expected=False)
    assert [start.name for start in first] == ["scan"] * 3
    moved = looking(10.5, 1.7, HEIGHT, 1.0, PITCH)
    # Too late for another search: these are the next ones of the first.
    past = time.perf_counter() - 1.0
    second = starts.of(seen_from(moved), 100_000_000, drift @ moved, past, [], is_expected=False)
    assert len(second) == 3
    expected = scan_map.find(ScanHistory(scan_map.motion, scan_map.bottom_m).with_images(seen_from(T), 0, None), 6)
    for start, then in zip([*first, *second], expected, strict=True):
        now = then if start in first else then @ se3.inverse(T) @ moved
        assert pytest.approx(now, abs=1e-6) == start.T


def test_what_is_tried_anyway_is_left_out_and_an_expected_camera_is_looked_for_seldom(scan_map):
    T = looking(10.2, 1.6, HEIGHT, 1.2, PITCH)
    soon = time.perf_counter() + 60.0
    all_of = ScanStarts(scan_map).of(seen_from(T), 0, T, soon, [], is_expected=False)
    known = Pose(0, all_of[0].T, np.eye(6))
    without = ScanStarts(scan_map).of(seen_from(T), 0, T, soon, [known], is_expected=False)
    assert not any(np.allclose(start.T, known.T) for start in without)
    starts = ScanStarts(scan_map)
    counts = [
        len(starts.of(seen_from(T), 6_000_000_000 + 100_000_000 * n, T, soon, [], is_expected=True)) for n in range(70)
    ]
    assert counts[:12] == [1] * 12
    assert sum(counts[:50]) == 12, "no second search within five seconds"
    assert counts[50] == 1


def test_what_was_seen_before_odometry_jumped_is_forgotten(scan_map):
    """Its origin is reset; put together with what was seen before, no place would fit."""
    starts, soon = ScanStarts(scan_map), time.perf_counter() + 60.0
    before, T = looking(2.0, 3.2, HEIGHT, -1.2, PITCH), looking(10.2, 1.6, HEIGHT, 1.2, PITCH)
    starts.of(seen_from(before), 0, before, soon, [], is_expected=False)
    reset = looking(-40.0, 25.0, 0.0, 2.0, 0.0) @ T
    found = starts.of(seen_from(T), 100_000_000, reset, soon, [], is_expected=False)
    alone = ScanStarts(scan_map).of(seen_from(T), 100_000_000, reset, soon, [], is_expected=False)
    assert [one.T.tolist() for one in found] == [one.T.tolist() for one in alone]


def test_a_drive_is_no_jump_and_a_long_way_without_images_neither(scan_map):
    history = ScanHistory(scan_map.motion, scan_map.bottom_m)
    first, then = (looking(x, 2.0, HEIGHT, yaw, PITCH) for x, yaw in ((2.0, 0.0), (3.0, 0.5)))
    assert not history.has_jumped(0, first)
    history.with_images(seen_from(first), 0, first)
    assert not history.has_jumped(200_000_000, then)
    assert not history.has_jumped(10_000_000_000, looking(30.0, 2.0, HEIGHT, 3.0, PITCH))
    assert not history.has_jumped(200_000_000, None)
    assert history.has_jumped(200_000_000, looking(30.0, 2.0, HEIGHT, 0.5, PITCH))


def test_a_search_that_would_take_until_after_the_deadline_is_not_begun(scan_map):
    T = looking(10.2, 1.6, HEIGHT, 1.2, PITCH)
    starts = ScanStarts(scan_map, search_s=0.2)
    late = time.perf_counter() + 0.1
    assert starts.of(seen_from(T), 0, T, late, [], is_expected=False) == []
