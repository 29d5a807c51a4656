# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are whole or absent, whoever else writes and whenever a process is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from mvloc_ros import storage
from mvloc_ros.model.bundle import BundleError, read_bundle
from mvloc_ros.model.bundle_writer import replace_manifest
from mvloc_ros.storage import (
    InUseError,
    StorageError,
    exclusive,
    recover_folder,
    remove_leftovers,
    replace_folder,
    replacing,
    staging_folder,
    write_file,
)

HEX = "0123456789abcdef"


def folder(path: Path, content: str) -> Path:
    path.mkdir()
    (path / "content").write_text(content)
    return path


def python(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    """Another process; OMP_NUM_THREADS keeps its libraries small."""
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


def test_the_new_folder_takes_the_name_and_nothing_else_stays(tmp_path: Path):
    path = tmp_path / "name"
    replace_folder(folder(tmp_path / "first", "first"), path)
    replace_folder(folder(tmp_path / "second", "second"), path)
    assert (path / "content").read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_and_leads_to_the_new_folder(tmp_path: Path):
    path = folder(tmp_path / "name", "old")
    link = tmp_path / "link"
    link.symlink_to(path)
    replace_folder(folder(tmp_path / "other", "new"), link)
    assert link.is_symlink()
    assert (path / "content").read_text() == "new"


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_the_old_folder_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException]):
    path, new = folder(tmp_path / "name", "old"), folder(tmp_path / "new", "new")
    rename = os.rename

    def fail(source: Path, target: Path) -> None:
        if source == new and not path.exists():
            raise failure
        rename(source, target)

    monkeypatch.setattr(storage, "_exchange", lambda *_: False)
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(failure):
        replace_folder(new, path)
    assert (path / "content").read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [path, new]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path):
    (tmp_path / "name").write_text("mine")
    with pytest.raises(NotADirectoryError):
        replace_folder(folder(tmp_path / "new", "new"), tmp_path / "name")
    assert (tmp_path / "name").read_text() == "mine"


def test_links_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in ("file.part", ".file.part", f".file.{HEX}.part", "file"):
        (tmp_path / name).symlink_to(victim)
    write_file(tmp_path / "file", "new")
    assert victim.read_text() == "precious"
    assert (tmp_path / "file").read_text() == "new"
    assert not (tmp_path / "file").is_symlink()
    # Even where somebody guesses the name.
    monkeypatch.setattr(storage.secrets, "token_hex", lambda _: HEX)
    with pytest.raises(StorageError, match=r"file cannot be written \(File exists\)"):
        write_file(tmp_path / "file", "newer")
    assert (victim.read_text(), (tmp_path / "file").read_text()) == ("precious", "new")
    assert all((tmp_path / name).is_symlink() for name in ("file.part", ".file.part", f".file.{HEX}.part"))


def test_a_bundle_with_a_link_named_as_a_temporary_leads_nowhere(tmp_path: Path, tiny_bundle: Path):
    bundle, victim = tmp_path / "bundle", tmp_path / "victim"
    shutil.copytree(tiny_bundle, bundle)
    victim.write_text("precious")
    (bundle / ".manifest.json.part").symlink_to(victim)
    old = read_bundle(bundle)
    replace_manifest(old, replace(old.manifest, licence="another"))
    assert victim.read_text() == "precious"
    assert (bundle / ".manifest.json.part").is_symlink()


