# SPDX-License-Identifier: Apache-2.0
"""docs/node.md lists the topics, services and states that the node has, with their types, and no others."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mvloc_ros.node.status import STATE_NAMES

pytestmark = pytest.mark.dds
ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "node.md").read_text(encoding="utf-8")
# What rclpy gives every lifecycle node.
INFRASTRUCTURE = {"rosout", "parameter_events", "~/transition_event", "clock"}
INSPECT = """
import json, sys
import rclpy
from mvloc_ros.node.localization_node import LocalizationNode

def kind(t):
    package, _, *_ = t.__module__.split(".")
    return f"{package}/{t.__name__}"

def short(name, node):
    own = f"/{node.get_name()}/"
    return name.replace(own, "~/", 1) if name.startswith(own) else name.lstrip("/")

found = {"in": {}, "out": {}, "services": {}}
for options in ([], ["color_transport:=compressed", "depth_source:=compressed"], ["depth_source:=cloud"]):
    rclpy.init(args=["--ros-args", *(w for o in [f"model:={sys.argv[1]}", *options] for w in ("-p", o))])
    node = LocalizationNode()
    node.trigger_configure(), node.trigger_activate()
    found["in"].update({short(s.topic_name, node): kind(s.msg_type) for s in node.subscriptions})
    found["out"].update({short(p.topic_name, node): kind(p.msg_type) for p in node.publishers})
    found["services"].update({short(s.srv_name, node): kind(s.srv_type) for s in node.services})
    node.close()
    node.destroy_node()
    rclpy.shutdown()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def node(tiny_bundle) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-c", INSPECT, str(tiny_bundle)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=110)
    return json.loads(result.stdout.splitlines()[-1])


def rows(section: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    body = TEXT.split(f"## {section}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in body.splitlines() if line[:2] == "| "][1:]


def test_topics(node):
    documented: dict[str, dict[str, str]] = {"in": {}, "out": {}}
    for first, kind, *_ in rows("Topics"):
        for name in re.findall(r"`([^`]+)`", first):
            documented["in" if "(in)" in first else "out"][name.lstrip("/")] = kind
    for way in ("in", "out"):
        has = {name: kind for name, kind in node[way].items() if name not in INFRASTRUCTURE}
        assert documented[way] == has


def test_services(node):
    documented = {row[0].strip("`"): row[1] for row in rows("Services")}
    own = {name: kind for name, kind in node["services"].items() if kind.startswith("std_srvs/")}
    assert documented == own


def test_states():
    assert [row[0] for row in rows("States")] == list(STATE_NAMES.values())
