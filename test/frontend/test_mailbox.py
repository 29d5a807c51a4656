# SPDX-License-Identifier: Apache-2.0
"""The mailbox: the newest item is next, a replaced one is told, and a defect costs one item."""

from __future__ import annotations

import threading
import weakref

from mvloc_ros.frontend.mailbox import LatestWorker


def test_the_newest_item_replaces_the_one_that_waits():
    begun, go, seen = threading.Event(), threading.Event(), []

    def process(item: int) -> None:
        begun.set()
        assert go.wait(10)
        seen.append(item)

    worker = LatestWorker(process)
    assert not worker.put(1)
    assert begun.wait(10)
    assert [worker.put(item) for item in (2, 3, 4)] == [False, True, True]
    go.set()
    while len(seen) < 2:
        threading.Event().wait(0.001)
    assert worker.stop(10.0)
    assert seen == [1, 4]


def test_stopping_waits_no_longer_than_it_is_told_for_an_item_that_hangs():
    begun, go = threading.Event(), threading.Event()

    def process(_: int) -> None:
        begun.set()
        assert go.wait(60)

    worker = LatestWorker(process)
    worker.put(1)
    assert begun.wait(10)
    assert not worker.stop(0.05)
    assert worker.is_alive
    go.set()
    assert worker.stop(10.0)


def test_what_processing_raises_costs_one_item_and_is_logged(caplog):
    processed = threading.Event()

    def process(item: int) -> None:
        if item == 1:
            raise RuntimeError("injected")
        processed.set()

    worker = LatestWorker(process)
    worker.put(1)
    while not caplog.records:
        threading.Event().wait(0.001)
    worker.put(2)
    assert processed.wait(10)
    assert worker.stop(10.0)
    assert "RuntimeError: injected" in caplog.text


class _Images:
    """Stands for what is large."""


def test_an_item_that_was_processed_is_not_kept_until_the_next_one(wait_for):
    processed = threading.Event()
    worker: LatestWorker[_Images] = LatestWorker(lambda _: processed.set())
    item = _Images()
    reference = weakref.ref(item)
    worker.put(item)
    del item
    assert processed.wait(10)
    wait_for(lambda: reference() is None, 5, "the item to go")
    assert worker.stop(10.0)
