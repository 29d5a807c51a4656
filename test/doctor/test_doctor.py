# SPDX-License-Identifier: Apache-2.0
"""`mvloc doctor`: what it finds on a sound installation, and what it says about broken ones."""

from __future__ import annotations

import array
import json
import mmap
import shutil
import threading
import time
from pathlib import Path

import pytest
import rclpy
from bundles import elsewhere
from manifests import edit_manifest
from rclpy.node import Node
from sensor_msgs.msg import Image

from mvloc_ros.cli import main
from mvloc_ros.doctor.camera_topics import examine_topics
from mvloc_ros.doctor.fast_dds import abandoned_segments
from mvloc_ros.doctor.findings import Finding, Level
from mvloc_ros.doctor.models import examine_map_folder, examine_models, find_models
from mvloc_ros.doctor.software import examine_software
from mvloc_ros.doctor.transport import examine_transport
from mvloc_ros.fastdds_profile import NEW, OLD
from mvloc_ros.model.bundle import read_bundle

PROFILE = Path(__file__).resolve().parents[2] / "config" / "fastdds.xml"


def test_this_installation_is_sound():
    findings = examine_software()
    assert not [f for f in findings if f.level is Level.ERROR]
    assert {"Python", "ROS", "middleware", "ONNX Runtime", "GPU", "TensorRT"} <= {f.subject for f in findings}


def test_a_segment_is_abandoned_when_nobody_maps_it(tmp_path: Path):
    used, left, port = (tmp_path / name for name in ("fastdds_used", "fastdds_left", "fastdds_port7410"))
    for path in (used, left, port):
        path.write_bytes(b"x" * 4096)
    with used.open("r+b") as file, mmap.mmap(file.fileno(), 4096):
        assert abandoned_segments(tmp_path) == [left]
    assert abandoned_segments(tmp_path) == [left, used]


