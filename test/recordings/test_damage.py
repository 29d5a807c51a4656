# SPDX-License-Identifier: Apache-2.0
"""Damaged and hostile recordings: what is lost is counted, said and refused; nothing but a RecordingError comes out."""

from __future__ import annotations

import argparse
import bz2
import os
import random
import shutil
import sqlite3
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import yaml
from rosbags import rosbag1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from mvloc_ros.limits import MOST_CHUNK_BYTES, MOST_YAML_BYTES
from mvloc_ros.recordings import RecordingError, topics
from mvloc_ros.recordings.bag_info import summarise
from mvloc_ros.recordings.bag_reader import BagReader, open_bag
from mvloc_ros.recordings.bag_writer import BagWriter
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.recordings.rosbag2.compression import decompressed, zstd
from mvloc_ros.recordings.rosbag2.storage_base import DamageError, RawMessage
from mvloc_ros.recordings.typestore import new_typestore
from mvloc_ros.recordings.verbs import add_info_arguments, run_info

PERIOD = 10_000_000
START = 5_000_000_000
COUNT = 400
METADATA = "rosbag2_bagfile_information"


def write_poses(
    path: Path,
    count: int = COUNT,
    plugin: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
    frame: str = "map",
) -> Path:
    """Poses that are all different, the same ones on two topics; a long `frame` makes them large."""
    store = new_typestore()
    library = Writer(path, version=8, storage_plugin=plugin)
    if compression != CompressionMode.NONE:
        library.set_compression(compression, CompressionFormat.ZSTD)
    with library as writer:
        channels = [writer.add_connection(topic, topics.POSE, typestore=store) for topic in ("/a", "/b")]
        build = MessageBuilder(store)
        for index in range(count):
            stamp, pose = START + index * PERIOD, np.eye(4)
            pose[0, 3] = index
            data = store.serialize_cdr(build.pose(stamp, frame, pose), topics.POSE)
            for channel in channels:
                writer.write(channel, stamp, data)
    return path


def storage_file(bag: Path) -> Path:
    return next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def read_all(path: Path, **options) -> tuple[Counter[str], tuple[str, ...]]:
    """Messages by topic, all of which are poses, and what is said of the damage."""
    with BagReader(path, **options) as reader:
        found = Counter(topic for topic, _, _ in reader.messages())
        return found, reader.damage_notes()


def read_raw(path: Path, **options) -> Counter[str]:
    """Messages by topic, which are not decoded."""
    with BagReader(path, **options) as reader:
        return Counter(raw.topic for raw in reader.raw())


def change_metadata(bag: Path, change: Callable[[dict], None]) -> None:
    content = yaml.safe_load((bag / "metadata.yaml").read_text())
    change(content[METADATA])
    (bag / "metadata.yaml").write_text(yaml.safe_dump(content))


