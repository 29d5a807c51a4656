# SPDX-License-Identifier: Apache-2.0
"""A map of several sessions: what one saw and another sees through is left out, all else stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from box_room import FURNITURE, Box, Scene, looking

from mvloc_ros.cli import main
from mvloc_ros.localization.depth_points import CORRECTION_SHAPE, DepthCamera
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.mapping import build
from mvloc_ros.mapping import map as map_module
from mvloc_ros.mapping.build import Cameras, build_map, build_stable_map
from mvloc_ros.mapping.errors import MappingError
from mvloc_ros.mapping.fusion import PosedDepth
from mvloc_ros.mapping.sessions import frames_to_compare, is_unstable
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder, open_folders

# Where the crate stands on the first and on the second day, off the other furniture.
FIRST: Box = ((0.1, -0.75, 0.0), (0.5, -0.35, 0.5))
SECOND: Box = ((0.1, 0.45, 0.0), (0.5, 0.85, 0.5))


@pytest.fixture(scope="module")
def days(room: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> PosedFolder:
    """Two folders of a walk and a few test frames; on the second day the crate stands elsewhere."""
    root = tmp_path_factory.mktemp("days")
    folders = []
    for name, crate, phase in (("first", FIRST, 0.0), ("second", SECOND, 1.7)):
        walks = {"seq-01": room.path(48, phase), "seq-02": room.path(2, phase + 0.33)}
        folders.append(room.write_folder(root / name, Scene(boxes=(*FURNITURE, crate)), walks, test="seq-02"))
    return open_folders(folders)


def points_of(scene_map: SceneMap) -> np.ndarray:
    return scene_map.content(scene_map.tiles_near((0, 0, 0), 10.0)).points


def on_surface(points: np.ndarray, box: Box, above_m: float = 0.0) -> np.ndarray:
    """Which points lie on a face of a box, and so far above the floor."""
    low, high = np.array(box)
    near = np.all((points > low - 0.03) & (points < high + 0.03), axis=1)
    deep = np.all((points > low + 0.03) & (points < high - 0.03), axis=1)
    return near & ~deep & (points[:, 2] > above_m)


def without_comparison(records: tuple[FrameRecord, ...], cameras: Cameras, room: SimpleNamespace) -> SceneMap:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "frames_to_compare", lambda _: [])
        scene_map, unstable = build_stable_map(records, cameras, room.options)
    assert unstable is None
    return scene_map


def test_a_crate_that_was_moved_is_in_neither_place(days: PosedFolder, room: SimpleNamespace) -> None:
    cameras = Cameras.of(days)
    before = points_of(without_comparison(days.train, cameras, room))
    scene_map, unstable = build_stable_map(days.train, cameras, room.options)
    after = points_of(scene_map)
    assert unstable is not None
    assert (unstable.sessions, unstable.points, unstable.left_out) == (2, len(before), len(before) - len(after))
    assert unstable.square_meters == pytest.approx(0.04**2 * unstable.left_out)
    for box in (FIRST, SECOND):
        was, stayed = (np.count_nonzero(on_surface(points, box, above_m=0.25)) for points in (before, after))
        assert was > 60, "each crate was seen"
        assert stayed <= 0.01 * was
        # Low on a side that is seen at a grazing angle, rays end on the floor soon after they pass it.
        was, stayed = (np.count_nonzero(on_surface(points, box, above_m=0.08)) for points in (before, after))
        assert stayed < 0.15 * was
    stable = [~(on_surface(points, FIRST) | on_surface(points, SECOND)) for points in (before, after)]
    lost = 1.0 - np.count_nonzero(stable[1]) / np.count_nonzero(stable[0])
    assert 0.0 <= lost < 0.005, "walls, floor and furniture stay"
    # What stands behind the crate of another day is hidden there, not gone.
    for low, high in (FIRST, SECOND):
        under = [
            np.all((np.abs(p - (np.array(low) + np.array(high)) / 2) < (0.15, 0.15, 9.0)), axis=1)
            for p in (before, after)
        ]
        floor = [np.count_nonzero(which & (p[:, 2] < 0.03)) for which, p in zip(under, (before, after), strict=True)]
        assert floor[1] == floor[0] > 5


def test_the_command_takes_both_folders_and_says_what_it_left_out(
    days: PosedFolder,
    plain_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(map_module, "hold_out", lambda records: (list(records), []))  # no trials: they take long
    model = Path(shutil.copytree(plain_bundle, tmp_path / "room"))
    words = [
        "map",
        str(model),
        "--resolution",
        "0.04",
        "--min-frames",
        "2",
        "--no-depth-correction",
        "--no-calibration",
    ]
    folders = [word for part in days.parts for word in ("--data", str(part.root))]
    assert main([*words, "--without-threshold", *folders]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "together: 2 folders, 4 sequences, 96 training and 4 test frames." in lines
    (said,) = (line for line in lines if line.startswith("left out of the map: "))
    assert said.endswith(" m2, which one of 2 sequences saw and another one sees through.")
    assert read_bundle(model).manifest.scene_map is not None
    assert main([*words, *folders[:2], *folders[:2]]) == 2
    assert "is given twice" in capsys.readouterr().err


def test_a_room_that_stays_loses_nothing(folder: Path, room: SimpleNamespace) -> None:
    found = open_folder(folder)
    records = found.train[::2]
    scene_map, unstable = build_stable_map(records, Cameras.of(found), room.options)
    assert unstable is not None
    assert (unstable.sessions, unstable.left_out) == (2, 0)
    assert scene_map.to_bytes() == without_comparison(records, Cameras.of(found), room).to_bytes()
    assert "0.00%" in unstable.text


def test_one_session_is_not_compared_with_itself(
    days: PosedFolder, room: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tuple(frame for frame in days.train if frame.sequence == "first/seq-01")[::3]
    before = without_comparison(own, Cameras.of(days), room)
    monkeypatch.setattr(build, "is_unstable", lambda *_: pytest.fail("one session was compared"))
    scene_map, unstable = build_stable_map(own, Cameras.of(days), room.options)
    assert unstable is None
    assert scene_map.to_bytes() == before.to_bytes()


def test_frames_are_spread_over_the_sessions(days: PosedFolder) -> None:
    record = days.train[0]
    records = [replace(record, sequence=f"s{k}", index=i) for k, n in enumerate((500, 20, 300)) for i in range(n)]
    records += [replace(record, sequence="no depth", depth=None)]
    chosen = frames_to_compare(records)
    assert [len(own) for own in chosen] == [100, 20, 100]
    assert [own[0].index for own in chosen] == [0, 0, 0]
    assert [own[-1].index for own in chosen] == [499, 19, 299]
    many = [replace(record, sequence=f"s{k}", index=i) for k in range(20) for i in range(60)]
    assert {len(own) for own in frames_to_compare(many)} == {40}
    assert frames_to_compare([replace(record, index=i) for i in range(9)]) == []


# A camera 1.2 m above the floor that looks along x at a plane; the map has a board of points before it.
BOARD = np.stack(np.meshgrid([1.5], np.arange(-0.3, 0.31, 0.04), np.arange(0.9, 1.51, 0.04)), -1).reshape(-1, 3)
MAP = MapPoints(BOARD, np.tile([-1.0, 0.0, 0.0], (len(BOARD), 1)), np.zeros(len(BOARD), np.uint8))
T = looking(0.0, 0.0, 1.2, 0.0, 0.0)


@pytest.fixture
def compare(room: SimpleNamespace) -> Callable[..., float]:
    """The share of the board that is unstable, if frames of each session measure planes at such distances."""
    camera = DepthCamera(room.camera, 0.3, 4.5, np.zeros(CORRECTION_SHAPE, np.float32))

    def frame(depth_m: float | np.ndarray) -> PosedDepth:
        values = np.broadcast_to(np.round(1000 * np.asarray(depth_m)), (120, 160)).astype(np.uint16)
        return PosedDepth(DepthImage(values, 0.001), None, T)

    def run(*sessions: list[float | np.ndarray], content: MapPoints = MAP) -> float:
        frames = [[frame(depth) for depth in session] for session in sessions]
        return float(is_unstable(content, frames, camera, 0.04).mean())

    return run


def test_what_counts_as_seen_through(compare: Callable[..., float]) -> None:
    seen = [1.5] * 3
    assert compare(seen, [3.0] * 3) == 1.0
    assert compare([3.0] * 3, seen) == 1.0, "whichever session is the first"
    assert compare(seen, [6.0] * 3) == 1.0, "the wall behind may be beyond the range of the map"
    assert compare(seen, [3.0] * 2) == 0.0, "two frames are too few"
    assert compare(seen, [1.5, *[3.0] * 9]) == 1.0, "one of ten may err"
    assert compare(seen, [1.5, *[3.0] * 8]) == 0.0
    assert compare(seen, [0.8] * 9) == 0.0, "hidden is not gone"
    assert compare(seen, [*[0.8] * 9, *[3.0] * 3]) == 1.0, "frames in which it is hidden do not count"
    assert compare(seen, [0.0] * 9) == 0.0, "nothing measured is not free"
    # 1.5 m + 3 x 3.5 mm + 2 % of 1.5 m + 4 cm = 1.580 m.
    assert compare(seen, [1.575] * 9) == 0.0
    assert compare(seen, [1.590] * 9) == 1.0


def test_a_session_alone_contradicts_nothing(compare: Callable[..., float]) -> None:
    assert compare([1.5, *[3.0] * 60]) == 0.0, "one session"
    assert compare([1.5, *[3.0] * 60], [0.8] * 9) == 0.0, "no other session saw it"
    assert compare([1.5], [3.0] * 9, [0.8] * 9) == 1.0


def test_edges_and_holes_are_not_free(compare: Callable[..., float]) -> None:
    columns = np.arange(160)
    bars = np.where(columns % 3 == 0, 1.5, 3.0)
    assert compare([1.5] * 3, [bars] * 9) == 0.0, "a grille that is still there"
    holes = np.where(columns % 3 == 0, 0.0, 3.0)
    assert compare([1.5] * 3, [holes] * 9) == 0.0
    edge = MapPoints(BOARD, np.tile([0.0, 1.0, 0.0], (len(BOARD), 1)), MAP.brightness)
    assert compare([1.5] * 3, [1.7] * 9) == 1.0
    assert compare([1.5] * 3, [1.7] * 9, content=edge) == 0.0, "a surface edge on"


def test_single_points_are_errors(compare: Callable[..., float]) -> None:
    hole = np.full((120, 160), 1.5)
    hole[56:64, 76:84] = 3.0  # as large as 9 cm there: with its edges, that of one point
    assert compare([1.5] * 3, [hole] * 9) == 0.0
    hole[45:75, 65:95] = 3.0
    assert 0.2 < compare([1.5] * 3, [hole] * 9) < 0.4, "28 x 28 pixels, without their border, of 52 x 52"


def test_sessions_that_do_not_fit_are_warned_of_or_refused(
    days: PosedFolder, room: SimpleNamespace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = np.eye(4)
    moved[:3, 3] = 0.3, 0.2, -0.5

    def shifted(frame: FrameRecord) -> FrameRecord:
        is_second = frame.sequence.startswith("second")
        return replace(frame, T_map_camera=moved @ frame.T_map_camera) if is_second else frame

    records = tuple(map(shifted, days.train))
    build_map(records, Cameras.of(days), room.options)
    assert "of the map is contradicted by another sequence" in caplog.text
    monkeypatch.setattr(build, "is_unstable", lambda content, *_: np.arange(len(content.points)) > 900)
    with pytest.raises(MappingError, match="not in the same map frame"):
        build_map(records[::4], Cameras.of(days), room.options)