@pytest.fixture
def no_profile(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (NEW, OLD, "RMW_IMPLEMENTATION"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def of_the_profile(folder: Path) -> Finding:
    return next(finding for finding in examine_transport(folder) if finding.subject == "Fast DDS profile")


def test_transport_names_a_missing_profile_and_what_was_left(tmp_path: Path, no_profile: pytest.MonkeyPatch):
    (tmp_path / "fastdds_left").write_bytes(b"x")
    no_profile.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "/nowhere/profile.xml")
    findings = {f.subject: f for f in examine_transport(tmp_path)}
    assert findings["Fast DDS profile"].level is Level.WARNING
    assert "/nowhere/profile.xml" in findings["Fast DDS profile"].fact
    assert "1 segments" in findings["dead segments"].fact
    no_profile.delenv("FASTDDS_DEFAULT_PROFILES_FILE")
    assert "export FASTDDS" in of_the_profile(tmp_path).remedy


@pytest.mark.parametrize(("package", "read", "other"), [("fastrtps", OLD, NEW), ("fastdds", NEW, OLD)])
def test_a_profile_is_sound_only_under_the_name_that_this_fast_dds_reads(
    package: str, read: str, other: str, tmp_path: Path, no_profile: pytest.MonkeyPatch
):
    (tmp_path / "share" / package).mkdir(parents=True)
    no_profile.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    link = tmp_path / "link.xml"
    link.symlink_to(PROFILE)
    no_profile.setenv(other, str(link))
    unread = of_the_profile(tmp_path)
    assert unread.level is Level.WARNING
    assert f"export {read}={link}" in unread.remedy
    no_profile.setenv(read, str(link))
    found = of_the_profile(tmp_path)
    assert found.level is Level.OK
    assert str(PROFILE) in found.fact
    assert "32 MB" in found.fact


def test_a_profile_that_is_not_xml_or_for_another_middleware_is_told(tmp_path: Path, no_profile: pytest.MonkeyPatch):
    broken = tmp_path / "broken.xml"
    broken.write_text("<dds>", encoding="utf-8")
    no_profile.setenv(NEW, str(broken))
    assert "not XML" in of_the_profile(tmp_path).fact
    no_profile.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    assert "Fast DDS profile" not in {finding.subject for finding in examine_transport(tmp_path)}


def test_a_bundle_is_run_and_a_damaged_one_explained(tiny_bundle: Path, tmp_path: Path):
    shutil.copytree(tiny_bundle, tmp_path / "good")
    shutil.copytree(tiny_bundle, tmp_path / "bad")
    (tmp_path / "bad" / "model.onnx").write_bytes(b"damaged")
    bad, good = examine_models(find_models(tmp_path))
    assert good.level is Level.OK
    assert "ms a frame with onnxruntime" in good.fact
    assert good.fact.endswith(f"; digest {read_bundle(tiny_bundle).digest[:12]}")
    assert bad.level is Level.ERROR
    assert "model.onnx" in bad.remedy


def test_a_bundle_without_digest_serves_and_is_told_how_to_get_one(tiny_bundle: Path, tmp_path: Path):
    edit_manifest(Path(shutil.copytree(tiny_bundle, tmp_path / "old")), lambda values: values.pop("digest"))
    (old,) = examine_models(find_models(tmp_path))
    assert old.level is Level.OK
    assert "no digest over the whole bundle (it is of an earlier version; `mvloc map` and `mvloc cal" in old.fact


def test_an_altered_manifest_does_not_serve(tiny_bundle: Path, tmp_path: Path):
    path = Path(shutil.copytree(tiny_bundle, tmp_path / "altered")) / "manifest.json"
    path.write_text(path.read_text().replace("0.02", "0.03"))
    (altered,) = examine_models(find_models(tmp_path))
    assert altered.level is Level.ERROR
    assert "was changed or damaged after it was written" in altered.remedy


def test_a_folder_of_maps_is_told_by_name_and_what_is_wrong_with_it(tiny_bundle: Path, tmp_path: Path, capsys):
    shutil.copytree(tiny_bundle, tmp_path / "ground")
    elsewhere(tiny_bundle, tmp_path / "second", 100.0, "first floor")
    assert main(["doctor", "--no-topics", "--models-folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"maps: by name in {tmp_path}: ground, first floor (folder second)" in said
    assert said.count("ms a frame with") == 2
    elsewhere(tiny_bundle, tmp_path / "third", 200.0, "ground")
    (tmp_path / "away").symlink_to(tiny_bundle)
    findings = {found.subject: found for found in examine_map_folder(tmp_path)}
    assert findings["map 'ground'"].level is Level.WARNING
    assert "means 2 maps: ground, ground (folder third)" in findings["map 'ground'"].fact
    assert findings[str(tmp_path / "away")].level is Level.ERROR
    assert "points outside" in findings[str(tmp_path / "away")].remedy
    (tmp_path / "empty").mkdir()
    assert examine_map_folder(tmp_path / "nowhere")[0].level is Level.ERROR
    (empty,) = examine_map_folder(tmp_path / "empty")
    assert (empty.level, empty.fact) == (Level.WARNING, f"{tmp_path / 'empty'} has no bundles")


class Camera:
    """Two image topics at 20 Hz, the depth image with stamps of another clock."""

    def __init__(self, context: rclpy.Context) -> None:
        self.node = Node("test_camera", context=context)
        self.publishers_ = [
            (self.node.create_publisher(Image, "cam/color/image_raw", 5), 0.0),
            (self.node.create_publisher(Image, "cam/depth/image_raw", 5), 1000.0),
        ]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(0.05):
            for publisher, offset in self.publishers_:
                message = Image(height=2, width=2, encoding="mono8", step=2, data=array.array("B", b"1234"))
                message.header.stamp.sec, nanoseconds = divmod(time.time_ns() - int(offset * 1e9), 10**9)
                message.header.stamp.nanosec = nanoseconds
                publisher.publish(message)

    def close(self) -> None:
        self._end.set()
        self._thread.join()
        self.node.destroy_node()


def test_a_map_that_cannot_be_used_is_told_although_the_network_runs(tmp_path: Path):
    bundle = shutil.copytree(Path(__file__).resolve().parents[2] / "models" / "demo", tmp_path / "demo")
    assert examine_models([bundle])[0].level is Level.OK
    next(bundle.glob("scene_map-*.npz")).write_bytes(b"rubbish")
    (found,) = examine_models([bundle])
    assert found.level is Level.WARNING
    assert "poses are the network's alone" in found.remedy


def test_a_cameras_topics_are_measured_and_the_remapping_is_given(ros_context: rclpy.Context):
    camera = Camera(ros_context)
    try:
        findings = {f.subject: f for f in examine_topics(4.0)}
    finally:
        camera.close()
    color, depth = findings["/cam/color/image_raw"], findings["/cam/depth/image_raw"]
    assert color.level is Level.OK
    assert "Image of test_camera (reliable)" in color.fact
    assert depth.level is Level.WARNING
    assert "clock" in depth.remedy
    assert "color/image:=/cam/color/image_raw" in findings["remapping"].fact
    assert "depth/image:=/cam/depth/image_raw" in findings["remapping"].fact


def test_the_verb_prints_a_screen_or_json_and_ends_with_one_for_errors(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["doctor", "--no-topics", "--model", str(tiny_bundle)]) == 0
    assert "0 error(s)" in capsys.readouterr().out
    assert main(["doctor", "--no-topics", "--json", "--model", str(tmp_path)]) == 1
    model = json.loads(capsys.readouterr().out)["models"][0]
    assert model["level"] == "ERROR"
    assert model["remedy"]