def info(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_info_arguments(parser)
    return run_info(parser.parse_args([*words]))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[StoragePlugin, Path]:
    """One recording of each storage, to be copied."""
    place = tmp_path_factory.mktemp("whole")
    return {plugin: write_poses(place / plugin.name / "bag", plugin=plugin) for plugin in StoragePlugin}


@pytest.fixture(params=[StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
def bag(request: pytest.FixtureRequest, whole: dict[StoragePlugin, Path], tmp_path: Path) -> Path:
    return shutil.copytree(whole[request.param], tmp_path / "bag")


@pytest.fixture
def mcap_bag(whole: dict[StoragePlugin, Path], tmp_path: Path) -> Path:
    return shutil.copytree(whole[StoragePlugin.MCAP], tmp_path / "bag")


def test_a_whole_recording_says_nothing_of_damage(bag: Path, capsys: pytest.CaptureFixture[str]):
    assert read_all(bag) == ({"/a": COUNT, "/b": COUNT}, ())
    assert read_all(storage_file(bag)) == ({"/a": COUNT, "/b": COUNT}, ())
    assert info(str(bag)) == 0
    assert "lost" not in capsys.readouterr().out


def test_zeros_in_an_mcap_are_a_loss_that_is_said_and_refused(mcap_bag: Path, capsys: pytest.CaptureFixture[str]):
    file = storage_file(mcap_bag)
    overwrite(file, file.stat().st_size // 3, bytes(20_000))
    for path in (mcap_bag, file):
        with pytest.raises(
            RecordingError, match=r"is damaged \(messages lost: \d+ of 400 \(\d+ %\), /[ab]; .*--allow-damage\.$"
        ):
            read_raw(path)
        found, notes = read_all(path, allow_damage=True)
        assert not any("messages damaged" in note for note in notes), "the one that the zeros begin in is left out"
        for topic in ("/a", "/b"):
            lost = COUNT - found[topic]
            assert lost > 0
            assert f"messages lost: {lost} of 400 ({100 * lost / COUNT:.0f} %), {topic}" in notes
        assert any("chunk at byte" in note for note in notes)
    with pytest.raises(RecordingError, match="messages lost"):
        info(str(mcap_bag))
    assert f"messages lost: {COUNT - found['/a']} of 400" in capsys.readouterr().out, "the table is printed before"
    assert info(str(mcap_bag), "--allow-damage") == 0
    assert f"{sum(found.values())} messages" in capsys.readouterr().out


def test_one_changed_byte_of_an_image_is_noticed(tmp_path: Path):
    """Nothing but the checksums that are written into recordings can tell it."""
    with BagWriter(tmp_path / "bag") as writer:
        build = MessageBuilder(writer.store)
        writer.add_topic(topics.COLOR_IMAGE, topics.IMAGE)
        for index in range(4):
            rgb = np.full((600, 600, 3), 17 + index, np.uint8)
            stamp = START + index * PERIOD
            writer.write(topics.COLOR_IMAGE, stamp, build.color_image(stamp, "camera", rgb))
    assert read_all(tmp_path / "bag") == ({topics.COLOR_IMAGE: 4}, ())
    file = storage_file(tmp_path / "bag")
    overwrite(file, file.read_bytes().index(bytes([19] * 1000)) + 500_000, b"\x14")
    with pytest.raises(RecordingError, match=r"its checksum is wrong"):
        read_raw(tmp_path / "bag")


@pytest.mark.parametrize(("stated", "is_refused"), [(COUNT + 4, False), (COUNT + 5, True)])
def test_the_limit_is_one_percent(bag: Path, stated: int, is_refused: bool):
    def change(values: dict) -> None:
        for entry in values["topics_with_message_count"]:
            if entry["topic_metadata"]["name"] == "/a":
                entry["message_count"] = stated

    change_metadata(bag, change)
    if is_refused:
        with pytest.raises(RecordingError, match=r"messages lost: 5 of 405 \(1 %\), /a"):
            read_all(bag)
    else:
        assert read_all(bag)[1] == ("messages lost: 4 of 404 (0.99 %), /a",)
    with BagReader(bag) as reader:
        assert len(list(reader.raw(("/b",)))) == COUNT, "a topic that is not read does not count"


def test_a_message_that_cannot_be_decoded_is_refused_or_left_out(tmp_path: Path):
    bag = write_poses(tmp_path / "bag", 50, StoragePlugin.SQLITE3)
    with sqlite3.connect(storage_file(bag)) as database:
        database.execute("UPDATE messages SET data = x'0001' WHERE id = 3")
    database.close()
    with pytest.raises(RecordingError, match=r"A message on /a in .* is damaged .*--allow-damage skips such messages"):
        read_all(bag)
    found, notes = read_all(bag, allow_damage=True)
    assert found == {"/a": 49, "/b": 50}
    assert notes == ("messages damaged: 1 on /a",)


def test_lower_counts_in_the_metadata_do_not_hide_a_loss(mcap_bag: Path):
    file = storage_file(mcap_bag)
    overwrite(file, file.stat().st_size // 3, bytes(20_000))
    found = read_raw(mcap_bag, allow_damage=True)

    def change(values: dict) -> None:
        for entry in values["topics_with_message_count"]:
            entry["message_count"] = found[entry["topic_metadata"]["name"]]

    change_metadata(mcap_bag, change)
    with pytest.raises(RecordingError, match=r"messages lost: .* of 400"):
        read_raw(mcap_bag)


def test_of_an_unfinished_mcap_counts_are_not_known(tmp_path: Path):
    mcap_bag = write_poses(tmp_path / "bag", 50, frame=50_000 * "x")
    file = storage_file(mcap_bag)
    data = file.read_bytes()
    file.write_bytes(data[: int(0.6 * len(data))])
    with pytest.raises(RecordingError, match=r"is truncated.*mcap recover"):
        read_all(file)
    found, notes = read_all(file, allow_damage=True)
    assert 0 < found["/a"] < 50
    assert "the recording states no counts of messages, so whether some are lost is not known" in notes
    found, notes = read_all(mcap_bag, allow_damage=True)
    assert f"messages lost: {50 - found['/a']} of 50" in " ".join(notes), "metadata.yaml knows them"


def test_a_file_without_an_index_is_searched(mcap_bag: Path):
    file = storage_file(mcap_bag)
    data = file.read_bytes()
    file.write_bytes(data[:-28] + bytes(20) + data[-8:])
    found, notes = read_all(file)
    assert found == {"/a": COUNT, "/b": COUNT}
    assert notes == ("the recording states no counts of messages, so whether some are lost is not known",)


def test_without_statistics_the_message_indexes_state_the_counts(mcap_bag: Path):
    file = storage_file(mcap_bag)
    data = bytearray(file.read_bytes())
    (summary,) = struct.unpack_from("<Q", data, len(data) - 28)
    data[data.index(b"\x0b" + struct.pack("<Q", 42 + 4 + 20), summary)] = 0x7F
    file.write_bytes(data)
    assert read_all(file) == ({"/a": COUNT, "/b": COUNT}, ())
    overwrite(file, summary // 3, bytes(20_000))
    with pytest.raises(RecordingError, match=r"messages lost: \d+ of 400"):
        read_raw(file)


def test_an_index_that_is_there_twice_gives_no_message_twice(mcap_bag: Path):
    file = storage_file(mcap_bag)
    data = file.read_bytes()
    (summary,) = struct.unpack_from("<Q", data, len(data) - 28)
    place = summary
    while data[place] != 8:
        place += 9 + struct.unpack_from("<Q", data, place + 1)[0]
    index = data[place : place + 9 + struct.unpack_from("<Q", data, place + 1)[0]]
    file.write_bytes(data[:place] + index + data[place:])
    assert read_all(file) == ({"/a": COUNT, "/b": COUNT}, ())


@pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE, CompressionMode.STORAGE])
def test_compressed_recordings_are_read(tmp_path: Path, plugin: StoragePlugin, mode: CompressionMode):
    if (plugin, mode) == (StoragePlugin.SQLITE3, CompressionMode.STORAGE):
        pytest.skip("a database has no compression of its own")
    bag = write_poses(tmp_path / "bag", 50, plugin, mode)
    assert read_all(bag) == ({"/a": 50, "/b": 50}, ())


def test_a_damaged_compressed_message_is_a_loss(tmp_path: Path):
    bag = write_poses(tmp_path / "bag", 50, StoragePlugin.SQLITE3, CompressionMode.MESSAGE)
    with sqlite3.connect(storage_file(bag)) as database:
        database.execute("UPDATE messages SET data = x'00' WHERE id = 3")
    database.close()
    with pytest.raises(RecordingError, match=r"messages lost: 1 of 50 \(2 %\), /a"):
        read_all(bag)


@pytest.mark.parametrize("kind", ["zstd", "lz4", "bz2"])
def test_no_more_is_decompressed_than_is_allowed(kind: str):
    data = {"zstd": zstd.compress, "lz4": lz4.frame.compress, "bz2": bz2.compress}[kind](bytes(100_000))
    assert decompressed(data, kind, 100_000) == bytes(100_000)
    assert decompressed(2 * data, kind, 200_000) == bytes(200_000)
    with pytest.raises(DamageError, match="holds more than 99999 bytes"):
        decompressed(data, kind, 99_999)
    with pytest.raises(DamageError, match="holds more than 199999 bytes"):
        decompressed(2 * data, kind, 199_999)
    with pytest.raises(DamageError, match="truncated"):
        decompressed(data[:-4], kind, 100_000)
    with pytest.raises(DamageError, match="cannot be decompressed"):
        decompressed(b"no frame", kind, 100_000)


def test_a_damaged_page_of_a_database_ends_the_reading(tmp_path: Path):
    bag = write_poses(tmp_path / "bag", plugin=StoragePlugin.SQLITE3)
    file = storage_file(bag)
    overwrite(file, 4096 * (file.stat().st_size // 4096 // 2), bytes(4096))
    for allowed in (False, True):
        with pytest.raises(RecordingError, match=r"bag is damaged or incomplete \(.*its database cannot be read: "):
            read_all(bag, allow_damage=allowed)


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_a_killed_recorder_left_beside_a_database_is_said(tmp_path: Path, suffix: str):
    bag = write_poses(tmp_path / "bag", plugin=StoragePlugin.SQLITE3)
    Path(f"{storage_file(bag)}{suffix}").write_bytes(b"rest")
    with pytest.raises(RecordingError, match=rf"bag\.db3{suffix} is next to it, as after a recorder that was killed"):
        read_all(bag)
    found, notes = read_all(bag, allow_damage=True)
    assert found["/a"] == COUNT
    assert any("is next to it" in note for note in notes)


def test_rows_that_are_no_messages_are_lost(tmp_path: Path):
    bag = write_poses(tmp_path / "bag", plugin=StoragePlugin.SQLITE3)
    with sqlite3.connect(storage_file(bag)) as database:
        database.execute("UPDATE messages SET timestamp = -5 WHERE id = 3")
        database.execute("UPDATE messages SET data = 'text' WHERE id = 5")
    database.close()
    found, notes = read_all(bag)
    assert found["/a"] == COUNT - 2
    assert "messages lost: 2 of 400 (0.5 %), /a" in notes


ODD = [
    ("/json", "json", "jsonschema", "{}", "its messages are encoded as 'json', not 'cdr'"),
    ("/protobuf", "protobuf", "protobuf", "", "its messages are encoded as 'protobuf', not 'cdr'"),
    ("/ros1", "cdr", "ros1msg", "float64 x", "its type is described in 'ros1msg', which ROS 2 does not use"),
]


def mcap_record(opcode: int, content: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(content)) + content


def mcap_text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<I", len(data)) + data


def with_channel(file: Path, topic: str, encoding: str, schema: str, definition: str, kind: str = "x/msg/Odd") -> None:
    """Add a channel to the summary of an mcap."""
    data = file.read_bytes()
    (summary,) = struct.unpack_from("<Q", data, len(data) - 28)
    added = mcap_record(3, struct.pack("<H", 900) + mcap_text(kind) + mcap_text(schema) + mcap_text(definition))
    added += mcap_record(4, struct.pack("<HH", 900, 900) + mcap_text(topic) + mcap_text(encoding) + mcap_text(b""))
    file.write_bytes(data[:summary] + added + data[summary:])


@pytest.mark.parametrize(("topic", "encoding", "schema", "definition", "reason"), ODD, ids=[row[0] for row in ODD])
def test_a_foreign_topic_is_skipped_and_said(
    mcap_bag: Path,
    caplog: pytest.LogCaptureFixture,
    topic: str,
    encoding: str,
    schema: str,
    definition: str,
    reason: str,
):
    file = storage_file(mcap_bag)
    with_channel(file, topic, encoding, schema, definition)
    for path in (file, mcap_bag):
        assert read_all(path)[0] == {"/a": COUNT, "/b": COUNT}
        assert f"the topic {topic} is skipped: {reason}" in caplog.text
        assert f"skipped: {topic}, {reason}" in summarise(path).text()
        with BagReader(path) as reader, pytest.raises(RecordingError, match=f"{topic} in .* cannot be read: {reason}"):
            reader.require(topic, topics.POSE)


@pytest.mark.parametrize("definition", ["float64 ?x", "Odd self", "\xff\0" * 50, "float64[", "=" * 80 + "\nMSG: a/b"])
def test_an_odd_definition_does_not_end_the_others(mcap_bag: Path, definition: str):
    with_channel(storage_file(mcap_bag), "/odd", "cdr", "ros2msg", definition)
    assert read_all(mcap_bag)[0] == {"/a": COUNT, "/b": COUNT}
    with BagReader(mcap_bag) as reader, pytest.raises(RecordingError):
        reader.decode(RawMessage("/odd", "x/msg/Odd", 0, bytes(40)))


def test_a_message_that_does_not_fit_its_type_is_named(mcap_bag: Path):
    with BagReader(mcap_bag) as reader:
        for data in (b"", b"\0", bytes(4), b"\0\1\0\0" + b"\xff" * 30):
            with pytest.raises(RecordingError, match=r"A message on /a in .* is damaged"):
                reader.decode(RawMessage("/a", topics.POSE, 0, data))
            if len(data) < 12:
                with pytest.raises(RecordingError, match=r"A message on /a in .* is damaged"):
                    reader.header_stamp(RawMessage("/a", topics.POSE, 0, data))


def test_a_chunk_that_claims_terabytes_is_not_allocated(mcap_bag: Path):
    file = storage_file(mcap_bag)
    data = file.read_bytes()
    (summary,) = struct.unpack_from("<Q", data, len(data) - 28)
    place = data.index(b"\x06", data.index(b"\x01") + 9)
    while not 40 < struct.unpack_from("<Q", data, place + 1)[0] < summary:
        place = data.index(b"\x06", place + 1)
    overwrite(file, place + 9 + 16, struct.pack("<Q", 1 << 60))
    found, notes = read_all(file, allow_damage=True)
    assert sum(found.values()) < 2 * COUNT
    assert f"it states {1 << 60} bytes, at most {MOST_CHUNK_BYTES} are accepted" in " ".join(notes)


def test_stamps_beyond_int64_are_damage(mcap_bag: Path):
    file = storage_file(mcap_bag)
    stamp = struct.pack("<QQ", START + 7 * PERIOD, START + 7 * PERIOD)
    data = file.read_bytes()
    file.write_bytes(data.replace(stamp, b"\xff" * 16))
    with pytest.raises(RecordingError, match="messages lost"):
        read_all(file)
    assert "a message is outside of its chunk's time range" in " ".join(read_all(file, allow_damage=True)[1])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: &x [1]\nb: [*x, *x]", "anchor or alias"),
        ("[" * 200 + "]" * 200, "nested deeper than"),
        ("[" + "[]," * 100_000 + "]", "it has more than 200000 values"),
        ("{", "metadata.yaml is invalid"),
        ("5", "metadata.yaml is invalid"),
        ("rosbag2_bagfile_information: 5", "metadata.yaml is invalid"),
        ("rosbag2_bagfile_information: {version: 5}", r"metadata\.yaml has no value for 'storage_identifier'"),
        ("rosbag2_bagfile_information: {version: 99}", "has version 99, the newest supported one is 9"),
        ("rosbag2_bagfile_information: {version: x}", "has 'x' for version, not a whole number"),
    ],
)
def test_an_odd_metadata_file_is_named(bag: Path, text: str, sentence: str):
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(RecordingError, match=sentence):
        read_all(bag)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("relative_file_paths", ["../bag.mcap"], r"names the file '\.\./bag\.mcap', which is not in the folder"),
        ("relative_file_paths", ["/etc/passwd"], "names the file '/etc/passwd', which is not in the folder"),
        ("relative_file_paths", [5], "has 5 for relative_file_paths, not a text"),
        ("relative_file_paths", "bag.mcap", "not a list"),
        ("relative_file_paths", ["none.mcap"], "its file none.mcap is missing"),
        ("storage_identifier", "tape", "its storage 'tape' is unknown, known are mcap and sqlite3"),
        ("compression_mode", "rar", "its compression"),
        ("message_count", -1, "has -1 for message_count"),
        ("message_count", 1 << 70, "for message_count, not a whole number of 63 bits"),
        ("duration", None, "metadata.yaml is invalid"),
        ("topics_with_message_count", [{"message_count": 1}], "has no value for 'topic_metadata'"),
    ],
)
def test_values_of_the_metadata_are_checked(mcap_bag: Path, key: str, value: object, sentence: str):
    change_metadata(mcap_bag, lambda values: values.update({key: value}))
    with pytest.raises(RecordingError, match=sentence):
        read_all(mcap_bag)


def test_a_large_metadata_file_is_not_read(bag: Path):
    with (bag / "metadata.yaml").open("r+b") as file:
        file.truncate(MOST_YAML_BYTES + 1)
    with pytest.raises(RecordingError, match=rf"at most {MOST_YAML_BYTES} are accepted"):
        read_all(bag)


@pytest.mark.parametrize("name", ["metadata.yaml", "storage"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link"])
def test_only_regular_files_of_the_folder_are_read(bag: Path, tmp_path: Path, name: str, kind: str):
    path = storage_file(bag) if name == "storage" else bag / name
    if kind == "link":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.unlink()
        {"pipe": os.mkfifo, "folder": Path.mkdir, "device": lambda path: path.symlink_to("/dev/zero")}[kind](path)
    said = {
        "pipe": "it is a named pipe", "device": "it is a device", "folder": "it is a folder", "link": "points outside",
    }[kind]  # fmt: skip
    with pytest.raises(RecordingError, match=said):
        read_all(bag)


@pytest.mark.parametrize("suffix", [".mcap", ".db3", ".bag", ".txt"])
def test_a_pipe_is_no_recording(tmp_path: Path, suffix: str):
    os.mkfifo(tmp_path / f"a{suffix}")
    with pytest.raises(RecordingError):
        summarise(tmp_path / f"a{suffix}")


def write_ros1(path: Path, count: int, compression: str = "") -> Path:
    """The poses of a ROS 1 bag, in chunks of a few messages."""
    store = get_typestore(Stores.ROS1_NOETIC)
    library = rosbag1.Writer(path)
    if compression:
        library.set_compression(rosbag1.Writer.CompressionFormat[compression])
    library.chunk_threshold = 2000
    with library as writer:
        channel = writer.add_connection("/a", topics.POSE, typestore=store)
        header, stamp = store.types["std_msgs/msg/Header"], store.types["builtin_interfaces/msg/Time"]
        point, turn = store.types["geometry_msgs/msg/Point"], store.types["geometry_msgs/msg/Quaternion"]
        for index in range(count):
            pose = store.types["geometry_msgs/msg/Pose"](point(index, 0.0, 0.0), turn(0.0, 0.0, 0.0, 1.0))
            message = store.types[topics.POSE](header(index, stamp(5, index), "map"), pose)
            writer.write(channel, START + index * PERIOD, store.serialize_ros1(message, topics.POSE))
    return path


@pytest.mark.parametrize("compression", ["", "BZ2", "LZ4"])
def test_a_damaged_ros1_bag_is_counted(tmp_path: Path, compression: str, monkeypatch: pytest.MonkeyPatch):
    bag = write_ros1(tmp_path / "a.bag", 100, compression)
    with open_bag(bag) as reader:
        assert len(list(reader.raw())) == 100
        assert reader.damage_notes() == ()
    if compression:
        monkeypatch.setattr("mvloc_ros.recordings.ros1_bag.MOST_CHUNK_BYTES", 100)
    else:
        overwrite(bag, bag.stat().st_size // 2, bytes(500))
    with open_bag(bag) as reader, pytest.raises(RecordingError, match=r"messages lost: \d+ of 100 \(\d+ %\), /a"):
        list(reader.raw())
    with open_bag(bag, allow_damage=True) as reader:
        found = len(list(reader.raw()))
        assert f"messages lost: {100 - found} of 100" in " ".join(reader.damage_notes())


def test_any_damage_to_a_ros1_bag_gives_data_or_a_sentence(tmp_path: Path):
    data = write_ros1(tmp_path / "a.bag", 20).read_bytes()
    dice = random.Random(3)
    for turn in range(100):
        (tmp_path / "a.bag").write_bytes(_mutated(data, dice))
        try:
            with open_bag(tmp_path / "a.bag", allow_damage=bool(turn % 2)) as reader:
                stated, found = reader.message_count, len(list(reader.raw()))
                assert found == stated or reader.damage_notes()
        except RecordingError:
            continue


def test_any_damage_gives_data_or_a_sentence(bag: Path, tmp_path: Path):
    """Seeded mutations of the storage file and of the metadata: no other error, and no loss without a word."""
    dice = random.Random(5)
    small = write_poses(tmp_path / "small", 12, _plugin_of(bag))
    originals = {path: path.read_bytes() for path in small.iterdir()}
    refused = 0
    for turn in range(150):
        target = dice.choice(sorted(originals))
        for path, data in originals.items():
            path.write_bytes(_mutated(data, dice) if path == target else data)
        path = small if turn % 2 else storage_file(small)
        allowed = turn % 3 == 0
        try:
            with BagReader(path, allow_damage=allowed) as reader:
                stated = {name: topic.count for name, topic in reader.topics.items()}
                found = Counter(raw.topic for raw in reader.raw())
                notes, known = reader.damage_notes(), reader.states_counts
        except RecordingError:
            refused += 1
            continue
        for name, count in stated.items():
            assert not known or found[name] == count or any(name in note for note in notes), (turn, name)
        assert known or notes
    assert 10 < refused < 140


def _plugin_of(bag: Path) -> StoragePlugin:
    return StoragePlugin.MCAP if storage_file(bag).suffix == ".mcap" else StoragePlugin.SQLITE3


def _mutated(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    kind = dice.randrange(4)
    place = dice.randrange(len(changed))
    if kind == 0:
        changed[place] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del changed[place:]
    elif kind == 2:
        length = dice.randrange(1, 200)
        changed[place : place + length] = bytes(len(changed[place : place + length]))
    else:
        changed[place : place + 8] = dice.choice([b"\xff" * 8, struct.pack("<Q", 1 << 40), bytes(8)])
    return bytes(changed)
