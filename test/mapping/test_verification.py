# SPDX-License-Identifier: Apache-2.0
"""What must not be accepted, and what must, on frames of the synthetic room."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.geometry import se3
from mvloc_ros.localization.gate import GateLimits
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.motion import moved
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.pose import Pose
from mvloc_ros.localization.tracker import Fix, Tracker
from mvloc_ros.localization.verification import BRIGHTNESS, agreement
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.mapping.lighting import EVENING, Light, Spot
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.recordings import open_folder, read_color

APART_NS = 10_000_000_000
COVARIANCE = np.diag([0.0025] * 3 + [0.0012] * 3)


@pytest.fixture(scope="module")
def frames(folder) -> list[tuple[Frame, np.ndarray]]:
    """The test walk, so far apart in time that no frame tells of the next, and its poses."""
    records, cameras = open_folder(folder).test, Cameras.of(open_folder(folder))
    return [
        (
            Frame(i * APART_NS, "camera", ColorImage(read_color(r.color), "rgb"), depth_image(r, cameras)),
            np.array(r.T_map_camera),
        )
        for i, r in enumerate(records)
    ]


@pytest.fixture(scope="module")
def localizer(lookup_bundle) -> Localizer:
    """With a network of its own, which errs."""
    options = RefinementOptions(budget_ms=5000.0, starts=2)
    return Localizer(lookup_bundle, create_backend("onnxruntime", lookup_bundle, threads=1), options)


def at_any_score(bundle):
    """The bundle with a threshold that everything passes."""
    spec = bundle.manifest.scene_map
    acceptance = replace(spec.acceptance, threshold=1e-6, bias=50.0)
    return replace(bundle, manifest=replace(bundle.manifest, scene_map=replace(spec, acceptance=acceptance)))


def test_true_frames_are_believed_and_exact(frames, localizer):
    found = [(localizer.process(frame), truth) for frame, truth in frames]
    network = [float(se3.translation_error(e.network.T, truth)) for e, truth in found]
    assert np.median(network) > 0.03, "a network that errs"
    accepted = [(e, truth) for e, truth in found if not e.rejection]
    assert len(accepted) >= 11
    assert max(float(se3.translation_error(e.pose.T, truth)) for e, truth in accepted) < 0.05


LIGHTS = {
    "a third": Light(gain=0.3),
    "twice": Light(gain=1.6),
    "gamma 2": Light(gamma=2.0),
    "lamp from one side": Light(across=0.75),
    "spot": Light(spot=Spot(0.3, 0.5)),
    "evening": EVENING,
}


def in_light(frame: Frame, light: Light) -> Frame:
    assert frame.color is not None
    pixels = light.on(frame.color.pixels, np.random.default_rng(2))
    return replace(frame, color=ColorImage(pixels, "rgb"))


@pytest.mark.parametrize("name", LIGHTS)
def test_the_verdict_does_not_depend_on_the_light(frames, localize, name):
    """True frames are accepted, and depth of another moment is rejected, where nothing but colour speaks against it."""
    accepted = 0
    for frame, truth in frames[::2]:
        estimate, _ = localize(in_light(frame, LIGHTS[name]), moved(truth, 0.5 * np.sqrt(np.diag(COVARIANCE))))
        accepted += not estimate.rejection
    assert accepted >= 5, "of images of 16 by 12 pixels"
    for i in (0, 4):
        frame, (other, elsewhere) = frames[i][0], frames[i + 4]
        wrong, _ = localize(in_light(replace(frame, depth=other.depth), LIGHTS[name]), elsewhere, starts=1)
        assert wrong.rejection


def with_old_weights(bundle):
    """As a bundle whose map was made when brightness was compared."""
    spec = bundle.manifest.scene_map
    weights = {
        "support": 2.5, "fit": 1.2, "free_space": 0.6, "in_view": 0.8, "appearance": 5.7, "alignment": 6.0,
        "agreement": 1.5,
    }  # fmt: skip
    typical = dict.fromkeys(weights, 0.9)
    old = replace(spec.acceptance, bias=-13.7, weights=weights, typical=typical, threshold=0.9)
    return replace(bundle, manifest=replace(bundle.manifest, scene_map=replace(spec, acceptance=old)))


def test_an_older_map_is_judged_by_the_evidence_that_it_was_made_with(frames, localize, mapped):
    bundle = with_old_weights(mapped)
    spec = bundle.manifest.scene_map.acceptance
    frame, truth = frames[3]
    estimate, _ = localize(frame, truth, bundle=bundle)
    evidence = estimate.details.evidence
    assert not {"local_contrast", "synchrony", "contrast_alignment", "consistency"} & set(evidence.values())
    assert set(BRIGHTNESS) <= set(evidence.values())
    total = spec.bias + sum(weight * getattr(evidence, name) for name, weight in spec.weights.items())
    assert estimate.score == pytest.approx(1.0 / (1.0 + np.exp(-total)))
    assert estimate.rejection == ""
    # Its verdict depends on the light, as it did.
    lamp, _ = localize(in_light(frame, LIGHTS["spot"]), truth, bundle=bundle, starts=1)
    assert lamp.details.evidence.appearance < evidence.appearance - 0.1
    # A frame without a colour image is judged by the rest.
    plain, _ = localize(replace(frame, color=None), truth, bundle=bundle)
    assert (plain.details.evidence.appearance, plain.details.evidence.alignment) == (0.9, 0.9)


def test_a_result_that_a_rule_rejects_is_not_the_best_whatever_its_score(frames, localize, mapped):
    """The first start ends where the map hides nothing and nothing fits; the second at the camera's pose."""
    bundle = at_any_score(mapped)
    (first, before), (frame, truth) = frames[3], frames[4]
    _, localizer = localize(replace(first, stamp_ns=1_000_000_000), before, bundle=bundle)
    astray = moved(truth, np.array([0.7, 1.0, -0.3, 0.0, -0.1, 2.2]))
    frame = replace(frame, stamp_ns=1_100_000_000)
    assert "of the depth image fits" in localize(frame, astray, bundle=bundle, starts=1)[0].rejection
    estimate, _ = localize(frame, astray, bundle=bundle, localizer=localizer)
    assert estimate.rejection == ""
    assert se3.translation_error(estimate.pose.T, truth) < 0.05


