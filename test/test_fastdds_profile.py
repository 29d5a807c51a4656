# SPDX-License-Identifier: Apache-2.0
"""The variable that the installed Fast DDS reads, and who sets it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mvloc_ros.fastdds_profile import NEW, OLD, FastDds, installed, settings, shipped

ROOT = Path(__file__).resolve().parents[1]


def prefix(folder: Path, package: str) -> dict[str, str]:
    (folder / "share" / package).mkdir(parents=True)
    return {"AMENT_PREFIX_PATH": str(folder)}


def test_the_version_comes_from_the_installed_package_and_only_then_from_the_distribution(tmp_path: Path):
    environ = {**prefix(tmp_path, "fastrtps"), "ROS_DISTRO": "kilted"}
    assert installed(environ, "") == FastDds(2)
    (tmp_path / "share" / "fastrtps" / "package.xml").write_text("<version>2.6.9</version>", encoding="utf-8")
    assert str(installed(environ, "")) == "Fast DDS 2.6.9"
    for distribution, major in (("humble", 2), ("jazzy", 2), ("kilted", 3), ("lyrical", 3)):
        assert installed({"ROS_DISTRO": distribution}, "") == FastDds(major)
    assert installed({}, "") is None


@pytest.mark.parametrize(("package", "read", "other"), [("fastrtps", OLD, NEW), ("fastdds", NEW, OLD)])
def test_only_the_variable_that_is_read_is_set_and_a_file_of_the_users_wins(
    package: str, read: str, other: str, tmp_path: Path
):
    environ = prefix(tmp_path, package)
    assert settings(environ) == {read: str(ROOT / "config" / "fastdds.xml")}
    assert settings({**environ, read: "mine.xml"}) == {}
    assert settings({**environ, other: "mine.xml"}) == {read: "mine.xml"}


def test_the_profile_of_the_source_tree_is_found():
    assert shipped() == ROOT / "config" / "fastdds.xml"


def test_no_file_sets_a_variable_by_itself():
    """What starts processes asks `settings`, so that no place knows one distribution alone."""
    files = [path for folder in ("mvloc_ros", "bench", "launch") for path in (ROOT / folder).rglob("*.py")]
    naming = {path.name for path in files if "_DEFAULT_PROFILES_FILE" in path.read_text(encoding="utf-8")}
    assert naming == {"fastdds_profile.py"}
    for path in ("docs/node.md", "config/fastdds.xml"):
        text = (ROOT / path).read_text(encoding="utf-8")
        assert NEW in text, path
        assert OLD in text, path


@pytest.mark.parametrize(("package", "read"), [("fastrtps", OLD), ("fastdds", NEW)])
def test_the_environment_file_sets_the_variable_that_is_read(package: str, read: str, tmp_path: Path):
    (tmp_path / "share" / package).mkdir(parents=True)
    template = (ROOT / "pip_ros" / "environment.pth.in").read_text(encoding="utf-8")
    (line,) = [line for line in template.splitlines() if line and not line.startswith("#")]
    code = f"import sys; sys.prefix = {str(tmp_path)!r}; {line}; print([n for n in os.environ if 'PROFILES' in n])"
    environ = {name: value for name, value in os.environ.items() if name not in (NEW, OLD)}
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], env=environ, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.strip() == str([read])
