# SPDX-License-Identifier: Apache-2.0
"""The schedule of a pass, and stamps moved by it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import RawMessage
from mvloc_ros.recordings.message_builder import MessageBuilder
from mvloc_ros.recordings.typestore import new_typestore
from mvloc_ros.replay.restamp import Restamper
from mvloc_ros.replay.timeline import Timeline

times = st.integers(0, 2 * 10**18)


@given(start=times, wall=times, elapsed=st.integers(0, 10**15))
def test_at_rate_1_every_stamp_moves_by_the_same_integer(start: int, wall: int, elapsed: int):
    timeline = Timeline(start, 77, wall, 1.0)
    assert timeline.wall_ns(start + elapsed) - (start + elapsed) == wall - start
    assert timeline.due_ns(start + elapsed) == 77 + elapsed
    # Messages may be stamped before the recording began: a driver's stamp is older than its receipt.
    assert timeline.wall_ns(start - elapsed) == wall - elapsed


@given(elapsed=st.integers(0, 10**13), rate=st.floats(0.1, 10.0))
def test_the_clock_is_the_inverse_of_the_schedule(elapsed: int, rate: float):
    timeline = Timeline(10**9, 5 * 10**9, 0, rate)
    there_and_back = timeline.bag_ns(timeline.due_ns(10**9 + elapsed))
    assert abs(there_and_back - (10**9 + elapsed)) <= max(1.0, rate) + elapsed * 1e-15


def test_a_lead_shifts_both_clocks():
    timeline = Timeline.starting_in(10**9, 0, 1.0)
    again = Timeline.starting_in(0, 0, 1.0)
    assert 0 < timeline.due_ns(0) - again.due_ns(0) <= 10**9
    assert 0 < timeline.wall_ns(0) - again.wall_ns(0) <= 10**9


def test_transforms_move_unless_they_are_static():
    store = new_typestore()
    value = MessageBuilder(store).static_transforms(1_000_000_000, registered=False)
    data = bytes(store.serialize_cdr(value, topics.TF_MESSAGE))
    restamp = Restamper(store)
    static = RawMessage(topics.TF_STATIC, topics.TF_MESSAGE, 0, data)
    assert restamp(static, lambda stamp: stamp + 5) == data
    moved = store.deserialize_cdr(
        restamp(RawMessage("/tf", topics.TF_MESSAGE, 0, data), lambda stamp: stamp + 2_000_000_005), topics.TF_MESSAGE
    )
    assert [(t.header.stamp.sec, t.header.stamp.nanosec) for t in moved.transforms] == [(3, 5)] * 2
    np.testing.assert_allclose(moved.transforms[1].transform.translation.y, -0.025)


def test_what_has_no_header_stays_as_it_is():
    restamp = Restamper(new_typestore())
    data = b"\x00\x01\x00\x00" + bytes(8)
    for kind in ("rosgraph_msgs/msg/Clock", "somebody/msg/Unknown"):
        assert restamp(RawMessage("/x", kind, 0, data), lambda stamp: stamp + 1) == data
