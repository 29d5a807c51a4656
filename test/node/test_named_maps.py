# SPDX-License-Identifier: Apache-2.0
"""A robot that changes the floor: maps by name over DDS, and nothing of the old map is taken into the new one."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from bundles import elsewhere
from child_process import parameter_words
from lifecycle_msgs.msg import Transition
from mvloc_ros.msg import LocalizationStatus
from std_srvs.srv import Trigger

from mvloc_ros.frontend.message_checks import to_nanoseconds
from mvloc_ros.model.bundle import read_bundle

pytestmark = pytest.mark.dds
UPSTAIRS_M = 100.0


@pytest.fixture
def maps(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Two floors whose frames have the same name, as those of most bundles."""
    shutil.copytree(tiny_bundle, tmp_path / "maps" / "ground")
    elsewhere(tiny_bundle, tmp_path / "maps" / "second", UPSTAIRS_M, "first floor")
    return tmp_path / "maps"


def test_a_robot_changes_the_floor_by_name(peer, start_node, maps: Path, tmp_path: Path, wait_for):
    pose_file = tmp_path / "pose.json"
    options = (f"models_folder:={maps}", "model:=ground", f"pose_file:={pose_file}", "publish_frame:=camera")
    process = start_node(*parameter_words(*options, "status_period:=0.1", "gate_max_speed:=0.1"))
    wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")

    def frame() -> LocalizationStatus:
        """The status that answers a pair stamped now."""
        stamp, seen = time.time_ns(), len(peer.statuses)
        peer.send_color(stamp)
        peer.send_depth(stamp)
        return wait_for(
            lambda: next((s for s in peer.statuses[seen:] if to_nanoseconds(s.header.stamp) == stamp), None),
            10, "a status",
        )  # fmt: skip

    def values() -> dict[str, str]:
        entries = [s for m in peer.diagnostics[-1:] for s in m.status if s.name.endswith("localization")]
        return {value.key: value.value for entry in entries for value in entry.values}

    def again() -> None:
        """Deactivate, which keeps the last pose, and activate, which looks for it."""
        assert peer.transition(Transition.TRANSITION_DEACTIVATE)
        peer.statuses.clear()
        assert peer.transition(Transition.TRANSITION_ACTIVATE)
        wait_for(lambda: peer.is_connected() and peer.node_sees_it(), 30, "the node and the peer to find each other")

    def kept() -> tuple[str, float]:
        found = json.loads(pose_file.read_text())
        return found["map_identity"], found["position_m"][0]

    def placed_at() -> float:
        """x of the pose that answers a frame, which must be accepted."""
        status = frame()
        assert status.state == LocalizationStatus.TRACKING, status.reason
        wait_for(lambda: peer.poses and peer.poses[-1].header.stamp == status.header.stamp, 10, "its pose")
        return peer.poses[-1].pose.position.x

    ground, upstairs = (read_bundle(maps / name).map_identity for name in ("ground", "second"))
    below = placed_at()
    above = pytest.approx(below + UPSTAIRS_M, abs=1e-6)
    again()
    assert kept() == (ground, below)
    wait_for(lambda: process.text().count("is taken as a hint") == 1, 10, "the hint")
    assert placed_at() == below
    listed = "ground, first floor (folder second)"
    wait_for(lambda: values().get("maps_available") == listed and values()["map"] == "ground", 10, "the diagnostics")

    # What is no map's name changes nothing; what has a slash or is `..` is a path, as ever.
    for name, words in (
        ("attic", f"There is no map named 'attic' in {maps}; available: {listed}."),
        ("./ground", "No model bundle found at "),
        ("..", "is not a model bundle"),
        (f"{maps}/nowhere", "No model bundle found at "),
    ):
        refused = peer.set_string("model", name)
        assert not refused.successful, name
        assert words in refused.reason
    assert peer.get_string("model") == "ground"
    assert frame().state == LocalizationStatus.TRACKING
    assert not peer.set_string("models_folder", "/elsewhere").successful  # it is read at configure

    # The lift. Before the first frame upstairs nothing of the pose below is left, neither as a hint nor in the file.
    assert peer.set_string("model", "first floor").successful
    answer = peer.call("load_model", Trigger.Request())
    assert answer.success
    assert "; map 'first floor'; " in answer.message
    assert peer.get_string("model") == "first floor"
    assert peer.call("publish_initialpose", Trigger.Request()).message == "no pose has been accepted yet"
    again()
    assert kept() == (ground, below)
    wait_for(lambda: "which is of another map; it is not used" in process.text(), 10, "the log to say so")
    assert process.text().count("is taken as a hint") == 1
    assert placed_at() == above
    assert peer.statuses[-1].model == "second"
    wait_for(lambda: values().get("map") == "first floor", 10, "the diagnostics")

    # Down again, by a path and without a stop: the next pose is accepted, however far it is from the last one.
    assert peer.set_string("model", str(maps / "ground")).successful
    assert peer.call("load_model", Trigger.Request()).success
    assert placed_at() == below
    # And up: the file has the pose of the map that it names.
    assert peer.set_string("model", "second").successful
    assert peer.call("load_model", Trigger.Request()).success
    assert placed_at() == above
    assert peer.transition(Transition.TRANSITION_DEACTIVATE)
    assert kept() == (upstairs, above)
    assert process.end() == 0
