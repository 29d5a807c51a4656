# SPDX-License-Identifier: Apache-2.0
"""Each kind of value that cannot be used is refused with a sentence that says what can."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from mvloc_ros.parameters.checks import fault_of
from mvloc_ros.parameters.declaration import Declaration
from mvloc_ros.parameters.errors import ParameterError
from mvloc_ros.parameters.table import TABLE, NodeParameters


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "status_period",
            0.05,
            "The parameter status_period must be a number with a decimal point from 0.1 to 60 (default: 1.0), "
            "not 0.05.",
        ),
        (
            "starvation_timeout",
            3,
            "The parameter starvation_timeout must be a number with a decimal point from 0.2 to 60 (default: 2.0), "
            "not 3.",
        ),
        (
            "gate_confirmations",
            2.5,
            "The parameter gate_confirmations must be a whole number from 1 to 1000 (default: 5), not 2.5.",
        ),
        ("gate_confirmations", True, "must be a whole number from 1 to 1000 (default: 5), not True."),
        ("gate_confirmations", 0, "must be a whole number from 1 to 1000 (default: 5), not 0."),
        ("gate_max_jump", math.nan, "must be a number with a decimal point from 0 to 1e6 (default: 2.0), not nan."),
        ("gate_max_jump", math.inf, "must be a number with a decimal point from 0 to 1e6 (default: 2.0), not inf."),
        ("gate", "yes", "The parameter gate must be true or false (default: True), not yes."),
        ("gate", 1, "The parameter gate must be true or false (default: True), not 1."),
        ("map_frame", 1, "The parameter map_frame must be a text (default: ''), not 1."),
        ("map_frame", None, "The parameter map_frame must be a text (default: ''), not None."),
        ("map_frame", ["a"], "The parameter map_frame must be a text (default: ''), not ['a']."),
        ("map_frame", True, "The parameter map_frame must be a text (default: ''), not True."),
        ("publish_frame", False, "The parameter publish_frame must be a text (default: 'odom'), not False."),
        (
            "publish_frame",
            "moon",
            "The parameter publish_frame must be one of odom, base_link, camera, none, not 'moon'.",
        ),
        ("refine", True, "The parameter refine must be one of auto, off, required, not True."),
        ("refine", 0, "The parameter refine must be one of auto, off, required, not 0."),
        ("refine", "Off", "The parameter refine must be one of auto, off, required, not 'Off'."),
        ("gate_max_jmup", 1.0, "The node has no parameter gate_max_jmup; the nearest name is gate_max_jump, "),
        ("refine-starts", 1, "The node has no parameter refine-starts; the nearest name is refine_starts, "),
        ("\x1b[31m", 1, r"The node has no parameter \x1b[31m; the nearest name is "),
    ],
)
def test_a_value_that_cannot_be_used(name: str, value: Any, sentence: str):
    with pytest.raises(ParameterError, match=re.escape(sentence)):
        NodeParameters().having({name: value})


def test_foreign_values_are_shortened():
    assert len(fault_of(TABLE["publish_frame"], "x" * 10_000)) < 200
    assert "\n" not in fault_of(TABLE["gate"], "line\nline")


def test_a_number_without_a_range_is_finite():
    declaration = Declaration("speed", 1.0, "speed", "m/s", None, (), "configure")
    assert fault_of(declaration, math.inf) == "The parameter speed must be a finite number, not inf."
    assert not fault_of(declaration, -1e300)


@pytest.mark.parametrize("declaration", TABLE.values(), ids=TABLE)
def test_ends_of_ranges_and_all_choices_are_accepted(declaration: Declaration):
    kind = type(declaration.default)
    for value in (declaration.default, *map(kind, declaration.range or ()), *declaration.choices):
        assert not fault_of(declaration, value)


def test_off_is_understood_where_yaml_made_a_boolean_of_it():
    assert NodeParameters().having({"refine": False}).refine == "off"


def test_nothing_is_replaced_unless_all_can_be():
    values = NodeParameters(lost_after=9.0)
    changed = values.having({"lost_after": 3.0, "map_frame": "hall"})
    assert (changed.lost_after, changed.map_frame, values.lost_after) == (3.0, "hall", 9.0)
    assert values.having({}) == values