def test_depth_of_another_moment_is_rejected(frames, localizer):
    for i, (frame, truth) in enumerate(frames):
        j = next(j for j in (i + 5) % 12 + np.arange(12) if se3.translation_error(frames[j % 12][1], truth) > 0.3) % 12
        estimate = localizer.process(replace(frame, depth=frames[j][0].depth))
        assert estimate.rejection, f"colour of {i}, depth of {j}"


def test_depth_of_another_moment_is_rejected_where_the_network_believes_the_depth(frames, localize):
    """Registration fits perfectly, and the network agrees: only the colour image speaks against the pose."""
    for i in range(0, 12, 2):
        frame, other = frames[i][0], frames[(i + 4) % 12]
        estimate, _ = localize(replace(frame, depth=other[0].depth), other[1], starts=1)
        assert estimate.details.evidence.support > 0.9
        assert "colour" in estimate.rejection


def test_depth_that_froze_a_moment_ago_is_rejected_at_the_pose_believed_then(localize, room):
    """The first frame with old depth: what hangs is not yet known, and the pose of the depth was accepted."""
    scene, (before, after) = room.Scene(), room.path(2, 0.57)
    after = moved(before, np.array([0.05, 0.12, 0.0, 0.0, 0.05, 0.1]))
    first = room.frame_of(scene, before, 1_000_000_000)
    accepted, localizer = localize(first, before)
    assert accepted.rejection == ""
    noise = np.random.default_rng(5).integers(-2, 3, first.depth.values.shape)
    old = DepthImage((first.depth.values + noise).astype(np.uint16), 0.001)
    second = replace(room.frame_of(scene, after, 1_200_000_000), depth=old)
    estimate, _ = localize(second, after, localizer=localizer)
    assert "colour" in estimate.rejection


