# SPDX-License-Identifier: Apache-2.0
"""Message types are named by recordings; only installed packages are imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rosbags.typesys import get_types_from_msg
from status_message import status_of

from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.replay.errors import ReplayError
from mvloc_ros.replay.message_packages import require_installed

START = 1_800_000_000_000_000_000


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A current folder with packages that leave a mark when they are imported."""
    for package in ("here/evil", "here/std_msgs"):
        for folder in (tmp_path / package, tmp_path / package / "msg"):
            folder.mkdir(parents=True)
            mark = f"open({str(tmp_path / 'executed')!r}, 'w')\nclass X: pass\nclass String: pass\n"
            (folder / "__init__.py").write_text(mark)
    (tmp_path / "here" / "spread" / "msg").mkdir(parents=True)  # a namespace package
    (tmp_path / "here" / "spread" / "msg" / "__init__.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    return tmp_path / "here"


@pytest.mark.parametrize("name", ["std_msgs/msg/String", "tf2_msgs/msg/TFMessage", "mvloc_ros/msg/LocalizationStatus"])
def test_installed_packages_are_found(name: str):
    pytest.importorskip(name.split("/", maxsplit=1)[0])
    assert require_installed(name) == (name.split("/", maxsplit=1)[0], name.split("/")[2])


@pytest.mark.parametrize(
    "name",
    [
        "X",
        "a/X",
        "a/srv/X",
        "a/msg/X/Y",
        "../msg/X",
        ".a/msg/X",
        "a.b/msg/X",
        "nowhere/msg/X",
        "json/msg/X",
        "sys/msg/X",
        "numpy/msg/X",
        "/msg/X",
        "",
    ],
)
def test_what_is_no_installed_message_is_refused_in_a_sentence(name: str):
    with pytest.raises(ReplayError, match="message type"):
        require_installed(name)


@pytest.mark.parametrize("name", ["evil/msg/X", "spread/msg/X", "std_msgs/msg/String"])
def test_a_package_in_the_search_path_alone_is_not_used(monkeypatch, here: Path, name: str):
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.delitem(sys.modules, name.split("/", maxsplit=1)[0], raising=False)
    with pytest.raises(ReplayError, match="is not an installed package"):
        require_installed(name)
    assert not (here.parent / "executed").exists()


@pytest.mark.dds
def test_the_player_executes_nothing_of_the_current_folder(here: Path, tmp_path: Path):
    with BagWriter(tmp_path / "bag") as writer:
        writer.store.register(get_types_from_msg("int32 data", "evil/msg/X"))
        writer.add_topic("/evil", "evil/msg/X")
        writer.write("/evil", START, writer.store.types["evil/msg/X"](data=1))
    # `python -m` puts the current folder first.
    command = [sys.executable, "-m", "mvloc_ros.cli", "play", str(tmp_path / "bag")]
    (here / "std_msgs").rename(tmp_path / "std_msgs")  # rclpy itself would import that one
    result = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, timeout=60)
    assert not (tmp_path / "executed").exists()
    assert result.returncode == 2
    assert "The message type evil/msg/X is not used" in result.stderr


def status_bag(path: Path, definition: str) -> Path:
    """Two strings, and a status of another version of this package."""
    with BagWriter(path) as writer:
        writer.store.register(get_types_from_msg(definition, topics.STATUS))
        writer.add_topic("/mvloc/status", topics.STATUS)
        writer.add_topic("/said", "std_msgs/msg/String")
        writer.write("/mvloc/status", START, status_of(writer.store, START))
        for i in range(2):
            writer.write("/said", START + i, writer.store.types["std_msgs/msg/String"](data="yes"))
    return path


@pytest.mark.dds
@pytest.mark.parametrize("is_older", [True, False])
def test_messages_of_another_version_are_not_played_as_something_else(verb, tmp_path: Path, is_older: bool):
    text = (Path(__file__).resolve().parents[2] / "msg" / "LocalizationStatus.msg").read_text()
    bag = status_bag(tmp_path / "bag", text.split("# FURTHER SENSORS")[0] if is_older else text)
    player = verb("play", bag)
    assert player.wait() == 0, player.text()
    sentence = "/mvloc/status is not played: its messages were recorded with other fields than mvloc_ros/msg/Localiza"
    assert (sentence in player.text()) == is_older
    assert ("      1  /mvloc/status" in player.text()) == (not is_older)
    assert "      2  /said" in player.text()
