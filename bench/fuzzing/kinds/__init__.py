# SPDX-License-Identifier: Apache-2.0
"""The kinds of inputs, by name. Each is imported when it is asked for: some need torch, some ROS."""

from __future__ import annotations

from importlib import import_module

from bench.fuzzing.kind import Kind

NAMES = (
    "bundles",
    "graphs",
    "messages",
    "clouds",
    "codecs",
    "bags",
    "folders",
    "checkpoints",
    "presets",
    "trajectories",
)
SELF_TEST = "self_test"
"""Inputs with a known end, one of each; they show that the instrument sees what it should."""


def create(name: str) -> Kind:
    """The kind of that name. Takes up to seconds: it makes its valid inputs."""
    if name not in (*NAMES, SELF_TEST):
        raise ValueError(f"there is no kind {name!r}; choose of {', '.join(NAMES)}")
    kind: Kind = import_module(f"bench.fuzzing.kinds.{name}").create()
    return kind
