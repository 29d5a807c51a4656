# SPDX-License-Identifier: Apache-2.0
"""A folder of frames with sensors besides color and depth."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIDE = {"width": 32, "height": 32, "fx": 30.0, "fy": 30.0, "cx": 15.5, "cy": 15.5}
HERE = np.eye(4)
REAR = np.array([[-1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, -0.3], [0, 0, 0, 1]])


def declare(root: Path, sensors: dict[str, Any] | None) -> None:
    """State the sensors in camera.json, or none."""
    values = json.loads((root / "camera.json").read_text())
    values.pop("sensors", None)
    (root / "camera.json").write_text(json.dumps(values if sensors is None else {**values, "sensors": sensors}))


def add_sensors(folder: Path, root: Path) -> Path:
    """A copy of a folder with `side`, a gray square of the color image, and `rear`, color and depth turned around."""
    shutil.copytree(folder, root)
    camera = json.loads((root / "camera.json").read_text())["color"]
    declare(
        root,
        {
            "side": {"kind": "gray", "camera": SIDE, "T_reference_sensor": HERE.tolist()},
            "rear": {"kind": "color", "camera": camera, "T_reference_sensor": REAR.tolist()},
            "rear_depth": {
                "kind": "depth",
                "camera": camera,
                "T_reference_sensor": REAR.tolist(),
                "units_per_metre": 500,
                "max_depth": 8,
            },
        },
    )
    for path in root.glob("seq-*/frame-*.color.png"):
        stem = str(path).removesuffix(".color.png")
        color, depth = cv2.imread(str(path)), cv2.imread(f"{stem}.depth.png", cv2.IMREAD_UNCHANGED)
        cv2.imwrite(f"{stem}.side.png", cv2.cvtColor(color, cv2.COLOR_BGR2GRAY)[8:40, 16:48])
        cv2.imwrite(f"{stem}.rear.png", np.ascontiguousarray(color[:, ::-1]))
        cv2.imwrite(f"{stem}.rear_depth.png", np.where(depth == 65535, 0, depth // 2).astype(np.uint16))
    return root
