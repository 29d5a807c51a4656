# SPDX-License-Identifier: Apache-2.0
"""Parameters out of ROS parameter files and `name:=value`, for commands that run without a node.

What `ros2 run ... --params-file` ignores without a word is refused here: unknown names, and a file without a section
for the node.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mvloc_ros.foreign_text import shown
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.limits import MOST_LOG_CHARACTERS
from mvloc_ros.parameters.errors import ParameterError
from mvloc_ros.parameters.ros_yaml import plain_value
from mvloc_ros.parameters.table import NodeParameters, is_common
from mvloc_ros.yaml_text import parse_yaml

NODE = "/mvloc"
_VALUES = "ros__parameters"
_LAYOUT = f"write `/**:`, below it `{_VALUES}:`, and below that `name: value`, as config/mvloc.yaml does"


def parse_overrides(texts: Iterable[str], base: NodeParameters | None = None) -> NodeParameters:
    """The parameters with single values replaced, by texts like `gate_max_jump:=1.5`, read as `ros2 run -p` does.

    Args:
        texts: of several for one name, the last one counts.
        base: the values to start from; the defaults where it is None.

    Raises:
        ParameterError: a text is no `name:=value`, a name is unknown, or a value cannot be used.
    """
    values = {}
    for text in texts:
        name, sign, value = text.partition(":=")
        if not (name and sign):
            raise ParameterError(f"{shown(text) or 'An empty text'} is no name:=value, as gate_max_jump:=1.5 is.")
        try:
            parsed = parse_yaml(value, plain=plain_value)
            values[name] = plain_value("") if parsed is None else parsed
        except ValueError as error:
            problem = shown(str(error).replace(" in line 1", ""), MOST_LOG_CHARACTERS)
            raise ParameterError(f"The value of {shown(name)} in {shown(text)} cannot be read: {problem}.") from error
    return (base or NodeParameters()).having(values)


def read_parameter_file(path: Path | str, base: NodeParameters | None = None, node: str = NODE) -> NodeParameters:
    """The parameters that a ROS parameter file gives a node.

    Args:
        path: a YAML file; its sections `/**`, `/**/NAME`, `NAME` ... count where they match the node, in their order.
        base: the values to start from; the defaults where it is None.
        node: the node's name with its namespace.

    Raises:
        ParameterError: the file cannot be read, is none of parameters, has none for this node, an unknown name or a
            value that cannot be used.
    """
    text = read_text(path, "parameter file", ParameterError)
    try:
        content = parse_yaml(text, plain=plain_value)
    except ValueError as error:
        raise ParameterError(
            f"The parameter file {path} is not valid YAML: {shown(error, MOST_LOG_CHARACTERS)}."
        ) from error
    if not isinstance(content, dict):
        raise ParameterError(f"The parameter file {path} has no sections: {_LAYOUT}.")
    try:
        sections = list(_sections("", content))
        own = [values for name, values in sections if _pattern(name).fullmatch(node)]
        if not own:
            names = ", ".join(dict.fromkeys(shown(name) for name, _ in sections)) or "nothing"
            raise ParameterError(f"it has no section for {node}, only {shown(names)}: {_LAYOUT}.")
        values = {name: value for section in own for name, value in _flat("", section)}
        return (base or NodeParameters()).having({name: value for name, value in values.items() if not is_common(name)})
    except ParameterError as error:
        raise ParameterError(f"The parameter file {path}: {error}") from None


def _sections(above: str, content: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names of nodes, which may be wildcards, with their parameters."""
    for key, value in content.items():
        if not isinstance(value, dict):
            raise ParameterError(f"{shown(key)} is no section: {_LAYOUT}.")
        if key != _VALUES:
            yield from _sections(f"{above}/{key.strip('/')}", value)
        elif above:
            yield above, value
        else:
            raise ParameterError(f"{_VALUES} names no node: {_LAYOUT}.")


def _pattern(name: str) -> re.Pattern[str]:
    """The names of nodes that a section is for: `**` is any number of names, `*` is one."""
    wild = {"**": r"(/\w+)*", "*": r"/\w+"}
    return re.compile("".join(wild.get(word) or "/" + re.escape(word) for word in name.split("/")[1:]))


def _flat(above: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Names with dots for nested mappings, as ROS has them."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(f"{above}{name}.", value)
        else:
            yield f"{above}{name}", value
