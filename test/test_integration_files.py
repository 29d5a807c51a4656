# SPDX-License-Identifier: Apache-2.0
"""The files that users copy: every parameter, topic and argument in them that is ours exists."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import yaml
from mvloc_ros.msg import LocalizationStatus
from rclpy.node import Node

from mvloc_ros.launch_support import require_packages, sim_time
from mvloc_ros.parameters.checks import fault_of
from mvloc_ros.parameters.table import TABLE

ROOT = Path(__file__).resolve().parents[1]
CAMERAS = sorted((ROOT / "config" / "cameras").glob("*.yaml"))
LAUNCH = (ROOT / "launch" / "mvloc.launch.py").read_text(encoding="utf-8")
KEYS = {"color_topic", "depth_topic", "cloud_topic", "color_transport", "depth_source"}


def of_the_node(path: Path) -> list[dict[str, Any]]:
    """The parameters that a file gives this node."""
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [entry["ros__parameters"] for name, entry in values.items() if name in ("/**", "/**/mvloc")]


@pytest.mark.parametrize("path", CAMERAS, ids=lambda path: path.stem)
def test_a_camera_names_topics_and_nothing_unknown(path: Path):
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(values) <= KEYS
    assert {"color_topic", "cloud_topic" if values.get("depth_source") == "cloud" else "depth_topic"} <= set(values)
    # Relative: two robots in namespaces of their own do not hear one camera.
    assert not [value for name, value in values.items() if name.endswith("_topic") and value.startswith("/")]
    for name in set(values) & set(TABLE):
        assert not fault_of(TABLE[name], values[name])


def test_every_camera_key_is_a_launch_argument():
    for key in KEYS:
        assert f'"{key}"' in LAUNCH, key


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "integration").glob("*.yaml")), ids=lambda path: path.stem)
def test_integration_parameters_exist_and_are_allowed(path: Path):
    found = of_the_node(path)
    assert found
    for name, value in found[0].items():
        assert not fault_of(TABLE[name], value), name


def test_the_filters_fuse_fifteen_values_and_gate_by_a_distance():
    values = yaml.safe_load((ROOT / "config" / "integration" / "robot_localization.yaml").read_text(encoding="utf-8"))
    for name in ("ekf_odom", "ekf_map"):
        parameters = values[f"/**/{name}"]["ros__parameters"]
        assert all(len(parameters[key]) == 15 for key in parameters if key.endswith("_config"))
    assert values["/**/ekf_map"]["ros__parameters"]["pose0"] == "mvloc/pose_with_covariance"
    assert values["/**/ekf_odom"]["ros__parameters"]["world_frame"] == "odom"
    assert of_the_node(ROOT / "config" / "integration" / "robot_localization.yaml")[0]["publish_frame"] == "none"


@pytest.mark.parametrize("namespace", ["", "/robot1"])
def test_the_filter_of_the_map_accepts_a_first_pose_anywhere(namespace: str):
    """As robot_localization reads it, through rcl: 15x15 values, with nothing known of x, y and yaw."""
    path = ROOT / "config" / "integration" / "robot_localization.yaml"
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = Node(
            "ekf_map", namespace=namespace, context=context, cli_args=["--ros-args", "--params-file", str(path)],
            automatically_declare_parameters_from_overrides=True,
        )  # fmt: skip
        covariance = np.reshape(node.get_parameter("initial_estimate_covariance").value, (15, 15))
        fused = node.get_parameter("pose0_config").value
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)
    np.testing.assert_array_equal(covariance, np.diag(np.where(fused, 100.0, 1e-9)))


def test_the_topics_of_the_launch_file_are_relative():
    tree = ast.parse(LAUNCH)
    (topics,) = (
        ast.literal_eval(statement.value)
        for statement in tree.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "TOPICS"
    )
    assert topics
    assert not [topic for topic in topics.values() if topic.startswith("/")]


def test_missing_packages_are_named_before_anything_is_started(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    require_packages("rclpy")
    with pytest.raises(RuntimeError, match=r"sudo apt install ros-jazzy-no-such-package$"):
        require_packages("rclpy", "no_such_package")
    for path in (ROOT / "launch").glob("*_localization.launch.py"):
        body = path.read_text(encoding="utf-8").split("def generate_launch_description")[1]
        assert body.index("require_packages(") < body.index("IncludeLaunchDescription(")


def test_use_sim_time_that_is_not_given_is_left_to_the_parameter_file():
    assert sim_time("") == []
    assert sim_time("True") == [{"use_sim_time": True}]
    assert sim_time("false") == [{"use_sim_time": False}]


def test_the_views_show_fields_that_the_status_has():
    text = (ROOT / "config" / "views" / "foxglove.json").read_text(encoding="utf-8")
    json.loads(text)
    fields = LocalizationStatus.get_fields_and_field_types()
    shown = re.findall(r"/mvloc/status\.(\w+)", text)
    assert shown
    assert set(shown) <= set(fields)
    yaml.safe_load((ROOT / "config" / "views" / "mvloc.rviz").read_text(encoding="utf-8"))


@pytest.mark.parametrize("view", ["foxglove.json", "mvloc.rviz"])
def test_the_views_show_topics_that_the_node_has(view: str):
    documented = re.findall(
        r"`~/(\w+)`", (ROOT / "docs" / "node.md").read_text(encoding="utf-8").split("## Services")[0]
    )
    shown = set(re.findall(r"/mvloc/(\w+)", (ROOT / "config" / "views" / view).read_text(encoding="utf-8")))
    assert shown <= set(documented)
    assert {"map_points", "scan_points", "debug_image", "pose_with_covariance"} <= shown


@pytest.mark.parametrize("path", sorted((ROOT / "launch").glob("*.py")), ids=lambda path: path.stem)
def test_launch_files_parse_and_name_files_that_exist(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert any(isinstance(item, ast.FunctionDef) and item.name == "generate_launch_description" for item in tree.body)
    for name in re.findall(r'"config", "integration", "([\w.]+)"', path.read_text(encoding="utf-8")):
        assert (ROOT / "config" / "integration" / name).is_file()


def test_launch_refuses_unknown_cameras_and_words_that_are_neither_true_nor_false():
    """By the argument's own `choices`, of which launch says a sentence that lists them."""
    tree = ast.parse(LAUNCH)
    values = {
        statement.targets[0].id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }
    choices = dict(zip(map(ast.literal_eval, values["CHOICES"].keys), values["CHOICES"].values, strict=True))
    assert "CAMERAS" in ast.unparse(choices["camera"])
    booleans = {
        ast.literal_eval(name)
        for name, value in zip(values["ARGUMENTS"].keys, values["ARGUMENTS"].values, strict=True)
        if name.value.startswith("use_")
    }
    assert "use_sim_time" in booleans
    for name in booleans:
        assert [text for text in ast.literal_eval(choices[name]) if text] == ["true", "false", "True", "False"]


