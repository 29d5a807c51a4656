# SPDX-License-Identifier: Apache-2.0
"""What is said of poses that were found: spans of time, figures, texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from posing_scene import box_room, camera, closure, record, track_nodes, transform, view

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Trajectory
from mvloc_ros.posing.base_odometry import Mount
from mvloc_ros.posing.loop_closures import Node
from mvloc_ros.posing.posed_folder import PosedFrame
from mvloc_ros.posing.quality import consistency, left_out, low_confidence, sigmas
from mvloc_ros.posing.summary import Recording, content_of, summary_text
from mvloc_ros.posing.tracks import Keyframe, Missed
from mvloc_ros.posing.upright import BY_CAMERA, BY_FLOOR, Upright
from mvloc_ros.posing.whole_map import WholeMap

FIRST = {"seq-01": 0, "seq-02": 0}


def missed(index: int, reason: str, sequence: str = "seq-01") -> Missed:
    return Missed(record(index, sequence), reason)


def whole_of(nodes: list[Node], variances: list[float], **more: object) -> WholeMap:
    poses = np.array([node.keyframe.T for node in nodes])
    covariances = np.array([np.diag([v, 0.25 * v, 0.25 * v, 1e-6, 1e-6, 1e-6]) for v in variances])
    settings = {"closures": [], "rejected": 0, "parts": 1, **more}
    return WholeMap(nodes, list(range(len(nodes))), poses, covariances, **settings)  # type: ignore[arg-type]


def test_spans_of_left_out_frames_by_reason_and_time():
    frames = [
        *(missed(n, "no depth in the image") for n in (12, 10, 11)),
        missed(14, "no depth in the image"),  # one frame between two was posed: still one span
        missed(15, "a black color image"),
        missed(30, "a black color image"),
        missed(31, "a black color image", "seq-02"),
    ]
    found = left_out(frames, {"seq-01": 0, "seq-02": 3_000_000_000})
    spans = [(s.sequence, round(s.from_s, 6), round(s.to_s, 6), s.frames, s.reason) for s in found]
    assert spans == [
        ("seq-01", 1.0, 1.4, 4, "no depth in the image"),
        ("seq-01", 1.5, 1.5, 1, "a black color image"),
        ("seq-01", 3.0, 3.0, 1, "a black color image"),
        ("seq-02", 0.1, 0.1, 1, "a black color image"),
    ]
    assert left_out([], FIRST) == []


def test_spans_of_low_confidence_are_those_worse_than_a_decimeter():
    nodes = track_nodes(0, [transform(0.2 * k, 0, 0, 0, 0, 0) for k in range(7)])
    whole = whole_of(nodes, [0.0, 0.09**2, 0.12**2, 0.15**2, 0.11**2, 0.05**2, 0.2**2])
    np.testing.assert_allclose(sigmas(whole), [0.0, 0.09, 0.12, 0.15, 0.11, 0.05, 0.2], atol=1e-9)
    first, second = low_confidence(whole, FIRST)
    assert (first.from_s, first.to_s, first.sigma_m) == pytest.approx((0.2, 0.4, 0.15))
    assert (second.from_s, second.to_s, second.sigma_m) == pytest.approx((0.6, 0.6, 0.2))


@pytest.mark.parametrize("error_m", [0.0, 0.05])
def test_consistency_is_the_distance_of_surfaces_that_were_seen_twice(error_m: float):
    """A pose that errs by 5 cm towards a wall moves this wall by 5 cm."""
    rng = np.random.default_rng(0)
    true = [camera(1.0, 1.5, 1.2, yaw=0.0), camera(1.2, 1.4, 1.2, yaw=5.0)]
    room = box_room(8000, rng)
    views = [view(room, T, rng, index=k) for k, T in enumerate(true)]
    moved = transform(error_m, 0.0, 0.0, 0.0, 0.0, 0.0) @ true[1]
    nodes = [Node(0, k, Keyframe(views[k], T, np.eye(6))) for k, T in enumerate((true[0], moved))]
    T_a_b = se3.inverse(true[0]) @ true[1]
    median, p90 = consistency(whole_of(nodes, [0.0, 0.0], closures=[closure(0, 1, T_a_b)]))
    assert median < 0.03
    assert p90 == pytest.approx(error_m, abs=0.012) if error_m else p90 < 0.02
    assert consistency(whole_of(nodes, [0.0, 0.0])) is None


def content(
    by: str = BY_FLOOR,
    parts: int = 1,
    odometry: Trajectory | None = None,
    mount: Mount | None = None,
    **more: object,
) -> dict[str, object]:
    frames = tuple(record(n) for n in range(6))
    nodes = track_nodes(0, [transform(0.2 * k, 0, 0, 0, 0, 0) for k in (0, 1, 2)])
    T = transform(0.41, 0.0, 0.0, 0.0, 0.0, 1.0)
    whole = whole_of(nodes, [0.0, 0.01**2, 0.15**2], closures=[closure(0, 2, T, matches=55)], rejected=3, parts=parts)
    posed = {"seq-01": [PosedFrame(frames[k], nodes[k].keyframe.T, np.eye(6)) for k in range(3)]}
    left = [Missed(frames[k], "no depth in the image") for k in (3, 4, 5)]
    frame = Upright(np.eye(4), by, 0.0 if by == BY_FLOOR else None)
    recording = Recording("seq-01", Path("office/seq-01"), frames, odometry)
    return content_of([recording], posed, left, replace(whole, **more), frame, mount, [], 2.0)


def test_posing_json_has_what_is_stated():
    found = json.loads(json.dumps(content()))
    assert found["version"] == 1
    (sequence,) = found["sequences"]
    assert (sequence["name"], sequence["recording"]) == ("seq-01", "office/seq-01")
    assert (sequence["frames"], sequence["posed"]) == (6, 3)
    assert sequence["path_m"] == pytest.approx(0.4)
    (span,) = sequence["left_out"]
    assert span == {"from_s": pytest.approx(0.3), "to_s": pytest.approx(0.5), "frames": 3,
                    "reason": "no depth in the image"}  # fmt: skip
    (loop,) = found["loop_closures"]
    assert (loop["from"], loop["to"], loop["matches"]) == (["seq-01", 0], ["seq-01", 2], 55)
    assert loop["residual_m"] == pytest.approx(0.01)
    assert loop["residual_deg"] == pytest.approx(1.0)
    assert found["rejected_loop_closures"] == 3
    assert found["sigma_m"] == pytest.approx({"median": 0.01, "p90": 0.122, "max": 0.15})
    (low,) = found["low_confidence"]
    assert set(low) == {"sequence", "from_s", "to_s", "sigma_m", "reason"}
    assert (found["up"], found["floor_z_m"], found["frames_per_s"]) == ("floor plane", 0.0, 3.0)


def test_the_summary_says_frame_parts_and_what_was_left_out():
    text = summary_text(content())
    assert "poses: 3 of 6 frames, 1 loop closures (3 rejected), 3.0 frames/s" in text
    assert "z up by the floor plane, the floor is z = 0; x along the first view; metres" in text
    assert "left out: seq-01 (office/seq-01) 0.3 to 0.5 s, 3 frames: no depth in the image" in text
    assert "low confidence: seq-01 0.2 to 0.2 s, 0.15 m" in text
    assert "WARNING" not in text
    other = summary_text(content(BY_CAMERA, parts=2, closures=[]))
    assert "no floor was found, the first camera is z = 0" in other
    assert "WARNING: 2 parts could not be joined" in other
    assert "nothing tells how far the poses drifted" in other
    seen_twice = summary_text({**content(), "consistency": {"median_m": 0.0042, "p90_m": 0.0119}})
    assert "surfaces seen twice differ by 0.004 m (median), 0.012 m (90 %)" in seen_twice
    assert "drifted" not in seen_twice


def test_many_spans_with_one_reason_are_one_line():
    found = content()
    spans = [{"from_s": k, "to_s": k + 0.1, "frames": 2, "reason": "no depth image"} for k in range(9)]
    found["sequences"][0]["left_out"] = [*spans, {"from_s": 3.5, "to_s": 3.5, "frames": 1, "reason": "other"}]
    lines = [line for line in summary_text(found).splitlines() if line.startswith("left out")]
    assert lines == [
        "left out: seq-01 (office/seq-01) 0.0 to 8.1 s, 18 frames in 9 places: no depth image",
        "left out: seq-01 (office/seq-01) 3.5 to 3.5 s, 1 frames: other",
    ]


def test_the_place_of_the_camera_on_the_robot_is_said():
    """A camera 0.2 m before the base and 0.1 m to its left, that looks 5 degrees down and 90 degrees to the left."""
    T = camera(0.2, 0.1, 0.9, yaw=90.0, pitch=5.0)
    odometry = Trajectory.collect({1: np.eye(4)})
    found = content(odometry=odometry, mount=Mount(T, 0.008, np.deg2rad(0.2)))
    on_robot = found["camera_on_robot"]
    assert [on_robot[key] for key in ("x_m", "y_m")] == pytest.approx([0.2, 0.1])
    assert [on_robot[key] for key in ("heading_deg", "pitch_down_deg")] == pytest.approx([90.0, 5.0])
    said = "odometry: used, with the camera at x 0.20, y 0.10 m of the base, heading 90.0, pitch 5.0 degrees down"
    assert said in summary_text(found)
    assert "odometry: not used" in summary_text(content(odometry=odometry))
    assert "odometry" not in summary_text(content())
