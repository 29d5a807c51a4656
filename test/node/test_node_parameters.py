# SPDX-License-Identifier: Apache-2.0
"""rclpy and the ROS-free reader give the same values, and refuse the same ones with the same sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import rclpy
from rcl_interfaces.msg import ParameterType
from rclpy.node import Node
from rclpy.parameter import Parameter

from mvloc_ros.limits import MOST_NAMED
from mvloc_ros.node import parameters
from mvloc_ros.parameters.errors import ParameterError
from mvloc_ros.parameters.files import parse_overrides, read_parameter_file
from mvloc_ros.parameters.table import TABLE, NodeParameters

MakeNode = Callable[..., Node]


@pytest.fixture(scope="module")
def make_node() -> Iterator[MakeNode]:
    """Make a node with ROS arguments; nothing runs in it."""
    context, nodes = rclpy.Context(), list[Node]()
    rclpy.init(context=context)

    def make(*arguments: str) -> Node:
        nodes.append(
            Node("mvloc", context=context, cli_args=["--ros-args", *arguments], start_parameter_services=False)
        )
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    rclpy.shutdown(context=context)


def outcome(read: Callable[[], NodeParameters]) -> NodeParameters | str:
    try:
        return read()
    except ParameterError as error:
        return str(error)


def of_node(node: Node) -> NodeParameters:
    parameters.declare(node)
    return parameters.read(node)


OVERRIDES = [
    "gate_max_jump:=1.5", "pair_tolerance:=1e-2", "pair_tolerance:=1.", "pair_tolerance:=.5", "pair_tolerance:=+5e-1",
    "starvation_timeout:=3", "status_period:=0.05", "status_period:=.nan", "status_period:=nan", "status_period:=.inf",
    "status_period:=-Infinity", "depth_unit_m:=1e400", "depth_unit_m:=-0.5", "cloud_splat:=08", "cloud_splat:=09.5",
    "gate_confirmations:=2.5", "gate_confirmations:=010", "gate_confirmations:=0x1F", "gate_confirmations:=-0x1F",
    "gate_confirmations:=1_000", "gate_confirmations:=1001", "gate_confirmations:=1e2", "gate_confirmations:=true",
    "threads:=99999999999999999999", "threads:=256", "threads:=1:30", "threads:='1'",
    "refine:=off", "refine:=OFF", "refine:='off'", "refine:=no", "refine:=on", "refine:=3", "refine:=never",
    "backend:=abacus", "backend:=off", "backend:='off'", "publish_frame:=moon", "publish_frame:=none",
    "map_frame:=y", "map_frame:=N", "map_frame:=~", "map_frame:=null", "map_frame:='1'", "map_frame:=1",
    "map_frame:=''", "map_frame:=1:30", "map_frame:=2024-01-01", "map_frame:=0b1", "map_frame:=1.2.3", "map_frame:=e5",
    "map_frame:=[a, b]", "map_frame:=hall of mirrors", "model:=~/models/a", "model:=/a/b-c.d",
    "rescale_input:=1", "rescale_input:=Yes", "rescale_input:='yes'", "rescale_input:=yEs", "autostart:=false",
    "executor:=events", "executor:=multi_threaded", "executor:=1",
]  # fmt: skip


@pytest.mark.parametrize("text", OVERRIDES)
def test_overrides_mean_the_same_to_ros(make_node: MakeNode, text: str):
    assert repr(outcome(lambda: parse_overrides([text]))) == repr(outcome(lambda: of_node(make_node("-p", text))))


@pytest.mark.parametrize(
    "text",
    [
        "/**:\n  ros__parameters:\n    lost_after: 3.0\n    refine: off\n",
        "mvloc:\n  ros__parameters: {lost_after: 3.0, map_frame: 'on'}\n",
        "/mvloc:\n  ros__parameters: {lost_after: 3.0}\n/**:\n  ros__parameters: {lost_after: 4.0, threads: 2}\n",
        "/**:\n  ros__parameters: {lost_after: 4.0, threads: 2}\n/mvloc:\n  ros__parameters: {lost_after: 3.0}\n",
        "/**/mvloc:\n  ros__parameters: {lost_after: 3.0}\n/ekf:\n  ros__parameters: {lost_after: 5.0}\n",
        "/*:\n  ros__parameters: {lost_after: 3.0}\n/robot/mvloc:\n  ros__parameters: {lost_after: 5.0}\n",
        "/**:\n  ros__parameters: {use_sim_time: true, lost_after: 1e-1}\n",
        "/**:\n  ros__parameters: {lost_after: 3}\n",
        "/**:\n  ros__parameters: {publish_frame: moon}\n",
    ],
)
def test_files_mean_the_same_to_ros(make_node: MakeNode, tmp_path: Path, text: str):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    ours = outcome(lambda: read_parameter_file(path))
    ours = ours.removeprefix(f"The parameter file {path}: ") if isinstance(ours, str) else ours
    assert ours == outcome(lambda: of_node(make_node("--params-file", str(path))))
    assert ours != NodeParameters()


@pytest.mark.parametrize(("text", "seen"), [("/robot/mvloc", 3.0), ("/robot/*", 3.0), ("/*", 2.0), ("/*/mvloc", 3.0)])
def test_sections_match_nodes_in_namespaces_as_in_ros(make_node: MakeNode, tmp_path: Path, text: str, seen: float):
    path = tmp_path / "mine.yaml"
    path.write_text(f"/**:\n  ros__parameters: {{lost_after: 2.0}}\n{text}:\n  ros__parameters: {{lost_after: 3.0}}\n")
    assert read_parameter_file(path, node="/robot/mvloc").lost_after == seen
    assert of_node(make_node("--params-file", str(path), "-r", "__ns:=/robot")).lost_after == seen


def test_ros_describes_what_is_declared(make_node: MakeNode):
    node = make_node()
    parameters.declare(node)
    kinds = {bool: ParameterType.PARAMETER_BOOL, int: ParameterType.PARAMETER_INTEGER}
    kinds |= {float: ParameterType.PARAMETER_DOUBLE, str: ParameterType.PARAMETER_STRING}
    for name, declaration in TABLE.items():
        described = node.describe_parameter(name)
        assert node.get_parameter(name).value == declaration.default
        assert described.type == kinds[type(declaration.default)]
        assert described.description.lower().startswith(declaration.text.lower())
        assert (f"[{declaration.unit}]" in described.description) == bool(declaration.unit)
        ranges = [*described.integer_range, *described.floating_point_range]
        assert [(one.from_value, one.to_value) for one in ranges] == [declaration.range] * (
            declaration.range is not None
        )
        assert described.additional_constraints == (f"one of: {declaration.limits()}" if declaration.choices else "")
        assert described.read_only == (name in ("autostart", "executor"))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("lost_after", 3.0, "lost_after is read at configure: deactivate, clean up, set it, configure again."),
        ("model", "/elsewhere", ""),
        ("use_sim_time", True, ""),
    ],
)
def test_what_may_change_while_the_node_is_configured(name: str, value: object, reason: str):
    result = parameters.check_change([Parameter(name, value=value)], configured=True)
    assert (result.successful, result.reason) == (not reason, reason)
    assert parameters.check_change([Parameter(name, value=value)], configured=False).successful


def test_values_for_parameters_that_there_are_not_are_named(make_node: MakeNode, tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("/**:\n  ros__parameters: {use_sim_time: true, qos_overrides: {a: 1}, lost_aftr: 3.0}\n")
    node = make_node("-p", "gate_max_jmp:=1.0", "-p", "threads:=1", "--params-file", str(path))
    parameters.declare(node)
    first, second = parameters.ignored(node)
    assert first.startswith("The node has no parameter gate_max_jmp; the nearest name is gate_max_jump, ")
    assert second.startswith("The node has no parameter lost_aftr; the nearest name is lost_after, ")
    assert len(parameters.ignored(make_node(*(w for n in range(50) for w in ("-p", f"x{n}:=1"))))) == MOST_NAMED


def test_what_is_read_at_the_start_only_cannot_be_set_later(make_node: MakeNode):
    node = make_node()
    parameters.declare(node)
    for change in (Parameter("autostart", value=False), Parameter("executor", value="events")):
        (result,) = node.set_parameters([change])
        assert not result.successful
        assert "read-only" in result.reason


def test_an_executor_that_there_is_not_is_refused_before_the_node_runs(make_node: MakeNode):
    """At configure it would be too late: the parameter is read-only by then."""
    with pytest.raises(ParameterError, match="executor must be one of single_threaded, events, not 'many'"):
        parameters.declare(make_node("-p", "executor:=many"))
