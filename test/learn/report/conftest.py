# SPDX-License-Identifier: Apache-2.0
"""A room whose surfaces the tests lay themselves, as a bundle; its posed frames; an evaluation with known errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_room import looking
from frame_folder import write_frame, write_splits
from laid_room import laid_bundle, room_map

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.trajectory import Trajectory, write_tum
from mvloc_ros.learn.report.report import ReportInputs, make_report
from mvloc_ros.localization.scene_map import MapPoints, SceneMap
from mvloc_ros.model.bundle import Bundle
from mvloc_ros.model.bundle_writer import add_scene_map, write_bundle
from mvloc_ros.replay.evaluation import evaluate
from mvloc_ros.replay.outcomes import Outcome
from mvloc_ros.replay.report import write_report
from mvloc_ros.replay.run import Run

CAMERA = PinholeCamera(160, 120, 130.0, 130.0, 79.5, 59.5)
SECOND = 1_000_000_000
# Of held-out frames in metres along x; None: rejected. 6 right, 2 further off of which 1 is false, 2 rejected.
ERRORS_M = (0.01, 0.01, None, 0.02, 0.03, 0.1, None, 0.5, 0.02, 0.04)


def training_poses() -> np.ndarray:
    """A camera that looks about at two places in the west: T_map_camera `[24, 4, 4]`."""
    return np.array([looking(x, 0.0, 1.0, 2 * np.pi * i / 12, 0.5) for x in (-1.0, -0.4) for i in range(12)])


def test_poses() -> np.ndarray:
    """T_map_camera `[10, 4, 4]`: the first five beside a training pose, the others in the east."""
    return np.array([looking(x, 0.3, 1.0, 0.1, 0.4) for x in (-1.0, -0.9, -0.8, -0.7, -0.6, 1, 1.1, 1.2, 1.3, 1.4)])


test_poses.__test__ = False


@pytest.fixture(scope="session")
def room_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    root = tmp_path_factory.mktemp("report_bundle")
    return laid_bundle(tiny_bundle, root, training_poses(), CAMERA, room_map())


@pytest.fixture(scope="session")
def posed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The training frames as one sequence, the held-out ones as another, with small images."""
    root = tmp_path_factory.mktemp("report_posed") / "posed"
    for name, poses in (("seq-01", training_poses()), ("seq-02", test_poses())):
        (root / name).mkdir(parents=True)
        for number, pose in enumerate(poses):
            write_frame(root / name, number, np.zeros((12, 16, 3), np.uint8), np.full((12, 16), 1000, np.uint16), pose)
    camera = PinholeCamera(16, 12, 13.0, 13.0, 7.5, 5.5).to_dict()
    settings = {"color": camera, "depth": camera, "depth_registered": True, "pose_of": "color"}
    (root / "camera.json").write_text(json.dumps(settings))
    write_splits(root, ["seq-01"], "seq-02")
    return root


