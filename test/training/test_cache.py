# SPDX-License-Identifier: Apache-2.0
"""The cache of decoded frames: the same arrays at once, and never a wrong one, whatever happens to its files."""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mvloc_ros.cli import main
from mvloc_ros.recordings import PosedFolder, open_folder
from mvloc_ros.training.cache import array_folder
from mvloc_ros.training.cache import cache_folder as cache_place
from mvloc_ros.training.datasets import PosedFrames, ReadOptions, as_tensor, read_frames
from mvloc_ros.training.datasets.decoding import Decoding, frames_key
from mvloc_ros.training.options import InputConfig

SMALL = InputConfig(short_side=32)
ARRAYS = ("color", "depth", "present", "poses", "stamps_ns")


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> PosedFolder:
    """A copy of each sequence's first 12 frames, for tests that spoil them."""
    later = shutil.ignore_patterns(*(f"frame-0000{tens}[0-9].*" for tens in (2, 3, 4)), "frame-00001[2-9].*")
    return open_folder(shutil.copytree(tiny_folder, tmp_path / "wall", ignore=later))


def read(folder: PosedFolder, place: Path | None, count: int = 12, config: InputConfig = SMALL) -> PosedFrames:
    return read_frames(config, folder, folder.train[:count], "some", ReadOptions(place))


def only(place: Path) -> Path:
    """The one cache in a folder."""
    (found,) = [path for path in place.iterdir() if cache_place.KEY.fullmatch(path.name)]
    return found


