# SPDX-License-Identifier: Apache-2.0
"""Write config/mvloc.yaml and the table in docs/node.md again, from mvloc_ros/parameters; a test compares them.

.venv/bin/python tools/parameter_table.py
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mvloc_ros.parameters.declaration import Declaration, declarations  # noqa: E402
from mvloc_ros.parameters.ros_yaml import plain_value  # noqa: E402
from mvloc_ros.parameters.table import GROUPS, TABLE  # noqa: E402

YAML, DOCUMENT = ROOT / "config" / "mvloc.yaml", ROOT / "docs" / "node.md"
BEGIN, END = "<!-- parameters: written by tools/parameter_table.py -->\n", "<!-- end of parameters -->"
_HEAD = """\
# Every parameter of the node with its default. Copy, change, and pass the copy:
#   ros2 launch mvloc_ros mvloc.launch.py params_file:=my.yaml model:=/path/to/bundle
# In brackets: the unit, and the range or the choices where the text does not name them.
# Written by tools/parameter_table.py from mvloc_ros/parameters.
/**:
  ros__parameters:
"""
_COMMENT_AT, _WIDTH = 37, 120


def default_of(declaration: Declaration) -> str:
    """The default as YAML has it: texts that ROS would read as something else are quoted."""
    value = declaration.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value if value.isidentifier() and plain_value(value) == value else f'"{value}"'
    return repr(value)


def yaml_text() -> str:
    """The whole of config/mvloc.yaml."""
    groups = ("\n".join((f"    # {title}", *map(_yaml_lines, declarations(group)))) for title, group in GROUPS.items())
    return _HEAD + "\n\n".join(groups) + "\n"


def _yaml_lines(declaration: Declaration) -> str:
    begin = f"    {declaration.name}: {default_of(declaration)}"
    explained = declaration.choices and all(f"`{choice}`:" in declaration.text for choice in declaration.choices)
    bounds = ", ".join(filter(None, (declaration.unit, "" if explained else declaration.limits())))
    text = (f"[{bounds}] " if bounds else "") + declaration.text
    margin = " " * _COMMENT_AT + "# "
    lines = textwrap.wrap(text, _WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False)
    return "\n".join((begin.ljust(_COMMENT_AT) + lines[0][_COMMENT_AT:], *lines[1:]))


def table() -> str:
    """The lines of the table, as Markdown."""
    lines = ["| parameter | default | unit | range or choices | meaning |", "|---|---|---|---|---|"]
    for declaration in TABLE.values():
        default = default_of(declaration)
        default = f"`{default}`" if isinstance(declaration.default, str) else default
        limits = declaration.limits()
        limits = ", ".join(f"`{choice}`" for choice in declaration.choices) or limits
        cells = (f"`{declaration.name}`", default, declaration.unit, limits, declaration.text)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def rewritten(text: str) -> str:
    """The document with its table replaced by the present one."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    YAML.write_text(yaml_text(), encoding="utf-8")
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
