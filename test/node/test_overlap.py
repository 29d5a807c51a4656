# SPDX-License-Identifier: Apache-2.0
"""Two frames in work, with the real server, map and threads: the poses of one by one, and none of before a reset."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from wall_map import textured, with_wall

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.frontend.input_log import InputLog
from mvloc_ros.frontend.transform_watch import TransformWatch
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.node.pipeline import Pipeline, may_overlap
from mvloc_ros.parameters.table import NodeParameters
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.server import LocalizationServer, SeenFrame, Surroundings

PERIOD_NS = 33_000_000
BEGIN_NS = 10**18


class Nowhere:
    """Transforms that nobody hears."""

    def hold(self, *_: object) -> None: ...

    def send(self, *_: object) -> None: ...

    def withdraw(self) -> None: ...


@dataclass
class Run:
    """A pipeline, and what it has told: (stamp, pose), or (stamp, reason) of a frame without one."""

    make_image: Callable[..., Any]
    localizer: Localizer
    overlaps: bool
    changed: threading.Condition = field(default_factory=threading.Condition)
    told: list[tuple[int, Any]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    judging: list[int] = field(default_factory=list)
    held: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        values = NodeParameters(publish_frame="none", pose_frame="camera", gate_initial_fixes=1)
        manifest = self.localizer._bundle.manifest
        log = InputLog(lambda _: None, lambda _: None)
        around = Surroundings(lambda: 0, None, Nowhere(), TransformWatch(), log)

        def make_server(put: Callable[[PairedFrame], None]) -> LocalizationServer:
            return LocalizationServer(values, self.localizer, lambda: manifest, around, put, lambda *_: None)

        self.pipeline = Pipeline(
            make_server,
            lambda localized: self._tell(localized.paired, localized),
            lambda *_: None,
            self._tell,
            self.overlaps,
        )
        server = self.pipeline.server
        self._see, self._judge = server.see, server.judge
        server.see, server.judge = self._note_seen, self._hold  # type: ignore[method-assign]

    def _tell(self, paired: PairedFrame, what: Localized | str) -> None:
        with self.changed:
            self.told.append((paired.stamp_ns, what))
            self.changed.notify_all()

    def _note_seen(self, paired: PairedFrame) -> SeenFrame:
        seen = self._see(paired)
        with self.changed:
            self.seen.append(paired.stamp_ns)
            self.changed.notify_all()
        return seen

    def _hold(self, seen: SeenFrame) -> Any:
        estimate = self._judge(seen)
        with self.changed:
            self.judging.append(seen.paired.stamp_ns)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: seen.paired.stamp_ns not in self.held, 30)
        return estimate

    def wait_until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, 30)

    def release(self) -> None:
        with self.changed:
            self.held.clear()
            self.changed.notify_all()

    def send(self, n: int, noise: int = 0) -> int:
        """A pair; its stamp."""
        stamp_ns = BEGIN_NS + n * PERIOD_NS
        depth = 1500 + np.random.default_rng(noise).integers(-3, 4, (48, 64))
        self.pipeline.take_color(self.make_image(textured(), stamp_ns, "camera", encoding="rgb8"))
        self.pipeline.take_depth(self.make_image(depth.astype(np.uint16), stamp_ns, "camera", encoding="16UC1"))
        return stamp_ns

    def two_in_work(self) -> list[int]:
        """One frame that is being judged and one that the network has seen, after one whose pose is accepted."""
        first = self.send(0)
        self.wait_until(lambda: [stamp for stamp, _ in self.told] == [first])
        assert self.told[0][1].accepted
        self.held = {BEGIN_NS + PERIOD_NS}
        stamps = [self.send(1, 1)]
        self.wait_until(lambda: self.judging[-1:] == stamps)
        stamps.append(self.send(2, 2))
        self.wait_until(lambda: self.seen[-1:] == stamps[-1:])
        return stamps


@pytest.fixture(scope="module")
def localizer(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Localizer]:
    bundle = read_bundle(with_wall(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("wall") / "wall")))
    backend = create_backend("onnxruntime", bundle, 1, report=lambda _: None)
    yield Localizer(bundle, backend, RefinementOptions(budget_ms=10_000.0))
    backend.close()


@pytest.fixture
def run(make_image, localizer: Localizer) -> Iterator[Callable[[bool], Run]]:
    runs: list[Run] = []

    def start(overlaps: bool) -> Run:
        runs.append(Run(make_image, localizer.for_another_stream(), overlaps))
        return runs[-1]

    yield start
    for one in runs:
        one.release()
        assert one.pipeline.stop()


def test_two_frames_in_work_give_the_poses_that_one_by_one_give(run):
    """Each is expected where the one before it was found, so a frame judged too early would differ."""

    def poses(overlaps: bool) -> list[tuple[Any, ...]]:
        one = run(overlaps)
        for n in range(12):
            stamp_ns = one.send(n, n)  # the next one may come when it does not replace this
            one.wait_until(lambda stamp=stamp_ns: stamp in (one.seen if overlaps else dict(one.told)))
        one.wait_until(lambda: len(one.told) == 12)
        assert one.pipeline.counts.published == 12
        estimates = [(stamp, found.estimate) for stamp, found in one.told]
        return [
            (stamp, found.score, found.details.follows, found.pose.T.tolist(), found.pose.covariance.tolist())
            for stamp, found in estimates
        ]

    assert poses(True) == poses(False)


def test_every_frame_is_told_once_and_in_order_however_fast_they_come(run):
    one = run(True)
    for n in range(80):
        one.send(n, n)
        with one.changed:
            one.changed.wait(0.001 * (n % 4))
    counts = one.pipeline.counts
    one.wait_until(lambda: len(one.told) + counts.dropped_busy == 80)
    with one.pipeline.between_frames():
        assert counts.published + counts.rejected + counts.dropped_busy == 80
    stamps = [stamp for stamp, _ in one.told]
    assert stamps == sorted(set(stamps))
    assert counts.dropped_failed == 0


@pytest.mark.parametrize("reset", ["relocalize", "stamps jump back"])
def test_no_frame_of_before_a_reset_gives_a_pose_after_it(run, reset: str):
    one = run(True)
    old = one.two_in_work()
    waiting = one.send(3, 3)  # in the mailbox
    if reset == "relocalize":
        one.pipeline.server.tracking.forget()
        one.release()
        old.append(waiting)
        one.wait_until(lambda: len(one.told) == 1 + len(old))
        fresh = one.send(4, 4)
    else:  # by so little that stamps alone do not tell all of them
        fresh = one.send(-29, 4)
        one.release()
    one.wait_until(lambda: one.told[-1][0] == fresh)
    told = dict(one.told[1:])
    assert all(isinstance(told[stamp], str) and "is from before" in told[stamp] for stamp in old)
    assert told[fresh].accepted
    assert one.pipeline.counts.dropped_failed == len(old)
    assert one.pipeline.counts.published == 2


def test_a_hint_that_comes_while_two_frames_are_in_work_is_where_the_next_pose_is_expected(run):
    """They are not lost: one whose pose is near the hint is accepted by it, and others are not."""
    one = run(True)
    in_work = one.two_in_work()
    T = one.told[0][1].placement.pose.T.copy()
    T[0, 3] += 20.0
    one.pipeline.server.tracking.hint(Pose(0, T, np.diag([0.01] * 6)))
    one.release()
    one.wait_until(lambda: len(one.told) == 3)
    assert [stamp for stamp, _ in one.told[1:]] == in_work
    assert not any(found.accepted for _, found in one.told[1:])


def test_an_exchange_of_the_model_waits_for_both_frames(run):
    one = run(True)
    in_work = one.two_in_work()
    exchanged = threading.Event()

    def exchange() -> None:
        with one.pipeline.between_frames():
            assert [stamp for stamp, _ in one.told[1:]] == in_work
            exchanged.set()

    thread = threading.Thread(target=exchange)
    thread.start()
    assert not exchanged.wait(0.05)
    one.release()
    assert exchanged.wait(30)
    thread.join()
    assert all(found.accepted for _, found in one.told)


def test_frames_do_not_overlap_where_there_are_two_cores_or_one_is_to_be_used(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    assert not may_overlap(0)
    assert not may_overlap(2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    assert may_overlap(0)
    assert may_overlap(2)
    assert not may_overlap(1)