def assert_same(first: PosedFrames, second: PosedFrames) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert first.sequences == second.sequences
    assert first.unreadable == second.unreadable
    assert first.digest() == second.digest()


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indices of the records that are decoded from now on."""
    seen: list[int] = []
    whole = Decoding.read
    monkeypatch.setattr(Decoding, "read", lambda self, record: (seen.append(record.index), whole(self, record))[1])
    return seen


def test_the_cache_gives_what_decoding_gives_and_decodes_once(
    folder: PosedFolder, tmp_path: Path, decoded: list[int]
) -> None:
    plain = read(folder, None)
    first = read(folder, tmp_path / "cache")
    del decoded[:]
    second = read(folder, tmp_path / "cache")
    assert decoded == []
    for frames in (first, second):
        assert_same(plain, frames)
        assert isinstance(frames.color, np.memmap)
        assert isinstance(frames.depth, np.memmap)
        frames.present[:, 0] = 0.0  # as a judge does, who takes colour away
    assert (plain.color.dtype, plain.depth.dtype) == (first.color.dtype, first.depth.dtype)
    assert replace(second, poses=plain.poses + 1.0).digest() != plain.digest(), "a changed copy has its own digest"
    names = sorted(path.name for path in only(tmp_path / "cache").iterdir())
    assert names == ["color.npy", "contents.json", "depth.npy"]
    assert np.load(only(tmp_path / "cache") / "color.npy", allow_pickle=False).shape == plain.color.shape


def test_the_digest_of_a_cached_set_reads_no_image(folder: PosedFolder, tmp_path: Path) -> None:
    expected = read(folder, tmp_path).digest()
    frames = read(folder, tmp_path)
    object.__setattr__(frames, "color", None)
    assert frames.digest() == expected


def test_a_mapped_array_becomes_a_tensor_without_a_warning(folder: PosedFolder, tmp_path: Path) -> None:
    frames = read(folder, tmp_path)
    assert not frames.color.flags.writeable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = as_tensor(frames.color)
        picked = tensor[torch.tensor([3, 1])]
    assert tensor.data_ptr() == frames.color.ctypes.data, "no copy"
    picked += 1
    np.testing.assert_array_equal(picked[0].numpy() - 1, frames.color[3])


@pytest.mark.parametrize(
    "change",
    [
        lambda d: replace(d, height=30),
        lambda d: replace(d, depth_units_per_metre=5000.0),
        lambda d: replace(d, color_size=(640, 480)),
    ],
)
def test_whatever_changes_the_arrays_changes_the_key(folder: PosedFolder, change) -> None:
    decoding, records = Decoding(32, 43, 1000.0), folder.train[:3]
    assert frames_key(records, change(decoding)) != frames_key(records, decoding)


def test_another_set_of_frames_or_a_changed_file_has_another_key(folder: PosedFolder) -> None:
    decoding, records = Decoding(32, 43, 1000.0), folder.train[:3]
    keys = [frames_key(records, decoding), frames_key(records[:2], decoding), frames_key(records[::-1], decoding)]
    moved = np.array(records[0].T_map_camera) + 1e-9
    keys.append(frames_key([replace(records[0], T_map_camera=moved), *records[1:]], decoding))
    image = records[1].color
    assert image is not None
    os.utime(image, ns=(1, 1))
    keys.append(frames_key(records, decoding))
    image.unlink()
    keys.append(frames_key(records, decoding))
    assert len(set(keys)) == len(keys)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def flip(path: Path) -> None:
    """One bit, with the time of the last change put back."""
    found = path.stat()
    with path.open("r+b") as stream:
        stream.seek(-5, os.SEEK_END)
        byte = stream.read(1)[0]
        stream.seek(-5, os.SEEK_END)
        stream.write(bytes([byte ^ 1]))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def other_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3), allow_pickle=False)


@pytest.mark.parametrize("name", ["color.npy", "depth.npy", "contents.json"])
@pytest.mark.parametrize("damage", [cut, flip, other_array, Path.unlink])
def test_a_damaged_cache_is_noticed_and_made_anew(
    folder: PosedFolder, tmp_path: Path, name: str, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    plain = read(folder, None, 6)
    read(folder, tmp_path / "cache", 6)
    damage(only(tmp_path / "cache") / name)
    with caplog.at_level(logging.WARNING):
        again = read(folder, tmp_path / "cache", 6)
    assert_same(plain, again)
    assert isinstance(again.color, np.memmap)
    assert [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    caplog.clear()
    assert_same(plain, read(folder, tmp_path / "cache", 6))
    assert not caplog.records
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [only(tmp_path / "cache").name]


def sealed(folder: Path, change: Callable[[dict], object]) -> None:
    """Change the contents as somebody would who knows how they are sealed."""
    contents = array_folder.read_contents(folder)
    change(contents)
    array_folder.write_contents(folder, {key: value for key, value in contents.items() if key != "format"})


@pytest.mark.parametrize(
    "change",
    [
        lambda contents: contents.update(arrays={"../../elsewhere": contents["arrays"]["color"]}),
        lambda contents: contents["arrays"]["color"].update(shape=[1 << 60, 1 << 60]),
        lambda contents: contents["arrays"]["color"].update(dtype=5),
        lambda contents: contents["arrays"].update(color=None),
        lambda contents: contents.pop("notes"),
    ],
)
def test_contents_that_were_forged_are_damage(folder: PosedFolder, tmp_path: Path, change) -> None:
    plain = read(folder, None, 4)
    read(folder, tmp_path / "cache", 4)
    sealed(only(tmp_path / "cache"), change)
    with pytest.raises(array_folder.DamagedError):
        array_folder.open_stored(only(tmp_path / "cache"))
    assert_same(plain, read(folder, tmp_path / "cache", 4))


@pytest.mark.parametrize("notes", [{"digest": "x"}, {"lost": 5, "digest": "x"}, {"lost": [[1, "x"]], "digest": "x"}])
def test_notes_that_were_forged_are_said(
    folder: PosedFolder, tmp_path: Path, notes: dict, caplog: pytest.LogCaptureFixture
) -> None:
    plain = read(folder, None, 4)
    read(folder, tmp_path / "cache", 4)
    sealed(only(tmp_path / "cache"), lambda contents: contents.update(notes=notes))
    assert_same(plain, read(folder, tmp_path / "cache", 4))
    assert "its notes are damaged" in caplog.text
    assert main(["cache", "list", "--cache", str(tmp_path / "cache")]) == 0


def test_a_header_that_claims_more_than_the_file_has_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "color.npy"
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": (1 << 50,)})
        stream.write(bytes(100))
    contents = {"arrays": {"color": {"bytes": path.stat().st_size, "times": array_folder._times(path), "dtype": "|u1",
                                     "shape": [1 << 50], "sha256": ""}}, "notes": {"a": 1}}  # fmt: skip
    array_folder.write_contents(tmp_path, contents)
    with pytest.raises(array_folder.DamagedError):
        array_folder.open_stored(tmp_path)


def test_a_pipe_is_no_list_of_contents(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "contents.json")
    with pytest.raises(array_folder.DamagedError, match=r"contents\.json: ValueError|contents\.json: MvlocError"):
        array_folder.open_stored(tmp_path)


def test_a_copied_cache_is_verified_once(folder: PosedFolder, tmp_path: Path, monkeypatch, decoded: list[int]) -> None:
    read(folder, tmp_path / "cache")
    shutil.copytree(tmp_path / "cache", tmp_path / "copy")
    del decoded[:]
    verified = []
    digest = array_folder.digest_file
    monkeypatch.setattr(
        array_folder, "digest_file", lambda path, most: (verified.append(path.name), digest(path, most))[1]
    )
    for _ in range(2):
        assert_same(read(folder, tmp_path / "copy"), read(folder, tmp_path / "cache"))
    assert sorted(verified) == ["color.npy", "depth.npy"]
    assert decoded == []


# Without torch, which takes its time: twelve rows, one every so many seconds.
BUILD = """
import sys, time
from pathlib import Path
import numpy as np
from mvloc_ros.training.cache import open_or_build
def build(writer):
    for row in range(12):
        time.sleep(float(sys.argv[2]))
        writer.append("color", np.full(2_000_000, row, np.uint8))
        print("row", flush=True)
    return {"frames": 12, "label": "some", "size": [4, 3], "source": "here"}
