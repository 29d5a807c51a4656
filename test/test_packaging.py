# SPDX-License-Identifier: Apache-2.0
"""What surrounds the code: launch file, package.xml, set-up script, and the commands in the documents."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import mvloc_ros
from mvloc_ros.cli import _parser

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README", "SECURITY", "CONTRIBUTING", "CHANGELOG")
DOCUMENTS = [*(ROOT / f"{name}.md" for name in NAMES), *sorted((ROOT / "docs").rglob("*.md"))]


def commands() -> list[tuple[str, str]]:
    """Every `mvloc ...` line of the documents' code blocks."""
    found = []
    for path in DOCUMENTS:
        for block in re.findall(r"```\w*\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                command = line.split("#")[0].strip()
                command = re.sub(r"^torchrun .* -m mvloc_ros\.cli ", "mvloc ", command)
                if re.match(r"(\.venv/bin/)?mvloc ", command):
                    found.append((path.name, command))
    return found


@pytest.mark.parametrize(("document", "command"), commands())
def test_commands_in_the_documents_are_understood(document: str, command: str):
    _parser().parse_args(shlex.split(command)[1:])


def test_there_are_commands_in_the_documents():
    assert len(commands()) >= 5


def test_links_in_the_documents_lead_somewhere():
    for path in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_files_that_the_documents_name_exist():
    for path in DOCUMENTS:
        for target in re.findall(r"`((?:test|bench|config|launch)/[\w./-]*)`", path.read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{path.name}: {target}"


def test_launch_file_describes_its_arguments():
    pytest.importorskip("launch_ros", reason="`launch` comes with ROS, not from PyPI")
    import importlib.util

    spec = importlib.util.spec_from_file_location("mvloc_launch", ROOT / "launch" / "mvloc.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = {argument.name for argument in module.generate_launch_description().get_launch_arguments()}
    assert {"model", "color_topic", "depth_topic", "namespace", "params_file", "use_sim_time", "map_frame"} <= names


def test_versions_agree():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.findtext("version") == mvloc_ros.__version__
    assert package.findtext("name") == "mvloc_ros"


def test_every_ros_package_that_is_imported_is_declared():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    declared = {element.text for kind in ("depend", "exec_depend") for element in package.iter(kind)}
    names = {
        "rclpy", "sensor_msgs", "geometry_msgs", "std_msgs", "diagnostic_msgs", "builtin_interfaces", "rosgraph_msgs",
        "rcl_interfaces", "lifecycle_msgs", "tf2_ros", "tf2_msgs", "cv_bridge", "sensor_msgs_py", "tf_transformations",
    }  # fmt: skip
    imported = set()
    for path in (ROOT / "mvloc_ros").rglob("*.py"):
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(statement, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in statement.names}
            elif isinstance(statement, ast.ImportFrom):
                imported.add(str(statement.module).split(".")[0])
    assert (imported & names) <= declared


def test_setup_names_what_the_machine_lacks(tmp_path: Path):
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "bootstrap.py"], env={"PATH": str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1
    assert "C++ compiler" in result.stderr
    assert "apt-get install build-essential" in result.stderr


def test_messages_of_the_installed_package_are_those_of_the_source():
    from mvloc_ros.msg import LocalizationStatus

    text = (ROOT / "msg" / "LocalizationStatus.msg").read_text(encoding="utf-8")
    fields = re.findall(r"^[\w/]+(?:\[\])?\s+([a-z]\w*)\s*(?:#.*)?$", text, re.MULTILINE)
    assert list(LocalizationStatus.get_fields_and_field_types()) == fields


def test_no_advice_installs_this_package_from_an_index_that_does_not_have_it():
    texts = [*(ROOT / "mvloc_ros").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]
    assert not [path for path in texts if re.search(r"install '?\"?mvloc_ros", path.read_text(encoding="utf-8"))]
