# SPDX-License-Identifier: Apache-2.0
"""Who may import whom (docs/architecture.md): read from the source, so that a lazy import counts too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mvloc_ros"
ROS = {
    "rclpy", "sensor_msgs", "geometry_msgs", "std_msgs", "diagnostic_msgs", "builtin_interfaces", "rosgraph_msgs",
    "rcl_interfaces", "lifecycle_msgs", "tf2_ros", "tf2_msgs", "cv_bridge", "sensor_msgs_py", "tf_transformations",
    "mvloc_ros.msg", "std_srvs", "rosidl_runtime_py", "bond", "nav2_msgs",
}  # fmt: skip
# Modules directly under mvloc_ros/: any package may import them; they import only each other.
SHARED = {
    "arguments",
    "children",
    "errors",
    "fastdds_profile",
    "file_reader",
    "foreign_text",
    "image_bytes",
    "image_header",
}
SHARED |= {"output_folder"}
SHARED |= {"interrupts", "json_text", "launch_support", "limits", "storage", "yaml_text"}
# Package -> our packages that it may import, besides itself and the shared modules.
ALLOWED = {
    "geometry": set(),
    "recordings": {"geometry", "frontend", "model"},
    "model": {"geometry"},
    "backends": {"geometry", "model"},
    "frontend": {"geometry", "parameters", "model"},
    "localization": {"geometry", "backends", "model"},
    "parameters": {"geometry", "localization", "backends"},
    "mapping": {"geometry", "recordings", "localization", "evaluation", "backends", "model"},
    "posing": {"geometry", "recordings", "localization", "mapping", "model"},
    "evaluation": {"geometry"},
    "drawing": {"localization"},
    "view": {"geometry", "localization", "mapping", "model", "drawing"},
    "replay": {
        "geometry",
        "recordings",
        "frontend",
        "localization",
        "parameters",
        "pipeline",
        "evaluation",
        "backends",
        "model",
    },
    "training": {"geometry", "recordings", "evaluation", "backends", "model"},
    "experiments": {"geometry", "recordings", "evaluation", "replay", "training"},
    "demo": {"geometry", "recordings", "replay", "model"},
    "pipeline": {"geometry", "frontend", "localization", "parameters", "model"},
    "node": {"geometry", "frontend", "localization", "parameters", "pipeline", "backends", "model"},
    "doctor": {"localization", "replay", "backends", "model"},
    "learn": {
        "geometry",
        "recordings",
        "model",
        "backends",
        "localization",
        "evaluation",
        "mapping",
        "posing",
        "replay",
        "training",
        "experiments",
        "drawing",
    },
}
# Only these may import ROS (node: all of it).
ROS_FILES = {"frontend/decode.py", "frontend/clouds.py", "replay/player.py", "replay/recorder.py", "replay/ros.py"}
ROS_FILES |= {"doctor/camera_topics.py", "doctor/middleware_probe.py", "doctor/node_state.py"}


def modules(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it."""
    names = set()
    for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.Import):
            names |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{path}: relative import"
            names |= {f"{statement.module}.{alias.name}" for alias in statement.names} | {str(statement.module)}
    return names


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_imports_only_what_its_package_may(path: Path):
    relative = path.relative_to(PACKAGE).as_posix()
    owner = relative.split("/")[0]
    imported = modules(path)
    ours = {name.split(".")[1] for name in imported if name.startswith("mvloc_ros.")} - {"__version__"}
    assert ours <= ALLOWED[owner] | {owner} | SHARED | ({"msg"} if owner == "node" else set())
    ros = {name for name in imported for package in ROS if name == package or name.startswith(package + ".")}
    if owner != "node" and relative not in ROS_FILES:
        assert not ros
    if owner != "training" and not relative.startswith("backends/torch_backend/"):
        assert not {name for name in imported if name.split(".")[0] in ("torch", "onnx", "tensorboard")}


@pytest.mark.parametrize("name", sorted(SHARED))
def test_what_is_shared_stands_alone(name: str):
    imported = {module for module in modules(PACKAGE / f"{name}.py") if module.startswith("mvloc_ros")}
    assert {module.split(".")[1] for module in imported} <= SHARED


def test_every_package_has_its_rule():
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages == set(ALLOWED)


def test_no_module_imports_itself_through_others():
    """Lazy imports and those for types alone count too: a circle is two modules that are one."""
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
             for path in PACKAGE.rglob("*.py")}  # fmt: skip
    left = {name: (modules(path) & names.keys()) - {name} for name, path in names.items()}
    # A package's own __init__ gives out what its modules hold, and is imported with each of them.
    left = {name: {other for other in imported if not name.startswith(f"{other}.")} for name, imported in left.items()}
    while leaves := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left, "these, or what they import, form circles"
