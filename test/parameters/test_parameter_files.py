# SPDX-License-Identifier: Apache-2.0
"""Parameters out of files and `name:=value`; test/node/test_node_parameters.py compares both with ROS's own reading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mvloc_ros.limits import MOST_DIGITS
from mvloc_ros.parameters.errors import ParameterError
from mvloc_ros.parameters.files import parse_overrides, read_parameter_file
from mvloc_ros.parameters.ros_yaml import plain_value
from mvloc_ros.parameters.table import NodeParameters

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.yaml"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True), ("Off", False), ("NO", False), ("y", True), ("N", False), ("oN", "oN"),
        ("7", 7), ("-7", -7), ("+7", 7), ("017", 15), ("0x1f", 31), ("-0X1F", -31), ("0", 0), ("-0", 0), ("08", 8.0),
        ("9223372036854775807", 2**63 - 1), ("9223372036854775808", 2.0**63), ("-9223372036854775808", -(2**63)),
        ("1.", 1.0), (".5", 0.5), ("1e-3", 1e-3), ("-1.5E2", -150.0), ("1e400", "1e400"), (".inf", float("inf")),
        ("-.INF", -float("inf")), ("Infinity", float("inf")),
        ("1_000", "1_000"), ("1:30", "1:30"), ("~", "~"), ("null", "null"), ("0b1", "0b1"), ("0o7", "0o7"),
        (".", "."), ("e5", "e5"), ("1e", "1e"), ("0x", "0x"), ("\u0661", "\u0661"), ("x" * 1000, "x" * 1000),
    ],
)  # fmt: skip
def test_words_are_read_as_ros_does(text: str, value: object):
    assert plain_value(text) == value
    assert type(plain_value(text)) is type(value)


def test_overrides_replace_single_values_and_the_last_one_counts():
    base = NodeParameters(threads=2)
    values = parse_overrides(["gate_max_jump:=1.5", "refine:=off", "map_frame:='1'", "gate_max_jump:=2.5"], base)
    assert values == NodeParameters(threads=2, gate_max_jump=2.5, refine="off", map_frame="1")
    assert parse_overrides([]) == NodeParameters()
    assert parse_overrides(["model:=/a:=b"]).model == "/a:=b"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gate_max_jump=1.5", "gate_max_jump=1.5 is no name:=value, as gate_max_jump:=1.5 is."),
        ("gate_max_jump", "gate_max_jump is no name:=value"),
        (":=1.5", ":=1.5 is no name:=value"),
        ("", "An empty text is no name:=value"),
        ("map_frame:=", "The value of map_frame in map_frame:= cannot be read: a value is missing; write '' for an"),
        ("map_frame:= ", "cannot be read: a value is missing"),
        ("map_frame:=-", "cannot be read: a value is missing"),
        ("map_frame:='", "The value of map_frame in map_frame:=' cannot be read: "),
        ("map_frame:=*a", "has an anchor or alias"),
        ("map_frame:=!!python/none x", "has the tag"),
        (f"threads:={'9' * (MOST_DIGITS + 1)}", "cannot be read: a number has"),
        ("map_frame:={a: 1}", "The parameter map_frame must be a text (default: ''), not {'a': 1}."),
        ("gate_max_jmp:=1.5", "The node has no parameter gate_max_jmp; the nearest name is gate_max_jump, and"),
        ("use_sim_time:=true", "The node has no parameter use_sim_time; "),
        ("lost_after:=3", "The parameter lost_after must be a number with a decimal point from 0 to 3600"),
    ],
)
def test_an_override_that_cannot_be_used(text: str, sentence: str):
    with pytest.raises(ParameterError, match=re.escape(sentence)) as error:
        parse_overrides(["threads:=1", text])
    assert len(str(error.value).splitlines()) == 1


def test_the_shipped_file_has_the_defaults():
    assert read_parameter_file(ROOT / "config" / "mvloc.yaml") == NodeParameters()


@pytest.mark.parametrize("path", sorted((ROOT / "config" / "integration").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_files_for_other_systems_can_be_read(path: Path):
    assert read_parameter_file(path).pose_frame == "base_link"


def test_a_file_changes_what_it_names(file: Path):
    file.write_text(
        "/**:\n  ros__parameters:\n    use_sim_time: true\n    lost_after: 3.0\n    refine: off\n"
        "    qos_overrides:\n      /tf: {publisher: {depth: 10}}\n"
        "controller:\n  ros__parameters:\n    frequency: 20.0\n"
        "robot:\n  mvloc:\n    ros__parameters:\n      lost_after: 4.0\n"
    )
    base = NodeParameters(threads=2)
    assert read_parameter_file(file, base) == NodeParameters(threads=2, lost_after=3.0, refine="off")
    assert read_parameter_file(file, node="/robot/mvloc").lost_after == 4.0


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "has no sections: write `/**:`, below it `ros__parameters:`, and below that `name: value`"),
        ("- a\n", "has no sections: "),
        ("lost_after: 3.0\n", "lost_after is no section: write `/**:`, below it"),
        ("/**:\n  lost_after: 3.0\n", "lost_after is no section: "),
        ("ros__parameters:\n  lost_after: 3.0\n", "ros__parameters names no node: "),
        ("/**:\n  ros__parameters: [1]\n", "ros__parameters is no section: "),
        ("/**:\n  ros__parameters:\n", "is not valid YAML: a value is missing; write '' for an empty text in line 2."),
        ("{}\n", "it has no section for /mvloc, only nothing: "),
        ("/robot/mvloc:\n  ros__parameters: {lost_after: 3.0}\n", "no section for /mvloc, only /robot/mvloc: "),
        ("mvloc2:\n  ros__parameters: {lost_after: 3.0}\n", "no section for /mvloc, only /mvloc2: "),
        ("/**:\n  ros__parameters: {lost_aftr: 3.0}\n", "no parameter lost_aftr; the nearest name is lost_after"),
        ("/**:\n  ros__parameters: {gate: {max_jump: 3.0}}\n", "no parameter gate.max_jump; the nearest name is"),
        ("/**:\n  ros__parameters: {lost_after: 3}\n", "lost_after must be a number with a decimal point"),
        ("/**:\n  ros__parameters: {lost_after: }\n", "a value is missing"),
        ("/**:\n  ros__parameters: {a: &x 1, b: *x}\n", "has an anchor or alias"),
        ("/**:\n  ros__parameters: {lost_after: 3.0\n", "is not valid YAML: "),
        ("/**:\n  ros__parameters: {lost_after: 3.0, lost_after: 4.0}\n", "'lost_after' occurs twice"),
        ("/**:\n  ros__parameters: {? [a] : 1}\n", "is a list or mapping and not a text"),
    ],
)
def test_a_file_that_cannot_be_used(file: Path, text: str, sentence: str):
    file.write_text(text)
    with pytest.raises(ParameterError, match=re.escape(sentence)) as error:
        read_parameter_file(file)
    assert str(error.value).startswith(f"The parameter file {file}")
    assert len(str(error.value).splitlines()) == 1


def test_what_is_no_file(tmp_path: Path):
    with pytest.raises(ParameterError, match=r"^The parameter file .*nowhere\.yaml cannot be read"):
        read_parameter_file(tmp_path / "nowhere.yaml")
    with pytest.raises(ParameterError, match="cannot be read"):
        read_parameter_file(tmp_path)