HOLD = """
import sys
from pathlib import Path
from mvloc_ros.storage import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_the_second_process_is_told_who_is_first(tmp_path: Path):
    holder = python(HOLD, tmp_path, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InUseError, match=rf"is in use by process {holder.pid} \(.*wait until it has ended"):
        exclusive(tmp_path).__enter__()
    holder.kill()
    holder.wait()
    with exclusive(tmp_path), exclusive(tmp_path):  # a process has its folder more than once, and a killed one none
        pass


def test_a_bundle_in_use_is_not_changed(tmp_path: Path, tiny_bundle: Path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    old = read_bundle(bundle)
    holder = python(HOLD, bundle, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InUseError, match=f"process {holder.pid} "):
        replace_manifest(old, replace(old.manifest, licence="another"))
    holder.communicate("\n")
    assert read_bundle(bundle).manifest == old.manifest


def test_a_bundle_that_changed_since_it_was_read_is_not_overwritten(tmp_path: Path, tiny_bundle: Path):
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, bundle)
    old = read_bundle(bundle)
    replace_manifest(old, replace(old.manifest, licence="first"))
    with pytest.raises(BundleError, match="Another command has changed"):
        replace_manifest(old, replace(old.manifest, licence="second"))
    assert read_bundle(bundle).manifest.licence == "first"


def test_two_trainings_do_not_share_a_run_folder(tmp_path: Path):
    from mvloc_ros.training.processes import SINGLE_PROCESS
    from mvloc_ros.training.run_folder import run_to_write

    with pytest.raises(KeyError), run_to_write(tmp_path / "for nothing", SINGLE_PROCESS):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    run = tmp_path / "run"
    run.mkdir()
    holder = python(HOLD, run, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InUseError, match=f"process {holder.pid} "):
        run_to_write(run, SINGLE_PROCESS).__enter__()
    holder.communicate("\n")
    with run_to_write(run, SINGLE_PROCESS):
        pass
    assert run.is_dir()


def test_two_conversions_do_not_share_a_folder_and_one_killed_at_once_is_begun_anew(tmp_path: Path):
    from mvloc_ros.recordings.errors import RecordingError
    from mvloc_ros.recordings.folder_writer import FolderWriter

    partial = tmp_path / ".out.partial"
    partial.mkdir()
    (partial / f".source.json.{HEX}.part").write_text("{")
    holder = python(HOLD, partial, stdin=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InUseError, match=f"process {holder.pid} "):
        FolderWriter(tmp_path / "out", {"a": 1}).__enter__()
    holder.communicate("\n")
    with FolderWriter(tmp_path / "out", {"a": 1}):
        assert (partial / "source.json").is_file()
    (partial / "source.json").unlink()
    (partial / "mine").write_text("precious")
    with pytest.raises(RecordingError, match="delete"):
        FolderWriter(tmp_path / "out", {"a": 1}).__enter__()
    assert (partial / "mine").read_text() == "precious"


KILLED = """
import os, signal, sys
from pathlib import Path
from mvloc_ros import storage
new, path, step, exchange = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "exchange"
steps = 0
def counted(call):
    def run(*arguments, **options):
        global steps
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)
        steps += 1
        return call(*arguments, **options)
    return run