def test_every_boolean_launch_argument_has_its_choices():
    """Those of mvloc.launch.py, which come from its tables, are looked at above."""
    looked_at = 0
    for path in [*(ROOT / "launch").glob("*.py"), ROOT / "mvloc_ros" / "launch_support.py"]:
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "DeclareLaunchArgument":
                given = {word.arg: ast.unparse(word.value) for word in call.keywords}
                is_boolean = given.get("default_value") in ("'true'", "'false'")
                if is_boolean or ast.unparse(call.args[0]).strip("'").startswith("use_"):
                    looked_at += 1
                    assert {"'true'", "'false'"} <= set(given["choices"].strip("[]").split(", ")), ast.unparse(call)
    assert looked_at


def test_launch_itself_refuses_them(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("launch_ros", reason="`launch` comes with ROS, not from PyPI")
    import importlib.util

    from launch import LaunchContext

    monkeypatch.setattr("ament_index_python.packages.get_package_share_directory", lambda _: str(ROOT))
    spec = importlib.util.spec_from_file_location("mvloc_launch", ROOT / "launch" / "mvloc.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    declared = {argument.name: argument for argument in module.generate_launch_description().get_launch_arguments()}
    for name, value, words in (("camera", "nosuch", "realsense"), ("use_sim_time", "1", "true")):
        context = LaunchContext()
        context.launch_configurations[name] = value
        with pytest.raises(RuntimeError, match=words):
            declared[name].execute(context)
