# SPDX-License-Identifier: Apache-2.0
"""Cases that are to be compared: those with the same load."""

from __future__ import annotations

from typing import Any

DOUBLE = "double"


def groups_of(cases: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Cases by the name of their load."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        rate = f"twice the load ({case['rate_hz']:g} Hz)" if case["load"] == DOUBLE else f"{case['load']} Hz"
        groups.setdefault(f"{case['preset']} {case['width']}x{case['height']} {rate}", []).append(case)
    return groups
