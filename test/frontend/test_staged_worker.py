# SPDX-License-Identifier: Apache-2.0
"""Two stages beside each other: in order, each with one item at a time, and every item accounted for once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from mvloc_ros.frontend.mailbox import StagedWorker


def busy(seconds: float) -> None:
    """Work that gives Python's lock away now and then."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


class Stages:
    """Notes what comes into each stage and leaves it; an item is held in a stage as long as it is in `held`."""

    def __init__(self, overlaps: Callable[[], bool] | None = lambda: True) -> None:
        self.changed = threading.Condition()
        self.first: list[int] = []
        self.second: list[int] = []
        self.done: list[int] = []
        self.held: set[tuple[str, int]] = set()
        self.inside = {"first": 0, "second": 0}
        self.most = {"first": 0, "second": 0, "both": 0}
        self.work: Callable[[str, int], None] = lambda _stage, _item: None
        self.worker: StagedWorker[int, int] = StagedWorker(self._in_first, self._in_second, overlaps)

    def _in_first(self, item: int) -> int:
        self._stage("first", item, self.first)
        return item

    def _in_second(self, item: int) -> None:
        self._stage("second", item, self.second)
        with self.changed:
            self.done.append(item)
            self.changed.notify_all()

    def _stage(self, stage: str, item: int, seen: list[int]) -> None:
        with self.changed:
            seen.append(item)
            self.inside[stage] += 1
            self.most[stage] = max(self.most[stage], self.inside[stage])
            self.most["both"] = max(self.most["both"], sum(self.inside.values()))
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: (stage, item) not in self.held, 30)
        try:
            self.work(stage, item)
        finally:
            with self.changed:
                self.inside[stage] -= 1

    def release(self, stage: str, item: int) -> None:
        with self.changed:
            self.held.discard((stage, item))
            self.changed.notify_all()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 30)


@pytest.mark.parametrize("seed", range(4))
def test_items_keep_their_order_and_each_is_accounted_for_once(seed: int):
    """Whatever the stages take, fail at, and when overlapping is allowed."""
    rng = random.Random(seed)
    failing, takes = {item for item in range(400) if rng.random() < 0.1}, [rng.random() < 0.5 for _ in range(400)]
    allowed = {"overlap": True}
    stages = Stages(lambda: allowed["overlap"])

    def work(stage: str, item: int) -> None:
        busy(rng.choice((0.0, 2e-4, 1e-3)))
        if item in failing and (stage == "first") == takes[item]:
            raise RuntimeError("injected")

    stages.work = work
    replaced = 0
    for item in range(400):
        replaced += stages.worker.put(item)
        allowed["overlap"] = rng.random() < 0.8
        busy(rng.choice((0.0, 1e-4, 2e-3)))
        if item % 50 == 49:
            with stages.worker.paused(lambda: False) as is_idle:
                assert is_idle
                assert stages.inside == {"first": 0, "second": 0}
    with stages.worker.paused(lambda: False):
        waiting = 400 - replaced - len(stages.first)
        assert waiting in (0, 1)  # what no thread has taken yet
    assert stages.worker.stop(30.0)
    for seen in (stages.first, stages.second, stages.done):
        assert seen == sorted(set(seen))
    taken = set(stages.first)
    assert taken - set(stages.second) == {item for item in taken & failing if takes[item]}
    assert set(stages.second) - set(stages.done) == {item for item in taken & failing if not takes[item]}
    assert (stages.most["first"], stages.most["second"]) == (1, 1)


def test_the_next_item_is_begun_while_the_one_before_is_in_the_second_stage():
    stages = Stages()
    stages.held = {("second", 1), ("first", 2)}
    stages.worker.put(1)
    stages.wait_until(lambda: stages.second == [1])
    assert not stages.worker.put(2)
    stages.wait_until(lambda: stages.first == [1, 2])
    stages.release("second", 1)
    stages.wait_until(lambda: stages.done == [1])
    assert stages.second == [1]
    stages.release("first", 2)
    stages.wait_until(lambda: stages.done == [1, 2])
    assert stages.worker.stop(10.0)
    assert stages.most["both"] == 2


@pytest.mark.parametrize("overlaps", [None, lambda: False])
def test_nothing_is_begun_beside_another_item_where_that_is_not_allowed(overlaps: Callable[[], bool] | None):
    stages = Stages(overlaps)
    stages.held = {("second", 1)}
    stages.worker.put(1)
    stages.wait_until(lambda: stages.second == [1])
    assert [stages.worker.put(2), stages.worker.put(3)] == [False, True]
    stages.release("second", 1)
    stages.wait_until(lambda: stages.done == [1, 3])
    assert stages.worker.stop(10.0)
    assert stages.most["both"] == 1


def test_an_item_that_would_wait_for_the_second_stage_is_not_begun_so_that_a_newer_one_can_come():
    stages = Stages()
    stages.worker._second_s = 1000.0  # what the second stage is expected to take
    stages.held = {("second", 1)}
    stages.worker.put(1)
    stages.wait_until(lambda: stages.second == [1])
    assert [stages.worker.put(2), stages.worker.put(3)] == [False, True]
    stages.release("second", 1)  # earlier than was expected
    stages.wait_until(lambda: stages.done == [1, 3])
    assert stages.worker.stop(10.0)


def test_a_pause_begins_when_nothing_is_in_work_and_holds_the_next_item_back():
    stages = Stages()
    stages.held = {("second", 1), ("first", 2)}
    stages.worker.put(1)
    stages.wait_until(lambda: stages.second == [1])
    stages.worker.put(2)
    stages.wait_until(lambda: stages.first == [1, 2])
    paused = threading.Event()

    def pause() -> None:
        with stages.worker.paused(lambda: False) as is_idle:
            assert is_idle
            assert stages.done == [1, 2]
            stages.worker.put(3)
            paused.set()

    thread = threading.Thread(target=pause)
    thread.start()
    stages.release("second", 1)
    stages.wait_until(lambda: stages.done == [1])
    assert not paused.is_set()
    stages.release("first", 2)
    assert paused.wait(30)
    thread.join()
    stages.wait_until(lambda: stages.done == [1, 2, 3])
    assert stages.worker.stop(10.0)


def test_the_oldest_item_tells_for_how_long_there_has_been_work_and_what_hangs_is_left_behind():
    stages = Stages()
    stages.held = {("second", 1), ("first", 2)}
    assert stages.worker.working_for_s == 0.0
    stages.worker.put(1)
    stages.wait_until(lambda: stages.second == [1])
    before = stages.worker.working_for_s
    stages.worker.put(2)
    stages.wait_until(lambda: stages.first == [1, 2])
    assert stages.worker.working_for_s > before
    with stages.worker.paused(lambda: True) as is_idle:
        assert not is_idle
    stages.release("first", 2)
    assert not stages.worker.stop(0.05)
    assert stages.worker.is_alive
    stages.release("second", 1)
    assert stages.worker.stop(30.0)  # what was in work is done all the same
    assert stages.done == [1, 2]
    assert stages.worker.working_for_s == 0.0