def write_evaluation(folder: Path, truth: np.ndarray, errors_m: tuple[float | None, ...], model: str = "room") -> Path:
    """What `mvloc replay` would write of frames ten times a second, with these errors along x; the sixth pauses."""
    stamps = SECOND * 5 + np.arange(len(truth), dtype=np.int64) * SECOND // 10
    stamps[len(truth) // 2 :] += 20 * SECOND
    given = [i for i, error in enumerate(errors_m) if error is not None]
    estimates = truth[given].copy()
    estimates[:, 0, 3] += [errors_m[i] for i in given]
    outcomes = {
        int(stamp): Outcome("accepted")
        if error is not None
        else Outcome("rejected", "it says <script>alert(1)</script>")
        for stamp, error in zip(stamps, errors_m, strict=True)
    }
    run = Run(
        source="offline",
        recording="drive & <b>co</b>",
        model=model,
        backend="none",
        frames_ns=stamps,
        truth=Trajectory(stamps, truth),
        estimates=Trajectory(stamps[given], estimates),
        latency_ms={},
        drops={},
        training_poses=training_poses(),
        outcomes=outcomes,
        map_frame="map",
        truth_frame="map",
    )
    write_report(evaluate(run), folder)
    return folder


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_evaluation(tmp_path_factory.mktemp("report_eval") / "evaluation", test_poses(), ERRORS_M)


@pytest.fixture
def held_out() -> np.ndarray:
    return test_poses()


@pytest.fixture
def evaluation_at(tmp_path: Path) -> Callable[..., Path]:
    """Writes an evaluation of true poses `[N, 4, 4]` with errors along x."""
    return lambda truth, errors_m, model="room": write_evaluation(tmp_path / "evaluation", truth, errors_m, model)


@pytest.fixture
def evaluation_of(evaluation_at: Callable[..., Path]) -> Callable[..., Path]:
    """Writes an evaluation of a straight path of some length, one frame an error."""

    def write(errors_m: tuple[float | None, ...], metres: float) -> Path:
        places = np.linspace(-1.5, metres - 1.5, len(errors_m))
        return evaluation_at(np.array([looking(x, 0.2, 1.0, 0.0, 0.4) for x in places]), errors_m)

    return write


@pytest.fixture(scope="session")
def lying(room_bundle: Bundle, posed_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The bundle and the posed folder in a map frame whose y axis points down."""
    root = tmp_path_factory.mktemp("report_lying")
    turn = np.eye(4)
    turn[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    found = room_map()
    content = found.content(range(len(found.tiles)))
    points = MapPoints(content.points @ turn[:3, :3].T, content.normals @ turn[:3, :3].T, content.brightness)
    turned = SceneMap.from_points(points, found.correction, found.tile_m, found.resolution_m)
    poses = training_poses()
    write_tum(root / "poses.tum", Trajectory(SECOND * np.arange(1, len(poses) + 1), turn @ poses))
    files = {"model.onnx": room_bundle.model_path, "training_poses.tum": root / "poses.tum"}
    plain = write_bundle(root / "room", replace(room_bundle.manifest, scene_map=None), files)
    spec = room_bundle.manifest.scene_map
    assert spec is not None
    spec = replace(spec, file="", sha256="", points=len(turned))
    folder = root / "posed"
    shutil.copytree(posed_folder, folder)
    for file in folder.rglob("*.pose.txt"):
        np.savetxt(file, turn @ np.loadtxt(file))
    return add_scene_map(plain, turned.to_bytes(), spec).path, folder


POSING: dict[str, Any] = {
    "version": 1,
    "sequences": [
        {
            "name": "seq-01", "recording": "bags/<kitchen> & co", "frames": 30, "posed": 24, "path_m": 0.6,
            "left_out": [{"from_s": 2.4, "to_s": 3.0, "frames": 6, "reason": "no <i>depth</i>"}],
        },
        {"name": "seq-02", "recording": "bags/2", "frames": 10, "posed": 10, "path_m": 2.4, "left_out": []},
    ],
    "parts": 2,
    "loop_closures": [
        {"from": ["seq-01", 3], "to": ["seq-02", 4], "residual_m": 0.01, "residual_deg": 0.2, "matches": 80},
        {"from": ["seq-01", 12], "to": ["seq-01", 2], "residual_m": 0.03, "residual_deg": 0.4, "matches": 50},
    ],
    "rejected_loop_closures": 3,
    "consistency": {"median_m": 0.006, "p90_m": 0.09},
    "low_confidence": [{"sequence": "seq-01", "from_s": 0.2, "to_s": 0.5, "sigma_m": 0.2, "reason": "few features"}],
    "sigma_m": {"median": 0.01, "p90": 0.02, "max": 0.05},
    "up": "floor plane",
    "floor_z_m": 0.0,
    "seconds": 100.0,
    "frames_per_s": 9.0,
}  # fmt: skip


@pytest.fixture(scope="session")
def posing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report_posing") / "posing.json"
    path.write_text(json.dumps(POSING))
    return path


@pytest.fixture
def inputs(room_bundle: Bundle, posed_folder: Path, tmp_path: Path) -> Callable[..., ReportInputs]:
    """Inputs of a report into the test's own folder, without evaluation and posing unless they are given."""

    def of(**changes: Any) -> ReportInputs:
        values = {
            "name": "room", "recordings": (), "posed": posed_folder, "bundle": room_bundle.path, "evaluation": None,
            "posing": None, "grid": None, "out_html": tmp_path / "report.html", "out_json": tmp_path / "report.json",
        }  # fmt: skip
        return ReportInputs(**{**values, **changes})

    return of


@pytest.fixture(scope="session")
def whole(
    room_bundle: Bundle, posed_folder: Path, evaluation: Path, posing: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Any], Path]:
    """A report of all that there can be: the page, its figures, and the page's file."""
    out = tmp_path_factory.mktemp("report_out")
    made = ReportInputs(
        name="Room <1> & co", recordings=("bags/<kitchen> & co",), posed=posed_folder, bundle=room_bundle.path,
        evaluation=evaluation, posing=posing, grid=None, out_html=out / "report.html", out_json=out / "report.json",
        notes=("A <b>note</b>.",),
    )  # fmt: skip
    make_report(made)
    return (out / "report.html").read_text(), json.loads((out / "report.json").read_text()), out / "report.html"
