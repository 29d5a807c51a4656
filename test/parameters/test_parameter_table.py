# SPDX-License-Identifier: Apache-2.0
"""Every parameter is declared once; config/mvloc.yaml, docs/node.md and the launch files say what is declared."""

from __future__ import annotations

import ast
import importlib.util
import math
import re
import subprocess
import sys
from dataclasses import fields
from itertools import takewhile
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.motion import Growth, MotionModel
from mvloc_ros.localization.options import MODES, RefinementOptions
from mvloc_ros.parameters.declaration import Declaration, number
from mvloc_ros.parameters.table import GROUPS, TABLE, NodeParameters

ROOT = Path(__file__).resolve().parents[2]
YAML = (ROOT / "config" / "mvloc.yaml").read_text(encoding="utf-8")
DOCUMENT = (ROOT / "docs" / "node.md").read_text(encoding="utf-8")
LAUNCH = ROOT / "launch" / "mvloc.launch.py"
DECLARED = pytest.mark.parametrize("declaration", TABLE.values(), ids=TABLE)
HOW = "run: python tools/parameter_table.py"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mvloc_tool_parameter_table", ROOT / "tools" / "parameter_table.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The declarations


def test_the_values_are_those_of_the_groups():
    assert {item.name for item in fields(NodeParameters)} == set(TABLE)
    assert sum(len(fields(group)) for group in GROUPS.values()) == len(TABLE), "one name in two groups"
    assert vars(NodeParameters()) == {name: declaration.default for name, declaration in TABLE.items()}


@DECLARED
def test_a_declaration_is_whole(declaration: Declaration):
    (item,) = (item for item in fields(NodeParameters) if item.name == declaration.name)
    assert item.type == type(declaration.default).__name__
    assert declaration.text[0].isalpha()
    assert not declaration.text.endswith(".")
    assert "|" not in declaration.text
    assert declaration.changes in ("start", "configure", "running")
    if isinstance(declaration.default, str):
        assert declaration.range is None
        assert not declaration.unit
        assert not declaration.choices or declaration.default in declaration.choices
    elif isinstance(declaration.default, bool):
        assert (declaration.range, declaration.choices, declaration.unit) == (None, (), "")
    else:
        low, high = declaration.range
        assert low <= declaration.default <= high < math.inf
        assert type(low) is type(high) is type(declaration.default)
        assert not declaration.choices


def test_choices_that_the_text_explains_exist():
    for declaration in TABLE.values():
        explained = set(re.findall(r"`(\w+)`:", declaration.text))
        assert explained <= set(declaration.choices), declaration.name


def test_the_defaults_of_the_localizer_are_those_of_the_parameters():
    values = NodeParameters()
    assert values.refinement == RefinementOptions()
    limits, expected = values.gate_limits, GateLimits()
    assert limits == expected
    assert limits.motion == MotionModel()
    assert values.gate_max_turn_rate == 60.0


def test_conversions_to_si_units():
    values = NodeParameters(
        gate=False, gate_max_jump=3.0, gate_max_turn=90.0, gate_max_mahalanobis=4.0, gate_confirmations=7,
        gate_initial_fixes=3, gate_odometry_drift=0.2, gate_max_speed=2.0, gate_max_turn_rate=180.0, lost_after=1.5,
        refine="required", refine_budget_ms=30.0, refine_points=500, refine_starts=2, unverified_after=8.0,
    )  # fmt: skip
    motion = MotionModel(Growth(0.2, 0.2, 0.02, 0.01), 2.0, math.pi)
    assert values.gate_limits == GateLimits(False, 3.0, 0.5 * math.pi, 4.0, 7, 3, 1_500_000_000, motion)
    assert values.refinement == RefinementOptions("required", 30.0, 500, 2, unverified_after_s=8.0)


@DECLARED
def test_the_localizer_accepts_the_whole_range(declaration: Declaration):
    for value in (*map(type(declaration.default), declaration.range or ()), *declaration.choices):
        values = NodeParameters().having({declaration.name: value})
        assert values.refinement.mode in MODES
        assert values.gate_limits.lost_after_ns >= 0


# What users read


def test_the_yaml_file_is_the_present_one(tool: ModuleType):
    assert tool.yaml_text() == YAML, HOW
    listed = yaml.safe_load(YAML)["/**"]["ros__parameters"]
    assert listed == {name: declaration.default for name, declaration in TABLE.items()}
    assert max(map(len, YAML.splitlines())) <= 120


def test_the_table_in_the_documents_is_the_present_one(tool: ModuleType):
    assert tool.rewritten(DOCUMENT) == DOCUMENT, HOW


