# SPDX-License-Identifier: Apache-2.0
"""How fast one core renders: `OMP_NUM_THREADS=1 python -m mvloc_ros.demo.benchmark`."""

from __future__ import annotations

import time
from itertools import islice

import cv2

from mvloc_ros.demo.drives import plan_test
from mvloc_ros.demo.renderer import CAMERA, demo_renderer
from mvloc_ros.demo.write_folder import render_sequence

FRAMES = 150


def main() -> None:
    """Print the time to build the room and the rate of noisy colour and depth frames."""
    cv2.setNumThreads(1)
    start = time.perf_counter()
    demo_renderer()
    built = time.perf_counter()
    frames = sum(1 for _ in islice(render_sequence(plan_test(0), 0), FRAMES))
    rate = frames / (time.perf_counter() - built)
    print(f"room built in {built - start:.1f} s; {rate:.1f} frames/s of {CAMERA.width}x{CAMERA.height} on one core")


if __name__ == "__main__":
    main()
