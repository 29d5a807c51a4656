# SPDX-License-Identifier: Apache-2.0
"""The preset for robots on recordings that cannot have all of its views: trained without them, and said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mvloc_ros.cli import main
from mvloc_ros.recordings import PosedFolder, open_folder
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.folder_sensors import with_folder_sensors
from mvloc_ros.training.possible_views import with_possible_views
from mvloc_ros.training.presets import preset
from mvloc_ros.training.rendering import check_renderable
from mvloc_ros.training.views import check_projection

ROBUST = preset("mvloc", "robust")
VIEWS = (ROBUST.augmentation.rendered, ROBUST.augmentation.shift, ROBUST.augmentation.turn)
CAMERA = {"width": 64, "height": 48, "fx": 50.0, "fy": 50.0, "cx": 31.5, "cy": 23.5}
AWAY = [[1.0, 0.0, 0.0, 0.3], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
BESIDE = {"thermal": {"kind": "gray", "camera": CAMERA, "T_reference_sensor": AWAY}}


def changed(folder: Path, root: Path, settings: dict[str, object]) -> Path:
    """A copy of a recording with other settings in camera.json."""
    shutil.copytree(folder, root)
    path = root / "camera.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return root


def views(config: TrainingConfig) -> tuple[float, float, float]:
    changes = config.augmentation
    return changes.rendered, changes.shift, changes.turn


def require_possible(config: TrainingConfig, folder: PosedFolder) -> None:
    """What a training asks at its beginning."""
    check_projection(config, folder)
    check_renderable(config, folder)


def test_a_recording_of_color_and_depth_has_all_views(tiny_folder: Path) -> None:
    assert all(value > 0.0 for value in VIEWS)
    assert with_possible_views(ROBUST, tiny_folder, 0.2) == (ROBUST, [])


@pytest.mark.parametrize(
    ("settings", "left", "clauses"),
    [
        ({"depth_of_points": True}, (0.0, *VIEWS[1:]), ["no rendered views (--rendered): the depth of"]),
        (
            {"depth_projection": "cylindrical"},
            (0.0, 0.0, 0.0),
            [f"no {kind}: the depth images of" for kind in ("rendered views (--rendered)", "shifted views (--shift)",
                                                            "turned views (--turn)")],
        ),
    ],
)  # fmt: skip
def test_what_a_recording_cannot_have_is_left_out_and_said(
    settings: dict[str, Any], left: tuple[float, ...], clauses: list[str], tiny_folder: Path, tmp_path: Path
) -> None:
    root = changed(tiny_folder, tmp_path / "folder", settings)
    config, said = with_possible_views(ROBUST, root, 0.2)
    assert views(config) == left
    assert [clause.startswith(start) for clause, start in zip(said, clauses, strict=True)] == [True] * len(clauses)
    assert config.with_options(dict(zip(("rendered", "shift", "turn"), VIEWS, strict=True))) == ROBUST
    require_possible(config, open_folder(root))
    with pytest.raises(TrainingError):
        require_possible(ROBUST, open_folder(root))


def test_recordings_without_depth_are_turned_only(tiny_folder: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(tiny_folder, tmp_path / "folder"))
    for path in root.rglob("*.depth.png"):
        path.unlink()
    config, said = with_possible_views(ROBUST, root, 0.2)
    assert views(config) == (0.0, 0.0, VIEWS[2])
    assert [clause.rpartition(": ")[2] for clause in said] == [f"no training frame of {root} has depth"] * 2


def test_a_sensor_that_no_depth_is_beside_stays_where_it_is(tiny_folder: Path, tmp_path: Path) -> None:
    root = changed(tiny_folder, tmp_path / "folder", {"sensors": BESIDE})
    for path in root.rglob("*.color.png"):
        shutil.copy(path, path.with_name(path.name.replace("color", "thermal")))
    config, said = with_possible_views(with_folder_sensors(ROBUST, root), root, 0.2)
    assert views(config) == (0.0, 0.0, 0.0)
    assert [clause.count("further sensors (thermal)") for clause in said] == [1, 1, 1]
    assert with_possible_views(with_folder_sensors(ROBUST, root, "none"), root, 0.2) == (ROBUST, [])


def test_what_is_asked_for_is_refused_and_not_left_out(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = changed(tiny_folder, tmp_path / "folder", {"depth_of_points": True})
    command = ["train", "--data", str(root), "--out", str(tmp_path / "run"), "--preset", "robust", "--device", "cpu"]
    assert main([*command, "--epochs", "1", "--short-side", "32", "--rendered", "0.5"]) == 2
    assert "of which --rendered cannot make surfaces" in capsys.readouterr().err
    assert main([*command, "--epochs", "1", "--short-side", "32", "--batch-size", "8", "--validation-gap", "2"]) == 0
    assert "no rendered views (--rendered): the depth of" in capsys.readouterr().out


def test_other_presets_refuse_as_before(tiny_folder: Path, tmp_path: Path) -> None:
    root = changed(tiny_folder, tmp_path / "folder", {"depth_of_points": True})
    config = preset("mvloc", "small").with_options({"rendered": 0.5})
    assert with_possible_views(config, root, 0.2) == (config, [])