def rows() -> dict[str, list[str]]:
    body = DOCUMENT.split("<!-- parameters: ")[1].split("<!-- end of parameters -->")[0]
    lines = [line.strip("| ").split(" | ") for line in body.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): [cell.strip() for cell in cells] for cells in lines}


def test_the_documents_list_every_parameter_and_no_other():
    assert list(rows()) == list(TABLE)


@DECLARED
def test_every_parameter_is_documented(declaration: Declaration):
    _, default, unit, limits, meaning = rows()[declaration.name]
    assert yaml.safe_load(default.strip("`")) == declaration.default
    assert unit == declaration.unit
    named = tuple(re.findall(r"`(\w+)`", limits))
    assert named == declaration.choices
    bounds = () if named or not limits else tuple(map(float, limits.split(" to ")))
    assert bounds == (declaration.range or ())
    assert meaning == declaration.text


@DECLARED
def test_the_yaml_file_says_unit_range_and_choices(declaration: Declaration):
    first, *others = YAML.split(f"    {declaration.name}: ")[1].splitlines()
    more = takewhile(lambda line: line.startswith(" " * 37 + "# "), others)
    text = " ".join((first.split("# ", 1)[1], *(line.strip(" #") for line in more)))
    assert text.endswith(declaration.text)
    if declaration.range:
        assert f"{number(declaration.range[0])} to {number(declaration.range[1])}]" in text
    if declaration.unit:
        assert text.startswith(f"[{declaration.unit}")
    assert all(choice in text for choice in declaration.choices)


def test_other_pages_name_the_same_defaults():
    pages = " ".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))
    named = re.findall(r"`(\w+)` (?:\(|is )([\d.]*\d) (?:m?s|m|Hz|degrees)\b", " ".join(pages.split()))
    named = [(name, float(value)) for name, value in named if name in TABLE]
    assert len(named) >= 2
    for name, value in named:
        assert value == TABLE[name].default, name


@pytest.mark.parametrize(("value", "text"), [(0.0, "0"), (0.1, "0.1"), (1e6, "1e6"), (1e9, "1e9"), (10000.0, "10000")])
def test_numbers_are_shown_without_noise(value: float, text: str):
    assert number(value) == text


def test_texts_that_ros_would_not_take_for_texts_are_quoted(tool: ModuleType):
    def default_of(value: object) -> str:
        return tool.default_of(Declaration("name", value, "text", "", None, (), "configure"))

    shown = [default_of(value) for value in ("off", "", "1", "a b", "odom", True, 1.0, 5)]
    assert shown == ['"off"', '""', '"1"', '"a b"', "odom", "true", "1.0", "5"]


# The launch files


def launch_values() -> dict[str, ast.expr]:
    tree = ast.parse(LAUNCH.read_text(encoding="utf-8"))
    return {
        statement.targets[0].id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
    }


def test_launch_arguments_that_are_parameters_exist_and_say_nothing_of_their_own():
    values = launch_values()
    names = ast.literal_eval(values["PARAMETERS"])
    assert "model" in names
    assert set(names) <= set(TABLE)
    others = {ast.literal_eval(key) for key in values["ARGUMENTS"].keys}
    assert not others & set(TABLE), "a parameter with a text or default of its own"
    topics = set(ast.literal_eval(values["TOPICS"]))
    assert not topics & set(TABLE)


def test_launch_tells_meaning_default_and_choices():
    pytest.importorskip("launch_ros", reason="`launch` comes with ROS, not from PyPI")
    spec = importlib.util.spec_from_file_location("mvloc_launch", LAUNCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    arguments = {argument.name: argument for argument in module.generate_launch_description().get_launch_arguments()}
    for name in module.PARAMETERS:
        declaration = TABLE[name]
        assert arguments[name].description.startswith(declaration.text)
        assert not declaration.default or arguments[name].description.endswith(f"default: {declaration.default}")
        assert arguments[name].choices == (["", *declaration.choices] if declaration.choices else None)


# The package


def test_the_package_needs_neither_ros_nor_a_network_library():
    """Commands and launch files import it: in a process of its own, with all of its modules."""
    names = [f"mvloc_ros.parameters.{path.stem}" for path in (ROOT / "mvloc_ros" / "parameters").glob("[a-z]*.py")]
    code = f"import sys, {', '.join(names)}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    heavy = {"rclpy", "rcl_interfaces", "torch", "onnxruntime", "cv2", "open3d", "small_gicp", "scipy", "launch"}
    assert not heavy & {name.split(".")[0] for name in loaded.stdout.split()}
