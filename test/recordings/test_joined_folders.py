# SPDX-License-Identifier: Apache-2.0
"""Several folders of one place as one: names, splits, stamps, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from box_room import Scene, looking
from frame_folder import write_frame, write_splits

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.recordings import PosedFolder, RecordingError, open_folder, open_folders
from mvloc_ros.recordings.agreement import agreement_report, require_agreement
from mvloc_ros.recordings.agreement.across import check_across
from mvloc_ros.recordings.contents import contents_text
from mvloc_ros.recordings.joined_folders import name_of, paths_of

CAMERA = PinholeCamera(64, 48, 52.0, 52.0, 31.5, 23.5)
SETTINGS = {
    "color": CAMERA.to_dict(), "depth": CAMERA.to_dict(), "depth_registered": False, "pose_of": "color",
    "T_color_depth": np.eye(4).tolist(), "max_depth": 6.0,
}  # fmt: skip


def write(root: Path, seed: int, frames: int = 4, sequences: int = 3, **settings: object) -> Path:
    """Sequences of noise, of which the last one is for tests; all folders have the same poses."""
    rng = np.random.default_rng(seed)
    for number in range(1, sequences + 1):
        (root / f"seq-{number:02d}").mkdir(parents=True)
        for i in range(frames):
            color = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            depth = rng.integers(900, 1100, (48, 64), dtype=np.uint16)
            write_frame(root / f"seq-{number:02d}", i, color, depth, looking(0.1 * i, number, 1.0, 0.0, 0.0))
    (root / "camera.json").write_text(json.dumps({**SETTINGS, **settings}))
    write_splits(root, [f"sequence{number}" for number in range(1, sequences)], f"sequence{sequences}")
    return root


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    return [write(tmp_path / "monday", 1), write(tmp_path / "tuesday", 2, frames=5)]


def records(folder: PosedFolder) -> list[tuple[object, ...]]:
    """All that tells the frames of two folders apart."""
    return [
        (split, f.sequence, f.index, f.stamp_ns, f.depth_stamp_ns, f.color, f.depth, f.T_map_camera.tobytes())
        for split in ("train", "test")
        for f in getattr(folder, split)
    ]


def test_one_folder_is_what_it_was(days: list[Path]) -> None:
    plain = open_folder(days[0])
    for given in (days[0], str(days[0]), [days[0]]):
        found = open_folders(given)
        assert records(found) == records(plain)
        assert (found.root, found.where, found.parts) == (plain.root, str(plain.root), ())
        assert contents_text(found) == contents_text(plain)
    assert name_of(days[0]) == "monday"


def test_sequences_are_named_after_their_folder_and_follow_each_other(days: list[Path]) -> None:
    found = open_folders(days)
    assert list(dict.fromkeys(f.sequence for f in found.train)) == [
        "monday/seq-01", "monday/seq-02", "tuesday/seq-01", "tuesday/seq-02",
    ]  # fmt: skip
    assert [f.sequence for f in found.test] == ["monday/seq-03"] * 4 + ["tuesday/seq-03"] * 5
    stamps = [f.stamp_ns for f in found.frames()]
    assert len(set(stamps)) == len(stamps) == 27
    assert [f.sequence.split("/")[0] for f in found.frames()] == ["monday"] * 12 + ["tuesday"] * 15
    assert all(f.depth_stamp_ns == f.stamp_ns for f in found.frames())
    # The frames' distances in time stay.
    alone = [f.stamp_ns for f in open_folder(days[1]).frames()]
    np.testing.assert_array_equal(np.diff(stamps[12:]), np.diff(alone))
    assert found.where == f"{days[0]} and {days[1]}"
    assert name_of(days) == "monday + tuesday"
    assert contents_text(found).splitlines() == [
        f"{contents_text(open_folder(days[0]))}.", f"{contents_text(open_folder(days[1]))}.",
        "together: 2 folders, 6 sequences, 18 training and 9 test frames",
    ]  # fmt: skip


def test_the_order_in_which_folders_are_given_does_not_matter(days: list[Path]) -> None:
    assert records(open_folders(days)) == records(open_folders(days[::-1]))


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [write(tmp_path / day / "hall", seed, sequences=2) for seed, day in enumerate(("a", "b"))]
    assert {f.sequence for f in open_folders(folders).train} == {"a/hall/seq-01", "b/hall/seq-01"}


def test_a_frame_left_out_of_one_is_left_out_of_all(days: list[Path]) -> None:
    (days[1] / "seq-01" / "frame-000002.pose.txt").unlink()
    assert [item.path.parent.parent for item in open_folders(days).left_out] == [days[1]]


def test_licences_of_both_bind(tmp_path: Path) -> None:
    folders = [write(tmp_path / "a", 1, licence="CC BY 4.0"), write(tmp_path / "b", 2)]
    assert open_folders(folders).licence == "CC BY 4.0 and unknown"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"color": {**CAMERA.to_dict(), "fx": 53.0}}, "color camera is of 64x48 pixels with fx 52"),
        ({"depth": {**CAMERA.to_dict(), "cy": 24.5}}, "cy 24.5 in the second"),
        ({"depth_units_per_metre": 5000}, "unit of depth (values a metre) is 1000 in the first and 5000 in the second"),
        ({"depth_registered": True}, "depth_registered is False in the first and True"),
        ({"pose_of": "depth"}, "camera that the poses are of is color in the first and depth"),
        ({"T_color_depth": se3.from_parts(np.array([0.02, 0, 0]), np.array([0, 0, 0, 1.0])).tolist()}, "0.02"),
        ({"max_depth": 4.0}, "max_depth is 6 in the first and 4 in the second"),
        ({"depth_of_points": True}, "depth_of_points is False in the first and True"),
        ({"depth_projection": "cylindrical"}, "depth_projection is pinhole in the first and cylindrical"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_cameras_are_refused_with_the_difference(tmp_path: Path, change: dict[str, object], words: str) -> None:
    folders = [write(tmp_path / "a", 1, sequences=2), write(tmp_path / "b", 2, sequences=2, **change)]
    with pytest.raises(RecordingError) as refused:
        open_folders(folders)
    text = str(refused.value)
    assert words in text
    assert str(folders[0]) in text
    assert str(folders[1]) in text


def test_a_camera_that_was_calibrated_again_is_the_same(tmp_path: Path) -> None:
    again = {**CAMERA.to_dict(), "fx": 52.1, "cx": 31.6}
    folders = [write(tmp_path / "a", 1, sequences=2), write(tmp_path / "b", 2, sequences=2, color=again, depth=again)]
    assert open_folders(folders).color_camera.fx == 52.0


def link(days: list[Path], tmp_path: Path) -> list[Path]:
    (tmp_path / "link").symlink_to(days[0])
    return [days[0], tmp_path / "link"]


def copied(days: list[Path], tmp_path: Path) -> list[Path]:
    return [days[0], Path(shutil.copytree(days[0], tmp_path / "copy"))]


def copied_sequence(days: list[Path], tmp_path: Path) -> list[Path]:
    """A sequence of Monday that was a test one comes back among Tuesday's, to be trained on."""
    shutil.rmtree(days[1] / "seq-01")
    shutil.copytree(days[0] / "seq-03", days[1] / "seq-01")
    return days