os.rename = counted(os.rename)
storage._exchange = counted(storage._exchange if exchange else lambda *_: False)
storage.shutil.rmtree = counted(storage.shutil.rmtree)
storage.replace_folder(new, path)
"""


@pytest.mark.parametrize(("way", "last"), [("exchange", 2), ("two steps", 4)])
def test_a_killed_process_leaves_the_old_or_the_new_folder(tmp_path: Path, way: str, last: int):
    found = []
    for step in range(last + 1):
        place = tmp_path / str(step)
        place.mkdir()
        path, new = folder(place / "name", "old"), folder(place / "new", "new")
        process = python(KILLED, new, path, step, way)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        if way == "exchange":
            assert path.is_dir()
        assert recover_folder(path)
        found.append((path / "content").read_text())
    assert set(found) == {"old", "new"}
    assert found == sorted(found, reverse=True)


def test_leftovers_go_when_nobody_holds_them(tmp_path: Path):
    target = tmp_path / "name"
    target.mkdir()
    dead = [tmp_path / f".name.{HEX}.part", tmp_path / f".name.{HEX}.staging", tmp_path / f".name.{HEX}.old"]
    foreign = tmp_path / ".name.mine.part"
    for path in (dead[0], foreign):
        path.write_text("")
    for path in dead[1:]:
        path.mkdir()
    with staging_folder(target) as staging, replacing(target / "file") as temporary:
        remove_leftovers(target)
        remove_leftovers(target / "file")
        assert sorted(tmp_path.glob(".*")) == sorted([foreign, staging])
        assert temporary.exists()
    assert sorted(tmp_path.glob(".*")) == [foreign]


@pytest.mark.parametrize("is_in_work", [False, True])
def test_a_temporary_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_in_work: bool
):
    """Another process took it for a killed one's: it has removed it, or holds it in order to."""
    lock, seen = storage._lock, []

    def removed_first(descriptor: int) -> bool | None:
        seen.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        if len(seen) > 1:
            return lock(descriptor)
        if seen[0].is_dir():
            seen[0].rmdir()
        else:
            seen[0].unlink()
        return False if is_in_work else lock(descriptor)

    monkeypatch.setattr(storage, "_lock", removed_first)
    write_file(tmp_path / "file", "content", durable=False)
    assert (tmp_path / "file").read_text() == "content"
    assert len(set(seen)) == 2
    seen.clear()
    with staging_folder(tmp_path / "folder") as staging:
        assert staging.is_dir()
    assert len(set(seen)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


FULL = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from dataclasses import replace
from mvloc_ros.errors import MvlocError
from mvloc_ros.model import bundle_writer as bundles
from mvloc_ros.model.map_spec import SceneMapSpec
spec = SceneMapSpec("", "", 0.02, 4.0, 200, 0.3, 4.5, tuple(np.eye(4).ravel()), 100.0, None)
what, path = sys.argv[1], Path(sys.argv[2])
if what == "checkpoint":
    import torch
    from mvloc_ros.training import checkpoint
else:
    old = bundles.read_bundle(path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    if what == "checkpoint":
        checkpoint.save(path, {"network": torch.zeros(100_000)})
    elif what == "write":
        bundles.write_bundle(path, old.manifest, {name: path / name for name in old.manifest.files})
    elif what == "map":
        bundles.add_scene_map(old, bytes(2000), spec)
    else:
        bundles.replace_manifest(old, replace(old.manifest, licence="long" * 1000))
except MvlocError as error:
    print(error)
"""


@pytest.mark.parametrize("what", ["checkpoint", "write", "map", "replace"])
def test_without_room_the_old_stays_and_one_sentence_says_so(tmp_path: Path, tiny_bundle: Path, what: str):
    from mvloc_ros.training import checkpoint

    path = tmp_path / "it"
    if what == "checkpoint":
        checkpoint.save(path, {"network": 1})
    else:
        shutil.copytree(tiny_bundle, path)
    process = python(FULL, what, path)
    said, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "cannot be written (File too large)" in said
    assert said.count("\n") == 1
    assert "/." not in said, "it names a temporary file"
    assert list(tmp_path.iterdir()) == [path]
    if what == "checkpoint":
        assert checkpoint.load(path)["network"] == 1
    else:
        assert read_bundle(path).manifest == read_bundle(tiny_bundle).manifest
        assert not [*path.glob(".*"), *path.glob("scene_map*")]


RACE = """
import sys, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from mvloc_ros.model import bundle_writer as bundles
from mvloc_ros.model.map_spec import SceneMapSpec
spec = SceneMapSpec("", "", 0.02, 4.0, 200, 0.3, 4.5, tuple(np.eye(4).ravel()), 100.0, None)
from mvloc_ros.model.bundle import BundleError
from mvloc_ros.storage import InUseError
what, path, source = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
original, done, end = bundles.read_bundle(source), 0, time.monotonic() + 3
while time.monotonic() < end:
    found = bundles.read_bundle(path)  # never fails
    try:
        if what == "replace":
            bundles.replace_manifest(found, replace(found.manifest, licence=str(done)))
        elif what == "map":
            bundles.add_scene_map(found, str(done).encode(), spec)
        else:
            bundles.write_bundle(path, original.manifest, {name: source / name for name in original.manifest.files})
        done += 1
    except InUseError:
        pass
    except BundleError as error:
        if "Another command has changed" not in str(error):
            raise
print(done)
"""


def test_a_bundle_always_reads_while_three_processes_change_it(tmp_path: Path, tiny_bundle: Path):
    path = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, path)
    processes = [python(RACE, what, path, tiny_bundle) for what in ("replace", "map", "write")]
    for process in processes:
        said, errors = process.communicate()
        assert process.returncode == 0, errors
        assert int(said) > 0
    read_bundle(path)
    assert list(tmp_path.iterdir()) == [path]


def test_flipped_bits_in_a_checkpoint_are_found(tmp_path: Path):
    import torch

    from mvloc_ros.training import checkpoint
    from mvloc_ros.training.errors import TrainingError

    path = tmp_path / "last.pt"
    checkpoint.save(path, {"network": torch.full((1000,), 1.5)})
    data = bytearray(path.read_bytes())
    data[data.index(b"\0\0\xc0\x3f" * 8) + 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="is damaged"):
        checkpoint.load(path)
