# SPDX-License-Identifier: Apache-2.0
"""Steps in a row: what is done again, what is not, and what is said before anything is deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mvloc_ros.errors import MvlocError
from mvloc_ros.learn.errors import LearnError
from mvloc_ros.learn.state import State
from mvloc_ros.learn.step import Step, run_steps
from mvloc_ros.recordings import digests


class Chain:
    """Three steps, each of which copies the file of the one before and adds its option."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options: dict[str, Any] = {"first": 1, "second": 1, "third": 1}
        self.ran: list[str] = []
        self.fails: dict[str, BaseException] = {}

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    def _step(self, name: str, before: str | None) -> Step:
        def work() -> None:
            self.ran.append(name)
            if error := self.fails.pop(name, None):
                raise error
            text = "" if before is None else self._file(before).read_text()
            self._file(name).write_text(f"{text}{name}={self.options[name]}\n")

        def inputs() -> dict[str, Any]:
            found = {"option": self.options[name]}
            return found if before is None else {**found, before: digests.of_file(self._file(before))}

        return Step(name, f"the {name}", inputs, work, lambda: {"file": digests.of_file(self._file(name))},
                    lambda _: [self._file(name)])  # fmt: skip

    def run(self) -> list[str]:
        """The names of the steps that worked, in a new process's state."""
        self.ran = []
        steps = [self._step("first", None), self._step("second", "first"), self._step("third", "second")]
        run_steps(steps, State(self.folder / "learn.json"), lambda _: "")
        return self.ran


@pytest.fixture
def chain(tmp_path: Path) -> Chain:
    return Chain(tmp_path)


def test_what_is_done_is_not_done_again(chain: Chain, capsys: pytest.CaptureFixture[str]):
    assert chain.run() == ["first", "second", "third"]
    assert capsys.readouterr().out.splitlines() == ["[1/3] the first", "[2/3] the second", "[3/3] the third"]
    assert chain.run() == []
    assert capsys.readouterr().out.splitlines() == [f"[{i}/3] the {n}: done already" for i, n in
                                                    enumerate(("first", "second", "third"), start=1)]  # fmt: skip


def test_another_option_redoes_what_depends_on_it_and_says_so_first(chain: Chain, capsys: pytest.CaptureFixture[str]):
    chain.run()
    capsys.readouterr()
    chain.options["second"] = 2
    assert chain.run() == ["second", "third"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "[1/3] the first: done already"
    assert lines[1:3] == [
        "[2/3] the second: done again, since these inputs changed: option",
        f"deleting {chain.folder / 'second.txt'}, which an earlier run made of other inputs",
    ]
    assert lines[3] == "[3/3] the third: done again, since these inputs changed: second"
    assert (chain.folder / "third.txt").read_text() == "first=1\nsecond=2\nthird=1\n"


def test_the_same_output_redoes_no_more(chain: Chain):
    """An output that was lost comes back as it was: what depends on it stays."""
    chain.run()
    (chain.folder / "second.txt").unlink()
    assert chain.run() == ["second"]
    (chain.folder / "first.txt").write_text("changed by hand\n")
    assert chain.run() == ["first"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), MvlocError("There is no room. Free some.")], ids=type)
def test_a_step_that_did_not_end_goes_on(chain: Chain, error: BaseException, capsys: pytest.CaptureFixture[str]):
    chain.fails["second"] = error
    with pytest.raises((KeyboardInterrupt, LearnError)) as caught:
        chain.run()
    if isinstance(error, MvlocError):
        assert str(caught.value) == (
            "Step 2 of 3, the second: There is no room. Free some. What was finished before is kept: correct this, "
            "and run the same command again."
        )
    capsys.readouterr()
    assert chain.run() == ["second", "third"]
    assert "[2/3] the second: goes on where it was interrupted" in capsys.readouterr().out


def test_an_error_names_the_verb_whose_options_it_may_name(tmp_path: Path):
    def work() -> None:
        raise MvlocError("No threshold: use --without-threshold.")

    step = Step("map", "scene map", dict, work, dict, verb="mvloc map")
    with pytest.raises(LearnError, match=r"^Step 1 of 1, scene map, which `mvloc map` does: No threshold: use --"):
        run_steps([step], State(tmp_path / "learn.json"), lambda _: "")


def test_what_a_run_without_state_left_is_not_continued(chain: Chain, capsys: pytest.CaptureFixture[str]):
    (chain.folder / "second.txt").write_text("of another run\n")
    assert chain.run() == ["first", "second", "third"]
    assert f"deleting {chain.folder / 'second.txt'}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2, "steps": {}}', '{"version": 1, "steps": {"first": {"inputs": 1}}}', "\xff"],
)
def test_a_state_that_cannot_be_understood_is_none(chain: Chain, text: str, caplog: pytest.LogCaptureFixture):
    chain.run()
    (chain.folder / "learn.json").write_bytes(text.encode("latin-1"))
    assert chain.run() == ["first", "second", "third"]
    assert "learn.json cannot be understood" in caplog.text


def test_the_state_says_what_went_in_and_came_out(chain: Chain):
    chain.run()
    content = json.loads((chain.folder / "learn.json").read_text())
    first, second = content["steps"]["first"], content["steps"]["second"]
    assert first["inputs"] == {"option": 1}
    assert second["inputs"]["first"] == first["outputs"]["file"] == digests.of_file(chain.folder / "first.txt")
    assert first["seconds"] >= 0.0


def test_a_folder_is_known_by_its_poses_and_images(walk: Path, tmp_path: Path):
    import os
    import shutil

    copy = tmp_path / "walk"
    shutil.copytree(walk, copy)
    before = digests.of_folder(copy)
    assert digests.of_folder(copy) == before
    pose = copy / "seq-01" / "frame-000003.pose.txt"
    text = pose.read_text()
    stamp = pose.stat().st_mtime_ns
    pose.write_text(text.replace("1", "2", 1))
    os.utime(pose, ns=(stamp, stamp))
    assert digests.of_folder(copy) != before
    pose.write_text(text)
    assert digests.of_folder(copy) == before
    (copy / "seq-01" / "frame-000003.color.png").unlink()
    assert digests.of_folder(copy) != before