print(open_or_build(Path(sys.argv[1]), build, 0).arrays["color"][:, 7].tolist())
"""
KEY = "0123456789abcdef" * 2
ROWS = str(list(range(12)))


def start_building(place: Path, seconds_a_row: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BUILD, str(place / KEY), str(seconds_a_row)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_build_leaves_nothing_that_is_trusted(tmp_path: Path, how: signal.Signals, wait_for) -> None:
    process = start_building(tmp_path, 0.3)
    try:
        wait_for(lambda: [path for path in tmp_path.glob(".*/color.npy") if path.stat().st_size], 60, "the first rows")
        process.send_signal(how)
        assert process.wait(60) != 0
    finally:
        process.kill()
        process.communicate()
    assert not (tmp_path / KEY).exists()
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == (1 if how == signal.SIGKILL else 0)
    output, error = start_building(tmp_path, 0.0).communicate(timeout=60)
    assert output.splitlines()[-1] == ROWS, error
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [KEY], "what the killed one left is gone"


def test_two_processes_build_once(tmp_path: Path) -> None:
    processes = [start_building(tmp_path, 0.05) for _ in range(2)]
    outputs = [process.communicate(timeout=100)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sum(lines.count("row") for lines in outputs) == 12
    assert outputs[0][-1] == outputs[1][-1] == ROWS


def test_where_there_are_no_locks_the_slower_one_gives_way(
    folder: PosedFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = read(folder, None, 6)

    finish, after = array_folder.Writer.finish, []

    def meanwhile(writer: array_folder.Writer, notes: dict[str, object]) -> None:
        monkeypatch.setattr(array_folder.Writer, "finish", finish)
        assert_same(plain, read(folder, tmp_path / "cache", 6))
        before = only(tmp_path / "cache").stat().st_ino
        writer.finish(notes)
        after.append(only(tmp_path / "cache").stat().st_ino == before)

    monkeypatch.setattr(cache_place.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError(95, "not supported")))
    monkeypatch.setattr(array_folder.Writer, "finish", meanwhile)
    assert_same(plain, read(folder, tmp_path / "cache", 6))
    assert after == [True], "the first one's folder stays"
    assert [path for path in (tmp_path / "cache").iterdir() if path.is_dir()] == [only(tmp_path / "cache")]


@pytest.mark.parametrize(
    ("where", "reason"),
    [("full", "File too large"), ("file", "File exists"), ("nearly full", "it needs 0 MB and 0 MB are free")],
)
def test_a_cache_folder_that_does_not_serve_is_said_and_memory_is_taken(
    folder: PosedFolder, tmp_path: Path, where: str, reason: str, caplog: pytest.LogCaptureFixture, monkeypatch
) -> None:
    expected = read(folder, None).digest()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if where == "full":  # every write beyond 20 kB fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    elif where == "file":
        (tmp_path / "cache").write_text("not a folder")
    else:
        usage = shutil.disk_usage(tmp_path)._replace(free=50_000)
        monkeypatch.setattr(cache_place.shutil, "disk_usage", lambda _: usage)
    try:
        with caplog.at_level(logging.WARNING):
            frames = read(folder, tmp_path / "cache")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert frames.digest() == expected
    assert type(frames.color) is np.ndarray
    if where != "file":
        assert not [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert [r.getMessage() for r in caplog.records] == [
        f"The cache folder {tmp_path / 'cache'} cannot be used ({reason}), so frames are kept in memory; see --cache."
    ]


def test_list_and_clear(folder: PosedFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "cache"
    words = ["--cache", str(place)]
    assert main(["cache", "list", *words]) == 0
    assert capsys.readouterr().out == f"0 in {place}, 0.0 MB\n"
    first = read(folder, place)
    name = only(place).name
    read(folder, place, 5)
    (place / f".{'0' * 32}.left").mkdir()
    (place / "mine").mkdir()
    assert main(["cache", "list", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"12 some frames, 43x32, of {folder.root / 'seq-01'}" in next(line for line in lines if name in line)
    assert sum("interrupted" in line for line in lines) == 1
    assert lines[-1].startswith(f"3 in {place}")
    assert main(["cache", "clear", "nothing", *words]) == 2
    assert "There is no 'nothing'" in capsys.readouterr().err
    assert main(["cache", "clear", name, *words]) == 0
    assert not (place / name).exists()
    assert main(["cache", "clear", *words]) == 0
    assert [path.name for path in place.iterdir() if path.is_dir()] == ["mine"], "nothing of others"
    assert first.color.sum() > 0, "a training that runs keeps its frames"
    assert_same(first, read(folder, None))


def test_what_is_being_made_is_not_cleared(tmp_path: Path, wait_for, capsys: pytest.CaptureFixture[str]) -> None:
    process = start_building(tmp_path, 0.2)
    try:
        wait_for(lambda: list(tmp_path.glob(".*/color.npy")), 60, "the first array")
        assert main(["cache", "clear", "--cache", str(tmp_path)]) == 0
        assert "is kept: a process is building it" in capsys.readouterr().out
        assert process.communicate(timeout=60)[0].splitlines()[-1] == ROWS
    finally:
        process.kill()
        process.wait()
    assert main(["cache", "list", "--cache", str(tmp_path)]) == 0
    assert f"{KEY}       24.0 MB  12 some frames, 4x3, of here" in capsys.readouterr().out


def test_the_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(cache_place.default_cache_folder()) == os.environ["MVLOC_CACHE"]
    monkeypatch.delenv("MVLOC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_place.default_cache_folder() == Path("/x/mvloc_ros/datasets")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_place.default_cache_folder() == Path.home() / ".cache" / "mvloc_ros" / "datasets"


def test_frames_of_one_modality(folder: PosedFolder, tmp_path: Path) -> None:
    records = [replace(folder.train[0], depth=None), replace(folder.train[1], color=None)]
    for _ in range(2):
        frames = read_frames(SMALL, folder, records, "some", ReadOptions(tmp_path))
        assert frames.present.tolist() == [[1.0, 0.0], [0.0, 1.0]]
        assert not frames.depth[0].any()
        assert not frames.color[1].any()
        assert frames.color[0].any()
        assert frames.depth[1].any()
    assert json.loads((only(tmp_path) / "contents.json").read_text())["contents"]["notes"]["frames"] == 2
    assert cv2.imread(str(records[0].color)) is not None
