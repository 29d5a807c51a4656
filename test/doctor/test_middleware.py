# SPDX-License-Identifier: Apache-2.0
"""`mvloc doctor` knows the middleware in use, and what keeps images from arriving with each."""

from __future__ import annotations

import json
import mmap
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mvloc_ros.doctor.cyclone_dds import Buffer
from mvloc_ros.doctor.cyclone_dds import configured as cyclone_configured
from mvloc_ros.doctor.fast_dds import abandoned_segments
from mvloc_ros.doctor.findings import Finding, Level
from mvloc_ros.doctor.transport import examine_transport
from mvloc_ros.doctor.zenoh import Session
from mvloc_ros.doctor.zenoh import configured as zenoh_configured

CYCLONE, ZENOH = {"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, {"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"}


def found(folder: Path, environ: dict[str, str], rmem_max: int | None = None) -> dict[str, Finding]:
    limit = folder / "rmem_max"
    if rmem_max is not None:
        limit.write_text(f"{rmem_max}\n", encoding="utf-8")
    return {finding.subject: finding for finding in examine_transport(folder / "shm", environ, limit)}


def demanding(size: str) -> dict[str, str]:
    internal = f'<Internal><SocketReceiveBufferSize min="{size}"/></Internal>'
    return {**CYCLONE, "CYCLONEDDS_URI": f"<CycloneDDS><Domain>{internal}</Domain></CycloneDDS>"}


# Cyclone DDS


def test_the_kernels_stock_limit_is_too_small_for_images(tmp_path: Path):
    buffers = found(tmp_path, CYCLONE, 212992)["receive buffers"]
    assert buffers.level is Level.WARNING
    assert "of 208 kB each" in buffers.fact
    assert "sudo sysctl -w net.core.rmem_max=4194304, and export CYCLONEDDS_URI=" in buffers.remedy


def test_a_large_limit_alone_does_not_help_as_cyclone_asks_for_1_mib(tmp_path: Path):
    buffers = found(tmp_path, CYCLONE, 1 << 24)["receive buffers"]
    assert buffers.level is Level.WARNING
    assert "of 1 MB each" in buffers.fact
    assert "sysctl" not in buffers.remedy


def test_the_remedy_that_is_printed_is_one_that_helps(tmp_path: Path):
    remedy = found(tmp_path, CYCLONE, 1 << 22)["receive buffers"].remedy
    uri = re.search(r"export CYCLONEDDS_URI='(.*)'", remedy)[1]
    assert cyclone_configured(uri) == Buffer(least=4 << 20)
    buffers = found(tmp_path, {**CYCLONE, "CYCLONEDDS_URI": uri}, 1 << 22)["receive buffers"]
    assert (buffers.level, "of 4 MB each" in buffers.fact) == (Level.OK, True)


@pytest.mark.parametrize(("size", "level"), [("8MB", Level.OK), ("8193kB", Level.ERROR), ("10MB", Level.ERROR)])
def test_more_than_twice_the_limit_keeps_nodes_from_starting(size: str, level: Level, tmp_path: Path):
    """With 4 MiB Cyclone DDS itself took 8MB, and ended with 8193kB: `current is 8388608 bytes`."""
    buffers = found(tmp_path, demanding(size), 4 << 20)["receive buffers"]
    assert buffers.level is level
    if level is Level.ERROR:
        assert "no node starts" in buffers.fact
        wanted = int(re.search(r"net.core.rmem_max=(\d+)", buffers.remedy)[1])
        assert wanted == {"8193kB": 8193 << 10, "10MB": 10 << 20}[size]


def test_files_and_text_are_read_as_cyclone_reads_them(tmp_path: Path):
    file = tmp_path / "cyclone.xml"
    file.write_text(
        '<CycloneDDS xmlns="https://cdds.io/config"><Domain id="any"><Internal>'
        '<SocketReceiveBufferSize min="default" max="2 MiB"/></Internal></Domain></CycloneDDS>', encoding="utf-8"
    )  # fmt: skip
    text = demanding("64kB")["CYCLONEDDS_URI"]
    assert cyclone_configured("") == Buffer()
    assert cyclone_configured("").asked == 1 << 20
    assert cyclone_configured(str(file)) == Buffer(most=2 << 20)
    assert cyclone_configured(f"file://{file},{text}") == Buffer(64 << 10, 2 << 20)
    old = "<CycloneDDS><Internal><MinimumSocketReceiveBufferSize>10MB</MinimumSocketReceiveBufferSize></Internal>"
    assert cyclone_configured(f"{old}</CycloneDDS>") == Buffer(10 << 20)


@pytest.mark.parametrize("uri", ["file:///nowhere/cyclone.xml", "<CycloneDDS><Domain>", "/dev/zero"])
def test_a_configuration_that_cannot_be_used_is_an_error_as_no_node_starts(uri: str, tmp_path: Path):
    cyclone = found(tmp_path, {**CYCLONE, "CYCLONEDDS_URI": uri}, 1 << 24)["Cyclone DDS"]
    assert cyclone.level is Level.ERROR
    assert "CYCLONEDDS_URI" in cyclone.remedy


def test_a_limit_that_cannot_be_read_is_no_verdict(tmp_path: Path):
    assert found(tmp_path, CYCLONE)["receive buffers"].level is Level.NOTE


# Zenoh


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def connecting(*endpoints: str, more: str = "") -> dict[str, str]:
    return {**ZENOH, "ZENOH_CONFIG_OVERRIDE": f"connect/endpoints={json.dumps(endpoints)};{more}"}


def test_a_router_that_answers_is_sound_and_one_of_several_is_enough(tmp_path: Path, listening: int, closed_port: int):
    environ = connecting(f"tcp/127.0.0.1:{closed_port}", f"tcp/127.0.0.1:{listening}")
    router = found(tmp_path, environ)["Zenoh router"]
    assert (router.level, str(listening) in router.fact) == (Level.OK, True)


def test_without_a_router_it_is_said_that_no_image_arrives_and_what_starts_one(tmp_path: Path, closed_port: int):
    router = found(tmp_path, connecting(f"tcp/127.0.0.1:{closed_port}"))["Zenoh router"]
    assert router.level is Level.WARNING
    assert "no image arrives" in router.fact
    assert "ros2 run rmw_zenoh_cpp rmw_zenohd" in router.remedy
    multicast = connecting(f"tcp/127.0.0.1:{closed_port}", more="scouting/multicast/enabled=true")
    assert found(tmp_path, multicast)["Zenoh router"].level is Level.NOTE
    assert found(tmp_path, connecting("quic/127.0.0.1:7447"))["Zenoh router"].level is Level.NOTE


def test_the_session_is_read_from_its_file_and_the_override_wins(tmp_path: Path):
    file = tmp_path / "session.json5"
    file.write_text(
        """/// connect: { endpoints: ["tcp/comment:1"] }
        { mode: "peer",
          connect: { timeout_ms: { router: -1 }, // endpoints: ["tcp/comment:2"]
                     endpoints: [ "tcp/192.168.1.1:7447", /* "tcp/comment:3", */ 'tcp/[::1]:7448' ], },
          listen: { endpoints: ["tcp/localhost:0"] },
          scouting: { multicast: { enabled: false, address: "224.0.0.224:7446" }, gossip: { enabled: true } },
          transport: { link: { tx: { batching: { enabled: true } } }, shared_memory: { enabled: true } } }""",
        encoding="utf-8",
    )
    own = tmp_path / "share" / "rmw_zenoh_cpp" / "config" / "DEFAULT_RMW_ZENOH_SESSION_CONFIG.json5"
    own.parent.mkdir(parents=True)
    own.write_text("{ transport: { shared_memory: { enabled: false } } }", encoding="utf-8")
    installed = {"AMENT_PREFIX_PATH": f"/nowhere:{tmp_path}"}
    assert zenoh_configured(installed) == Session(shares_memory=False)
    read = zenoh_configured({**installed, "ZENOH_SESSION_CONFIG_URI": str(file)})
    assert read == Session(("tcp/192.168.1.1:7447", "tcp/[::1]:7448"), False, True)
    over = "transport/shared_memory/enabled=false;scouting/multicast/enabled=true"
    changed = zenoh_configured({"ZENOH_SESSION_CONFIG_URI": str(file), "ZENOH_CONFIG_OVERRIDE": over})
    assert changed == Session(read.endpoints, True, False)
    assert zenoh_configured({}) == Session(("tcp/localhost:7447",), None, None)


def test_shared_memory_and_a_missing_file_are_told(tmp_path: Path, listening: int):
    environ = connecting(f"tcp/127.0.0.1:{listening}")
    memory = found(tmp_path, environ)["Zenoh shared memory"]
    assert memory.level is Level.NOTE
    remedy = re.search(r"='([^']*)'", memory.remedy)[1]
    environ["ZENOH_CONFIG_OVERRIDE"] += remedy
    assert found(tmp_path, environ)["Zenoh shared memory"].level is Level.OK
    missing = found(tmp_path, {**ZENOH, "ZENOH_SESSION_CONFIG_URI": "/nowhere/session.json5"})["Zenoh"]
    assert missing.level is Level.ERROR


# Fast DDS, and any


def test_segments_of_both_generations_of_fast_dds_are_found(tmp_path: Path):
    """2.14.5 was seen to call them fastrtps_..., 3.2.2 fastdds_..."""
    names = ("fastdds_left", "fastrtps_left", "fastrtps_used", "fastrtps_port7410")
    for name in names:
        (tmp_path / name).write_bytes(b"x" * 4096)
    with (tmp_path / "fastrtps_used").open("r+b") as file, mmap.mmap(file.fileno(), 4096):
        assert [path.name for path in abandoned_segments(tmp_path)] == ["fastdds_left", "fastrtps_left"]


def test_what_is_of_fast_dds_alone_is_not_said_of_others(tmp_path: Path):
    (tmp_path / "shm").mkdir()
    assert {"Fast DDS profile", "shared memory"} <= set(found(tmp_path, {}))
    assert not {"Fast DDS profile", "shared memory"} & set(found(tmp_path, CYCLONE, 1 << 24))
    assert "rmw_connextdds" in found(tmp_path, {"RMW_IMPLEMENTATION": "rmw_connextdds"})["middleware"].fact


def test_a_middleware_that_is_not_installed_is_a_finding_and_not_the_end_of_the_report():
    """`import rclpy` ends the process there."""
    command = [sys.executable, "-m", "mvloc_ros.cli", "doctor", "--json", "--model", "/nowhere"]
    environ = {**os.environ, "RMW_IMPLEMENTATION": "rmw_absent_cpp", "ROS_DISTRO": "jazzy"}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=100)
    assert result.returncode == 1
    software = {finding["subject"]: finding for finding in json.loads(result.stdout)["software"]}
    assert software["middleware"]["level"] == "ERROR"
    assert "RMW_IMPLEMENTATION=rmw_absent_cpp" in software["middleware"]["fact"]
    assert "sudo apt install ros-jazzy-rmw-absent-cpp" in software["middleware"]["remedy"]
    assert "ONNX Runtime" in software
