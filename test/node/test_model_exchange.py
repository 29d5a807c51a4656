# SPDX-License-Identifier: Apache-2.0
"""The exchange of models where reading their files takes long, as on a network file system that does not answer."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bundles import elsewhere
from manifests import edit_manifest

from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.node import available_maps, model_exchange
from mvloc_ros.node.available_maps import AvailableMaps
from mvloc_ros.node.model_exchange import ModelSlot
from mvloc_ros.parameters.table import NodeParameters


class SlowReading:
    """Stands between the slot and the bundle's files; while `go` is not set, reading does not return."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.threads: list[threading.Thread] = []

    def wait(self) -> None:
        self.threads.append(threading.current_thread())
        assert self.go.wait(30)

    def read(self, path: Path | str, verify: bool = True) -> Bundle:
        self.wait()
        return read_bundle(path, verify)


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> SlowReading:
    slow = SlowReading()
    monkeypatch.setattr(model_exchange, "read_bundle", slow.read)
    return slow


@pytest.fixture
def told() -> list[str]:
    """What the node is told of exchanges: why they failed, or empty texts."""
    return []


@pytest.fixture
def slot(tiny_bundle: Path, told: list[str], reading: SlowReading) -> Iterator[ModelSlot]:
    values = NodeParameters(model=str(tiny_bundle), threads=1, backend="onnxruntime")
    slot = ModelSlot(values, told.append, lambda _: None, lambda: False)
    yield slot
    reading.go.set()
    slot.close()


def result_of(coroutine: Any, wait_for: Callable) -> tuple[bool, str]:
    """Run a coroutine of rclpy's kind to its end."""
    ended: list[tuple[bool, str]] = []

    def step() -> list[tuple[bool, str]]:
        try:
            coroutine.send(None)
        except StopIteration as end:
            ended.append(end.value)
        return ended

    wait_for(step, 20, "the outcome")
    return ended[0]


@pytest.fixture
def second(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "second"))


def test_what_is_plainly_wrong_is_refused_at_once_in_another_thread(slot, reading, told, tmp_path, second):
    (second / "manifest.json").unlink()
    os.mkfifo(second / "manifest.json")
    for path, words in ((tmp_path / "nowhere", "No model bundle found at"), (second, "named pipe")):
        assert words in slot.begin(str(path))
    assert "is not the folder of a model bundle" in slot.begin("a\0b")
    assert threading.current_thread() not in reading.threads
    assert told == []  # the answer says it


def test_after_a_refusal_all_is_as_before(slot, reading, tmp_path, wait_for):
    assert slot.begin(str(tmp_path / "nowhere"))
    running = slot.path
    success, said = result_of(slot.outcome(), wait_for)  # loads the model that runs again
    assert success, said
    assert slot.path == running


def test_the_executor_waits_a_second_for_files_that_do_not_come(slot, reading, told, second, wait_for):
    reading.go.clear()
    started = time.monotonic()
    assert slot.begin(str(second)) == ""
    assert 0.9 < time.monotonic() - started < 5.0
    # Until it is known, no other model may be set, and the same one may.
    assert "A model is being loaded" in slot.begin("/another")
    assert slot.begin(str(second)) == ""
    reading.go.set()
    success, said = result_of(slot.outcome(), wait_for)
    assert success, said
    assert said.startswith("model second on onnxruntime")
    assert f"; digest {read_bundle(second).digest[:12]}" in said
    assert slot.path == str(second)
    wait_for(lambda: told == [""], 10, "the node to be told")


def test_what_is_wrong_and_shows_late_is_the_outcome(slot, reading, told, second, wait_for):
    edit_manifest(second, lambda values: values["position"].update(scale_m=-1.0))
    running = slot.path
    reading.go.clear()
    assert slot.begin(str(second)) == ""
    reading.go.set()
    success, said = result_of(slot.outcome(), wait_for)
    assert not success
    assert "position.scale_m must be" in said
    assert slot.path == running
    wait_for(lambda: told == [said], 10, "the node to be told")


def test_a_file_that_only_loading_shows_to_be_damaged_is_the_outcome(slot, second, wait_for):
    (second / "model.onnx").write_bytes(b"rubbish")
    assert slot.begin(str(second)) == ""
    success, said = result_of(slot.outcome(), wait_for)
    assert (success, "damaged or was replaced" in said) == (False, True)


def test_a_model_that_runs_and_is_gone_from_the_disk_is_told_by_loading_it_again(slot, second, wait_for):
    assert slot.begin(str(second)) == ""
    assert result_of(slot.outcome(), wait_for)[0]
    shutil.rmtree(second)
    success, said = result_of(slot.outcome(), wait_for)
    assert (success, "No model bundle found at" in said) == (False, True)


def test_a_map_is_looked_for_by_its_name_in_another_thread(tiny_bundle, tmp_path, told, monkeypatch, wait_for):
    shutil.copytree(tiny_bundle, tmp_path / "maps" / "ground")
    elsewhere(tiny_bundle, tmp_path / "maps" / "second", 100.0, "first floor")
    values = NodeParameters(model="ground", models_folder=str(tmp_path / "maps"), threads=1, backend="onnxruntime")
    slot = ModelSlot(values, told.append, lambda _: None, lambda: False)
    slow, find = SlowReading(), model_exchange.model_path
    monkeypatch.setattr(model_exchange, "model_path", lambda folder, name: (slow.wait(), find(folder, name))[1])
    try:
        assert "There is no map named 'attic'" in slot.begin("attic")
        slow.go.clear()  # a network file system that does not answer
        started = time.monotonic()
        assert slot.begin("first floor") == ""
        assert time.monotonic() - started < 5.0
        slow.go.set()
        success, said = result_of(slot.outcome(), wait_for)
        assert success, said
        assert slot.path == "first floor"
        assert slot.current.bundle.name == "second"
        assert threading.current_thread() not in slow.threads
    finally:
        slow.go.set()
        slot.close()


def test_the_available_maps_are_read_aside_and_again(tiny_bundle, tmp_path, monkeypatch, wait_for):
    shutil.copytree(tiny_bundle, tmp_path / "ground")
    slow, read = SlowReading(), available_maps.read_map_folder
    monkeypatch.setattr(available_maps, "read_map_folder", lambda folder: (slow.wait(), read(folder))[1])
    monkeypatch.setattr(available_maps, "PERIOD_S", 0.0)
    maps = AvailableMaps(str(tmp_path))
    slow.go.clear()
    for _ in range(3):
        maps.look()
        assert maps.in_words == "not looked at yet"
    wait_for(lambda: len(slow.threads) == 1, 10, "one look while the folder does not answer")
    slow.go.set()
    wait_for(lambda: maps.look() or maps.in_words == "ground", 10, "the list")
    elsewhere(tiny_bundle, tmp_path / "attic", 1.0)
    wait_for(lambda: maps.look() or maps.in_words == "attic, ground", 10, "the new map")
    shutil.rmtree(tmp_path / "ground")
    shutil.rmtree(tmp_path / "attic")
    wait_for(lambda: maps.look() or maps.in_words == "none", 10, "no map")
    nothing = AvailableMaps("")
    nothing.look()
    assert nothing.in_words == ""
