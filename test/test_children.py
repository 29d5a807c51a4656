# SPDX-License-Identifier: Apache-2.0
"""Child processes in a folder whose files have the names of modules: none of these files is executed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvloc_ros import children

ROOT = Path(__file__).resolve().parents[1]
SPAWN = """
import multiprocessing, sys
from mvloc_ros import children

if __name__ == "__main__":
    children.protect_children()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(abs, (-3,)))
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with files that leave a mark when they are executed."""
    folder = tmp_path / "here"
    folder.mkdir()
    for name in ("rclpy", "tensorrt", "numpy", "runpy", "multiprocessing"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    return folder


def python(here: Path, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_test_can_fail(here: Path):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    python(here, [sys.executable, "-m", "mvloc_ros.doctor.tensorrt_probe"], environment)
    assert (here.parent / "executed").exists()


@pytest.mark.parametrize("safe_path", ["", "1"], ids=["script alone, as on Python 3.10", "PYTHONSAFEPATH"])
@pytest.mark.parametrize("module", ["mvloc_ros.doctor.tensorrt_probe", "mvloc_ros.node.main"])
@pytest.mark.parametrize("python_path", ["", os.pathsep, f"{os.pathsep}/nonexistent"])
def test_a_module_runs_without_the_current_folder(here: Path, monkeypatch, module: str, safe_path: str, python_path):
    monkeypatch.setenv("PYTHONPATH", python_path)
    environment = {**children.safe_environment(), "PYTHONSAFEPATH": safe_path}
    # The node ends at once, at the sight of an unknown ROS argument.
    result = python(here, children.module_command(module, "--ros-args", "--unknown"), environment)
    assert not (here.parent / "executed").exists()
    assert result.returncode != 0
    assert "No module named 'mvloc_ros" not in result.stderr


def test_arguments_and_the_exit_code_pass_through(here: Path):
    result = python(here, children.module_command("mvloc_ros.cli", "--version"), children.safe_environment())
    assert (result.returncode, result.stdout[:10]) == (0, "mvloc_ros ")
    result = python(here, children.module_command("mvloc_ros.cli", "bag", "info", "nowhere"), dict(os.environ))
    assert result.returncode == 2
    assert result.stderr.startswith("mvloc bag info: ")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="PYTHONSAFEPATH comes with Python 3.11")
def test_the_workers_of_multiprocessing_are_protected_too(here: Path, tmp_path: Path):
    script = tmp_path / "scripts" / "spawn.py"
    script.parent.mkdir()
    script.write_text(SPAWN)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    result = python(here, [sys.executable, str(script)], environment)
    assert result.stdout == "3\n", result.stderr
    assert not (here.parent / "executed").exists()


def test_no_child_of_the_package_is_started_with_the_current_folder_first():
    for path in (ROOT / "mvloc_ros").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "sys.executable" not in text or path.name == "children.py", f"{path}: use children.module_command"
