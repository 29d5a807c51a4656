# SPDX-License-Identifier: Apache-2.0
"""What a view covers, in a square room that the test lays itself."""

from __future__ import annotations

import numpy as np
import pytest
from box_room import looking

from mvloc_ros.learn.report.coverage import HEADINGS_DEG, Coverage, ViewPoints, covered
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.grid_cells import Cell, Frame2D, Grid
from mvloc_ros.recordings.held_out_blocks import REACH_M

EDGE, CELLS = 0.1, 40


def square(view: np.ndarray, wall_x: float | None = None) -> Coverage:
    """A free room from 0 to 4 m with one view, and a wall along y that begins at an x."""
    frame = Frame2D((0, 0), (CELLS, CELLS), EDGE)
    cells = np.full(frame.shape, Cell.FREE, np.uint8)
    opaque = np.zeros(frame.shape, bool)
    if wall_x is not None:
        opaque[:, round(wall_x / EDGE)] = True
        cells[opaque] = Cell.OCCUPIED
    grid = Grid(cells, frame, 0, 0, 1)
    return covered(grid, ViewPoints.of(view[None], opaque, frame))


def centres(found: Coverage) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.indices(found.free.shape)
    return 0.2 * (columns + 0.5), 0.2 * (rows + 0.5)


def test_one_view_covers_a_disc_and_three_of_twelve_headings():
    found = square(looking(2.0, 2.0, 1.0, 0.0, 0.1))
    x, y = centres(found)
    disc = np.hypot(x - 2.0, y - 2.0) <= 0.75
    assert found.free.all()
    assert found.area_m2 == pytest.approx(16.0)
    for index, heading in enumerate(HEADINGS_DEG):
        expected = disc if heading in (330.0, 0.0, 30.0) else np.zeros_like(disc)
        np.testing.assert_array_equal(found.covered[..., index], expected, err_msg=f"{heading} degrees")
    assert found.share == pytest.approx(disc.sum() * 3 / (disc.size * 12))
    assert found.lost_positions == pytest.approx(1.0 - disc.mean())


def test_the_heading_is_counterclockwise_from_x():
    found = square(looking(2.0, 2.0, 1.0, np.pi / 2, 0.1))
    covered_headings = {heading for heading, share in zip(HEADINGS_DEG, found.of_heading(), strict=True) if share > 0}
    assert covered_headings == {60.0, 90.0, 120.0}


def test_nothing_is_covered_behind_a_wall():
    found = square(looking(2.0, 2.0, 1.0, 0.0, 0.1), wall_x=2.4)
    x, y = centres(found)
    disc = np.hypot(x - 2.0, y - 2.0) <= 0.75
    np.testing.assert_array_equal(found.covered[..., 0], disc & (x < 2.4))


def test_poses_are_judged_where_they_are():
    found = square(looking(2.0, 2.0, 1.0, 0.0, 0.1), wall_x=2.4)
    poses = [(1.3, 2.0, 0.0), (1.2, 2.0, 0.0), (2.0, 2.0, np.radians(29)), (2.0, 2.0, np.radians(31)), (2.6, 2.0, 0.0)]
    result = found.of_poses(np.array([looking(x, y, 1.0, yaw, 0.3) for x, y, yaw in poses]))
    assert REACH_M == 0.75
    assert result.tolist() == [True, False, True, False, False]


def test_a_camera_that_looks_straight_down_covers_nothing():
    assert square(looking(2.0, 2.0, 1.0, 0.0, 1.5)).share == 0.0


def test_no_free_space_is_a_sentence():
    frame = Frame2D((0, 0), (4, 4), EDGE)
    grid = Grid(np.zeros((4, 4), np.uint8), frame, 0, 0, 1)
    views = ViewPoints.of(looking(0.2, 0.2, 1.0, 0.0, 0.1)[None], np.zeros((4, 4), bool), frame)
    with pytest.raises(MappingError, match="No free space"):
        covered(grid, views)


def test_the_report_counts_held_out_frames_by_coverage(whole):
    found = whole[1]["coverage"]
    # Five frames stand beside the training views and look as one of them does, five are 1.4 m away.
    assert found["held_out_frames"] == {"inside": 5, "inside_accepted": 4, "outside": 5, "outside_accepted": 4}
    assert 0.0 < found["covered_share"] < 1.0
    assert len(found["covered_share_of_heading"]) == len(HEADINGS_DEG)
    # Views at two places, all headings: what is covered at all is covered all around.
    np.testing.assert_allclose(found["covered_share_of_heading"], found["covered_share"], rtol=1e-6)
    assert found["positions_without_any"] == pytest.approx(1.0 - found["covered_share"])