def linked_sequence(days: list[Path], tmp_path: Path) -> list[Path]:
    shutil.rmtree(days[1] / "seq-02")
    (days[1] / "seq-02").symlink_to(days[0] / "seq-01")
    return days


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda days, _: [days[0], days[1], days[0]], "is given twice: remove one"),
        (link, "is given twice, also as"),
        (copied, "have frames in common"),
        (copied_sequence, "seq-03/frame-000000.color.png and"),
        (linked_sequence, "are the same image"),
    ],
)
def test_what_is_given_twice_is_refused(
    days: list[Path], tmp_path: Path, make: Callable[..., list[Path]], words: str
) -> None:
    with pytest.raises(RecordingError, match=words):
        open_folders(make(days, tmp_path))


def test_no_folder_is_refused() -> None:
    with pytest.raises(RecordingError, match="at least one"):
        paths_of([])


def write_tum(root: Path, first_s: float, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    lines: dict[str, list[str]] = {"rgb": [], "depth": [], "groundtruth": []}
    for kind in ("rgb", "depth"):
        (root / kind).mkdir(parents=True)
    for i in range(10):
        stamp = f"{first_s + 0.1 * i:.3f}"
        cv2.imwrite(str(root / "rgb" / f"{i}.png"), rng.integers(0, 255, (48, 64, 3), dtype=np.uint8))
        cv2.imwrite(str(root / "depth" / f"{i}.png"), rng.integers(4500, 5500, (48, 64), dtype=np.uint16))
        lines["rgb"].append(f"{stamp} rgb/{i}.png")
        lines["depth"].append(f"{stamp} depth/{i}.png")
        lines["groundtruth"].append(f"{stamp} {0.01 * i} 0 0 0 0 0 1")
    for name, content in lines.items():
        (root / f"{name}.txt").write_text("\n".join(content) + "\n")
    return root


def test_real_stamps_stay_unless_they_overlap(tmp_path: Path) -> None:
    late, early, same = (
        write_tum(tmp_path / n, s, k) for k, (n, s) in enumerate((("a", 900), ("b", 100), ("c", 100.5)))
    )
    found = open_folders([late, early])
    assert [f.stamp_ns for f in found.train] == [round(1e9 * (t + 0.1 * i)) for t in (100, 900) for i in range(8)]
    assert list(dict.fromkeys(f.sequence for f in found.train)) == ["b/b", "a/a"]
    stamps = [(f.stamp_ns, f.sequence) for f in open_folders([early, same]).frames()]
    assert [name for _, name in sorted(stamps)] == ["b/b"] * 10 + ["c/c"] * 10
    assert len({stamp for stamp, _ in stamps}) == 20


def walk(root: Path, phase: float, moved: np.ndarray, scene: Scene) -> Path:
    """Frames of the room from poses in another frame than the room's."""
    rng = np.random.default_rng(round(100 * phase))
    t = np.linspace(0.0, 2.0 * np.pi, 60, endpoint=False) + phase
    (root / "seq-01").mkdir(parents=True)
    for i, s in enumerate(t):
        T = looking(-0.9 + 0.4 * np.sin(s), 0.4 * np.cos(s), 1.2 + 0.2 * np.sin(2 * s), 0.5 * np.sin(s + 1), 0.15)
        depth, gray = scene.render(T, CAMERA)
        noisy = np.where(depth > 0, np.rint(1e3 * (depth + 0.002 * rng.standard_normal(depth.shape))), 0)
        write_frame(root / "seq-01", i, np.repeat(gray[..., None], 3, axis=2), noisy.astype(np.uint16), moved @ T)
    (root / "camera.json").write_text(json.dumps({**SETTINGS, "depth_registered": True}))
    return root


def test_another_map_frame_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn = np.array([0.0, 0.0, 0.0, 1.0])
    away, far = (se3.from_parts(np.array([0.0, y, 0.0]), turn) for y in (0.25, 50.0))
    chair = replace(Scene(), boxes=(*Scene().boxes, ((0.3, -0.6, 0.0), (0.6, -0.3, 0.9))))
    first = walk(tmp_path / "a", 0.0, np.eye(4), Scene())
    same = walk(tmp_path / "b", 0.7, np.eye(4), chair)
    other = walk(tmp_path / "c", 0.4, away, Scene())
    distant = walk(tmp_path / "d", 0.9, far, Scene())
    with caplog.at_level("INFO"):
        require_agreement(open_folders([first, same]), force=False)
    assert not [record for record in caplog.records if record.levelname == "WARNING"], "a chair more is no other frame"
    require_agreement(open_folder(other), force=False)  # in itself it is right
    found = check_across([open_folder(first)], open_folder(other))
    assert found.refused
    assert found.moved is not None
    metres, degrees, share = found.moved
    assert metres == pytest.approx(0.25, abs=0.06)
    assert degrees < 3.0
    assert share > 0.97
    asked = []
    monkeypatch.setattr(agreement_report, "check_across", lambda *given: asked.append(given) or found)
    with pytest.raises(RecordingError, match="not in the same map frame") as refused:
        require_agreement(open_folders([first, same, other]), force=False)
    assert "would if the poses of one were moved by about 0." in str(refused.value)
    assert (str(same) in str(refused.value), str(first) in str(refused.value)) == (True, True)
    require_agreement(open_folders([first, same, other]), force=True)
    assert [len(others) for others, _ in asked[1:]] == [1, 2], "each is compared with all before it"
    monkeypatch.undo()
    caplog.clear()
    require_agreement(open_folders([first, distant]), force=False)
    assert "by the poses, no frames of the recordings are near each other" in caplog.text
