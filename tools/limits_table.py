# SPDX-License-Identifier: Apache-2.0
"""Write the table of limits in SECURITY.md again, from mvloc_ros/limits.py; a test compares the two.

.venv/bin/python tools/limits_table.py
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "SECURITY.md"
BEGIN, END = "<!-- limits: written by tools/limits_table.py -->\n", "<!-- end of limits -->"
_UNITS = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10))


def meanings() -> dict[str, str]:
    """The docstring below each constant of limits.py, as one line; the words of its name where there is none."""
    body = ast.parse((ROOT / "mvloc_ros" / "limits.py").read_text(encoding="utf-8")).body
    found = {}
    for statement, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        if not isinstance(target, ast.Name) or target.id.startswith("_"):
            continue
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        text = str(after.value.value) if is_text else target.id.replace("_", " ").lower()
        found[target.id] = " ".join(text.split()).replace("|", "\\|")
    return found


def shown(name: str, value: object) -> str:
    """A value as the table has it: bytes in the largest unit that divides them, whole numbers in groups of three."""
    if isinstance(value, int):
        for unit, size in _UNITS if "BYTES" in name else ():
            if value and value % size == 0:
                return f"{value // size} {unit}"
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple) and len(value) == 2:
        return " to ".join(shown(name, end) for end in value)
    return f"`{value!r}`"


def table() -> str:
    """The lines of the table, as Markdown."""
    sys.path.insert(0, str(ROOT))
    from mvloc_ros import limits

    lines = ["| constant of `mvloc_ros/limits.py` | value | of what |", "|---|---|---|"]
    for name, meaning in meanings().items():
        lines.append(f"| `{name}` | {shown(name, getattr(limits, name))} | {meaning} |")
    return "\n".join(lines) + "\n"


def rewritten(text: str) -> str:
    """The document with its table replaced by the present one."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    DOCUMENT.write_text(rewritten(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