def test_a_covered_lens_is_rejected_at_any_score(frames, localize, mapped):
    for level, bundle in ((0, mapped), (15, at_any_score(mapped)), (250, at_any_score(mapped))):
        frame, truth = frames[3]
        grey = level + np.random.default_rng(1).integers(0, 5, frame.color.pixels.shape)
        estimate, _ = localize(replace(frame, color=ColorImage(grey.astype(np.uint8), "rgb")), truth, bundle=bundle)
        assert "shows nothing" in estimate.rejection
        assert estimate.details.starts == 1, "no other start can mend it"


def test_a_blocked_view_is_rejected_at_any_score(frames, localize, mapped):
    frame, truth = frames[5]
    color, depth = frame.color.pixels.copy(), frame.depth.values.copy()
    color[:, :128], depth[:, :128] = (90, 70, 60), 600
    blocked = replace(frame, color=ColorImage(color, "rgb"), depth=DepthImage(depth, 0.001))
    estimate, _ = localize(blocked, truth, bundle=at_any_score(mapped), starts=2)
    assert "in front of most of the scene" in estimate.rejection


def test_somebody_in_a_fifth_of_the_view_is_no_reason(frames, localize):
    frame, truth = frames[5]
    depth = frame.depth.values.copy()
    depth[30:, 120:140] = 900
    estimate, _ = localize(replace(frame, depth=DepthImage(depth, 0.001)), truth)
    assert estimate.rejection == ""


def test_a_pose_rescued_from_the_last_believed_one_is_believed(localize, room):
    scene, before = room.Scene(), room.path(6, 0.57)[2]
    after = moved(before, np.array([0.02, 0.03, 0.0, 0.0, 0.01, 0.03]))
    _, localizer = localize(room.frame_of(scene, before, 1_000_000_000), before)
    # The network fails: by 0.9 m and 70 degrees, where its covariance says 5 cm and 2 degrees.
    astray = moved(after, np.array([-0.5, 0.6, 0.4, 0.3, 0.2, 1.2]))
    frame = room.frame_of(scene, after, 1_100_000_000)
    rescued, _ = localize(frame, astray, localizer=localizer)
    assert rescued.rejection == ""
    assert se3.translation_error(rescued.pose.T, after) < 0.03
    assert rescued.details.starts == 2
    # Without an accepted pose there is nothing to be rescued by.
    assert localize(frame, astray, starts=1)[0].rejection


def test_odometry_carries_the_last_believed_pose_to_where_the_camera_is_now(localize, room, without_keyframes):
    """The network fails after five seconds in which the camera went 0.7 m and turned by 50 degrees."""
    scene, (before, *_, after) = room.Scene(), room.path(8, 0.57)[:3]
    T_odom_map = room.looking(3.0, -2.0, 0.5, 1.0, 0.0)
    astray = moved(after, np.array([-0.5, 0.6, 0.4, 0.3, 0.2, 1.2]))
    frame = room.frame_of(scene, after, 6_000_000_000)

    def accepting() -> Localizer:
        first = room.frame_of(scene, before, 1_000_000_000)
        found, localizer = localize(
            first, before, bundle=without_keyframes, starts=2, T_odom_camera=T_odom_map @ before
        )
        assert found.rejection == ""
        return localizer

    rescued, _ = localize(frame, astray, localizer=accepting(), T_odom_camera=T_odom_map @ after)
    assert rescued.rejection == ""
    assert se3.translation_error(rescued.pose.T, after) < 0.03
    # Without odometry the camera may be anywhere by now, and after `forget` there is nothing to carry.
    assert localize(frame, astray, localizer=accepting())[0].rejection
    forgetful = accepting()
    forgetful.tracker.forget()
    assert localize(frame, astray, localizer=forgetful, T_odom_camera=T_odom_map @ after)[0].rejection


def test_a_rejected_pose_is_never_the_one_to_start_from(localize, room):
    scene, before = room.Scene(), room.path(6, 0.57)[2]
    after = moved(before, np.array([0.0, 0.2, 0.0, 0.0, 0.0, 0.2]))
    first = room.frame_of(scene, before, 1_000_000_000)
    _, localizer = localize(first, before)
    hanging = replace(room.frame_of(scene, after, 1_100_000_000), depth=first.depth)
    assert localize(hanging, before, localizer=localizer)[0].rejection
    np.testing.assert_allclose(localizer.tracker.expected(1_100_000_000, None).pose.T, before, atol=0.03)


