# SPDX-License-Identifier: Apache-2.0
"""A default that is stated in several places is the same in all of them."""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvloc_ros.cli import _parser
from mvloc_ros.parameters.table import TABLE
from mvloc_ros.recordings.train_test_split import TEST_FRACTION
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.options import all_options
from mvloc_ros.training.presets import preset

PAGE = Path(__file__).resolve().parents[1] / "docs" / "training.md"
# Options that mean something else in each command, or the same of something else.
OTHERS = {"--out", "--poses", "--precision", "--rate", "--split", "--max-speed", "--max-turn-rate", "--short-side"}
OTHERS |= {"--resolution"}  # of the scene map, of the occupancy grid
OTHERS |= {"--sensors"}  # that are rendered, that are used of those which a folder declares
# Options of `mvloc replay` that are parameters of the node, by another name.
RENAMED = {"sync_tolerance": "pair_tolerance", "refine_budget": "refine_budget_ms"}
# What mvloc.small sets apart from the options' own defaults, which mvloc.paper has: neither says all.
SMALL = {"stage2_learning_rate", "latent_weight", "latent_noise", "likelihood"}
SMALL |= {"single_experts_in"}


def actions(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    """Every option of every command, with the command's name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from actions(below)
        elif action.option_strings and action.dest != "help":
            yield parser.prog, action


ACTIONS = list(actions(_parser()))


def test_an_option_of_several_commands_has_one_default():
    found = defaultdict(dict)
    for command, action in ACTIONS:
        if action.default not in (None, False):
            found[action.option_strings[-1]][command] = action.default
    for name, defaults in found.items():
        assert len(set(map(repr, defaults.values()))) == 1 or name in OTHERS, f"{name}: {defaults}"
    assert set(found["--test-fraction"].values()) == {TEST_FRACTION}


def test_a_default_in_a_help_text_is_the_options():
    for command, action in ACTIONS:
        stated = re.search(r"default: (-?[\d.]*\d)\b", action.help or "")
        if stated and isinstance(action.default, (int, float)):
            assert float(stated[1]) == action.default, f"{command} {action.option_strings}"


@pytest.mark.parametrize("name", sorted({action.dest for command, action in ACTIONS if command == "mvloc replay"}))
def test_options_of_the_replay_have_the_defaults_of_the_node(name: str):
    (action,) = (action for command, action in ACTIONS if command == "mvloc replay" and action.dest == name)
    declaration = TABLE.get(RENAMED.get(name, name))
    if declaration is None or name == "model":
        return
    assert action.default in (None, declaration.default)
    assert not action.choices or tuple(action.choices) == declaration.choices


def test_the_defaults_that_the_page_on_training_names():
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    start = TrainingConfig()
    assert f"({start.augmentation.unmoved:g})" in rows["--unmoved"]
    assert re.search(r"`(\w+)` \([^)]*the default\)", rows["--estimator"])[1] == start.stages.estimator
    small = preset("mvloc", "small").stages.latent_noise
    assert f"`small` {small:g}; {start.stages.latent_noise:g} = as" in rows["--latent-noise"]


def test_the_preset_small_states_the_options_defaults_but_for_the_listed_ones():
    start, small = TrainingConfig(), preset("mvloc", "small")
    differ = {
        item.name
        for section, item in all_options()
        if getattr(getattr(start, section), item.name) != getattr(getattr(small, section), item.name)
    }
    assert differ == SMALL
    assert (start.system, start.preset, start.seed) == (small.system, small.preset, small.seed)
