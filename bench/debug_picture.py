# SPDX-License-Identifier: Apache-2.0
"""What `~/debug_image` shows, without ROS: two frames of the demo's room, one accepted and one rejected.

    python -m bench.debug_picture --out docs/images/debug_image.png

In the second frame a grey board that the scene map does not have stands 0.9 m in front of the camera. Rendered and
localized with `models/demo`; the same command gives the same picture.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.demo.demo_run import shipped_model
from mvloc_ros.demo.renderer import demo_renderer
from mvloc_ros.demo.sequence_plans import plan_test
from mvloc_ros.frontend.front_end import PairedFrame
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.options import RefinementOptions
from mvloc_ros.localization.tracker import GateLimits, Tracker
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame
from mvloc_ros.pipeline.debug_image import Picture, debug_image, words_of
from mvloc_ros.pipeline.localized import Localized
from mvloc_ros.pipeline.robot_tracking import Placement
from mvloc_ros.pipeline.scan import scan_of

_FRAME = 40
_BOARD_M, _BOARD_SHARE, _BOARD_GREY = 0.9, 0.7, 110
_FEWER_LEVELS = 0xF0
"""Of each color, for a smaller file."""


def rendered(number: int) -> tuple[ColorImage, DepthImage]:
    """One frame of the demo's test drive."""
    plan = plan_test(0, number + 1)
    renderer = demo_renderer()
    renderer.set_light(plan.light, plan.exposure)
    frame = renderer.measure(plan.poses[number], np.random.default_rng((0, number)))
    return ColorImage(frame.color, "rgb"), DepthImage(frame.depth, 1.0)


def behind_board(color: ColorImage, depth: DepthImage) -> tuple[ColorImage, DepthImage]:
    """The same frame with a board in front of the right part of the camera's view."""
    pixels, metres = color.pixels.copy(), depth.values.copy()
    left = round((1.0 - _BOARD_SHARE) * pixels.shape[1])
    pixels[:, left:], metres[:, left:] = _BOARD_GREY, _BOARD_M
    return ColorImage(pixels, color.order), DepthImage(metres, depth.metres_per_unit)


def localized(localizer: Localizer, frame: Frame) -> Localized:
    """What becomes of one frame, nothing being known before it."""
    estimate, verdict = localizer.follow(frame, Tracker(GateLimits(), unverified_after_s=5.0))
    now = time.perf_counter()
    paired = PairedFrame(frame.stamp_ns, frame.frame_id, 0, {}, 0.0, now, now)
    return Localized(paired, estimate, Placement(verdict, "map", "camera", estimate.pose, np.eye(4), ()))


def drawn(localizer: Localizer, frame: Frame) -> Picture:
    """The picture of a frame that has a depth image."""
    assert frame.depth is not None
    found = localized(localizer, frame)
    return debug_image(frame, scan_of(frame.depth, found.estimate, localizer), localizer.rig, words_of(found))


def main() -> None:
    """Draw both and write them side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="the picture")
    out = parser.parse_args().out
    bundle = read_bundle(shipped_model())
    backend = create_backend("onnxruntime", bundle, 1)
    # No limit that a busy machine could reach: the picture is the same each time.
    localizer = Localizer(bundle, backend, RefinementOptions(mode="required", budget_ms=1e6))
    seen = rendered(_FRAME)
    frames = Frame(1, "camera", *seen), Frame(2, "camera", *behind_board(*seen))
    picture = np.hstack([drawn(localizer, frame) for frame in frames])
    backend.close()
    cv2.imwrite(str(out), picture & np.uint8(_FEWER_LEVELS), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{out}: {picture.shape[1]}x{picture.shape[0]} pixels, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
