# SPDX-License-Identifier: Apache-2.0
"""The folder that the demo writes: readable, exact, resumable, and the same from any number of workers."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from mvloc_ros.demo.further_sensors import measure_further, sensors_of
from mvloc_ros.demo.lighting import SETTINGS
from mvloc_ros.demo.renderer import CAMERA, demo_renderer
from mvloc_ros.demo.sequence_plans import plan_test, plan_training
from mvloc_ros.demo.verbs import add_render_arguments, run_render
from mvloc_ros.demo.write_folder import DemoError, render_sequence, write_folder
from mvloc_ros.recordings import open_folder, read_color, read_depth
from mvloc_ros.recordings.images import read_gray

REPOSITORY = Path(__file__).resolve().parents[2]


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "recording"
    assert write_folder(root, frames=16, seed=2, workers=1, progress=False) == 32
    return root


def test_open_folder_reads_what_was_planned(folder: Path) -> None:
    recording = open_folder(folder)
    assert recording.layout == "7scenes"
    assert recording.pose_of == "color"
    assert recording.depth_registered
    assert recording.rate_hz == 15
    assert recording.color_camera == recording.depth_camera == CAMERA
    assert "Apache" in recording.licence
    planned = {(plan.name, index): pose for plan in (*plan_training(2, 16), plan_test(2, 16))
               for index, pose in zip(plan.indices, plan.poses, strict=True)}  # fmt: skip
    assert len(recording.train) == len(recording.test) == 16
    assert {frame.sequence for frame in recording.test} == {"seq-09"}
    for frame in (*recording.train, *recording.test):
        assert frame.T_map_camera is not None
        np.testing.assert_allclose(frame.T_map_camera, planned[frame.sequence, frame.index], atol=1e-8)
    stamps = np.array([frame.stamp_ns for frame in recording.test])
    assert (np.diff(stamps) // 1_000_000 == 66).all()


def test_images_are_those_of_the_renderer(folder: Path) -> None:
    plan = plan_test(2, 16)
    record = open_folder(folder).test[0]
    frame = next(render_sequence(plan, 2))
    assert record.color is not None
    assert record.depth is not None
    np.testing.assert_allclose(read_depth(record.depth, 1000), frame.depth, atol=1e-6)
    assert np.abs(read_color(record.color).astype(int) - frame.color).mean() < 4  # JPEG


def test_an_interrupted_rendering_is_continued_and_two_workers_give_the_same(folder: Path, tmp_path: Path) -> None:
    complete = digests(folder)
    root = tmp_path / "recording"
    write_folder(root, split="test", frames=5, seed=2, workers=1, progress=False)
    (root / "seq-09" / "frame-000003.pose.txt").unlink()  # written last: without it the frame does not count
    kept = root / "seq-09" / "frame-000001.color.jpg"
    before = kept.stat().st_mtime_ns
    assert write_folder(root, frames=16, seed=2, workers=2, progress=False) == 32 - 4
    assert kept.stat().st_mtime_ns == before
    assert digests(root) == complete
    assert write_folder(root, frames=16, seed=2, workers=2, progress=False) == 0


def test_one_split_alone_can_be_opened(tmp_path: Path) -> None:
    write_folder(tmp_path / "test", split="test", frames=5, workers=1, progress=False)
    recording = open_folder(tmp_path / "test")
    assert len(list(recording.frames())) == 5


@pytest.mark.parametrize("wrong", [{"seed": 3}, {"split": "half"}, {"frames": 0}, {"seed": -1}])
def test_impossible_wishes_are_refused_in_one_sentence(folder: Path, wrong: dict[str, object]) -> None:
    before = digests(folder)
    with pytest.raises(DemoError) as refused:
        write_folder(folder, **{"seed": 2, "frames": 16, "workers": 1, "progress": False, **wrong})  # type: ignore[arg-type]
    assert str(refused.value).endswith(".")
    assert digests(folder) == before


def test_frames_of_other_drives_are_never_mixed_in(folder: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(folder, older)
    identity = json.loads((older / "demo.json").read_text())
    (older / "demo.json").write_text(json.dumps({**identity, "drives": "0" * 16}))
    before = digests(older)
    with pytest.raises(DemoError, match="delete it or use another folder"):
        write_folder(older, seed=2, frames=32, workers=1, progress=False)
    assert digests(older) == before


def test_a_recording_of_someone_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "seq-01").mkdir()
    with pytest.raises(DemoError, match="use another folder"):
        write_folder(tmp_path, frames=1, workers=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["seq-01"]


def test_ctrl_c_leaves_no_process_and_no_broken_frame(
    tmp_path: Path, wait_for: Callable[[Callable[[], object], float, str], object]
) -> None:
    program = (
        "import argparse, sys\n"
        "from mvloc_ros.demo.verbs import add_render_arguments, run_render\n"
        "parser = argparse.ArgumentParser()\n"
        "add_render_arguments(parser)\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(run_render(parser.parse_args()))\n"
    )
    script = tmp_path / "render.py"
    script.write_text(program)
    root = tmp_path / "recording"
    # A session of its own, and the signal to all of it, as a terminal does.
    process = subprocess.Popen(
        [sys.executable, str(script), "--out", str(root), "--workers", "2"], start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    try:
        wait_for(lambda: any(root.glob("seq-*/*.pose.txt")), 60, "the first frame")
        group = psutil.Process(process.pid).children(recursive=True)
        assert group
        os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "run the same command again" in stdout
    assert "Traceback" not in stderr
    wait_for(lambda: not psutil.wait_procs(group, timeout=0)[1], 10, "the workers to end")
    for folder in root.glob("seq-*"):
        for pose in folder.glob("frame-*.pose.txt"):
            stem = pose.name.removesuffix(".pose.txt")
            assert read_color(folder / f"{stem}.color.jpg").shape == (240, 320, 3)
            assert read_depth(folder / f"{stem}.depth.png", 1000).shape == (240, 320)


def test_the_verb_renders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_render_arguments(parser)
    assert "examples" in parser.format_help()
    out = str(tmp_path / "demo")
    assert run_render(parser.parse_args(["--out", out, "--split", "test", "--frames", "2", "--workers", "1"])) == 0
    assert "2 frames rendered" in capsys.readouterr().out
    assert len(list((tmp_path / "demo" / "seq-09").glob("*.color.jpg"))) == 2


def test_further_sensors_are_beside_the_pair_which_they_do_not_change(folder: Path, tmp_path: Path) -> None:
    root = tmp_path / "rig"
    parser = argparse.ArgumentParser()
    add_render_arguments(parser)
    words = ["--out", str(root), "--split", "test", "--frames", "5", "--seed", "2", "--workers", "1"]
    assert run_render(parser.parse_args([*words, "--sensors", "infrared,rear"])) == 0
    found = open_folder(root)
    assert [(sensor.name, sensor.kind) for sensor in found.sensors] == [("rear", "color"), ("infrared", "gray")]
    frame = found.train[0]
    assert sorted(frame.images()) == ["color", "depth", "infrared", "rear"]
    plain = folder / "seq-09"
    for kind in ("color.jpg", "depth.png", "pose.txt"):
        name = f"frame-{frame.index:06d}.{kind}"
        assert (root / frame.sequence / name).read_bytes() == (plain / name).read_bytes()
    # Turned around and moved: what the rear camera shows is what a color camera there would show, but for the noise.
    plan = plan_test(2, 5)
    renderer = demo_renderer()
    renderer.set_light(plan.light, plan.exposure)
    there = renderer.exact(plan.poses[0] @ found.sensors[0].pose).color.astype(float)
    assert np.abs(read_color(frame.images()["rear"]).astype(float) - there)[60:180, 80:240].mean() < 12.0
    gray = read_gray(frame.images()["infrared"])
    assert (gray.shape, 20.0 < gray.mean() < 235.0) == ((240, 320), True)
    with pytest.raises(DemoError, match="of another seed, version or choice of sensors"):
        run_render(parser.parse_args([*words, "--sensors", "rear"]))
    with pytest.raises(DemoError, match="--sensors 'side' is unknown; choose of rear, infrared"):
        run_render(parser.parse_args([*words, "--sensors", "side"]))


def test_the_lamp_of_the_infrared_camera_is_the_same_in_every_light() -> None:
    renderer, pose = demo_renderer(), plan_test(2, 2).poses[0]
    images = []
    for setting in ("day", "dim"):
        renderer.set_light(SETTINGS[setting])
        images.append(measure_further(renderer, pose, sensors_of("infrared,rear"), (1, 2)))
    np.testing.assert_array_equal(images[0]["infrared"], images[1]["infrared"])
    assert images[0]["rear"].mean() > 1.2 * images[1]["rear"].mean()