def test_a_pose_that_the_gate_rejects_is_no_starting_point(localize, room):
    """It fits the map, and the tracker does not accept the jump: the next frame is looked for where it was before."""
    scene, before = room.Scene(), room.path(6, 0.57)[2]
    after = moved(before, np.array([0.0, 0.4, 0.0, 0.0, 0.0, 0.3]))
    _, localizer = localize(room.frame_of(scene, before, 1_000_000_000), before)
    tracker = Tracker(GateLimits(max_jump_m=0.1))
    accepted, _ = localizer.follow(room.frame_of(scene, before, 1_000_000_000), tracker)
    localizer._backend.T = after
    jumped, verdict = localizer.follow(room.frame_of(scene, after, 1_050_000_000), tracker)
    assert (jumped.refined, jumped.rejection, verdict.accepted) == (True, "", False)
    assert "0.10 m" in verdict.reason or "are allowed" in verdict.reason
    expected = tracker.expected(1_060_000_000, None)
    np.testing.assert_allclose(expected.pose.T, accepted.pose.T)


def test_a_hint_is_a_starting_point_and_no_evidence(localize, room, without_keyframes):
    scene, truth = room.Scene(), room.path(6, 0.57)[2]
    astray = moved(truth, np.array([-0.5, 0.6, 0.4, 0.3, 0.2, 1.2]))
    frame = room.frame_of(scene, truth, 1_000_000_000)
    lost, localizer = localize(frame, astray, bundle=without_keyframes, starts=2)
    assert lost.rejection
    # A person points within 5 cm and 2 degrees, and states half a metre.
    pointed = moved(truth, np.array([0.03, -0.03, 0.02, 0.0, 0.01, 0.03]))
    localizer.tracker.hint(Pose(1_000_000_000, pointed, np.diag([0.25] * 3 + [0.07] * 3)), None)
    found, _ = localize(frame, astray, localizer=localizer)
    assert found.details.starts == 2
    assert se3.translation_error(found.pose.T, truth) < 0.03, "registration started at the hint"
    # The hint itself does not speak for what was found there.
    assert found.details.evidence.agreement < 0.05
    near = Pose(1_000_000_000, pointed, np.diag([0.0025] * 3 + [0.001] * 3))
    localizer.tracker.update(Fix(near))
    again, _ = localize(frame, astray, localizer=localizer)
    assert again.details.evidence.agreement > 0.5, "an accepted pose does"


def test_odometry_is_asked_once_a_frame_and_goes_with_the_pose(localize, room):
    truth, asked = room.path(6, 0.57)[2], []
    _, localizer = localize(room.frame_of(room.Scene(), truth, 1_000_000_000), truth)

    def odometry(frame: Frame) -> np.ndarray:
        asked.append(frame.stamp_ns)
        return np.eye(4)

    estimate, verdict = localizer.follow(room.frame_of(room.Scene(), truth, 2_000_000_000), localizer.tracker, odometry)
    assert asked == [2_000_000_000]
    np.testing.assert_array_equal(verdict.T_map_odom, estimate.pose.T)


def test_agreement_is_with_the_nearest_expectation_and_a_vague_one_says_little():
    truth = np.eye(4)
    usual = moved(truth, np.sqrt(np.diag(COVARIANCE)))
    failed = Pose(0, moved(truth, 20.0 * np.sqrt(np.diag(COVARIANCE))), COVARIANCE)
    accepted = Pose(0, truth, 0.5 * COVARIANCE)
    assert agreement(truth, [Pose(0, usual, COVARIANCE)]) == pytest.approx(0.9, abs=0.001)
    assert agreement(truth, [failed]) < 0.05
    assert agreement(truth, [failed, accepted]) == 1.0
    vague = [replace(accepted, covariance=scale**2 * COVARIANCE) for scale in (1.0, 3.0, 30.0, 1e6)]
    values = [agreement(truth, [failed, one]) for one in vague]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1.0
    assert values[1] > 0.7
    assert values[3] < 0.3, "in two seconds a camera may be anywhere"
