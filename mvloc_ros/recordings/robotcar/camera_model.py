# SPDX-License-Identifier: Apache-2.0
"""RobotCar's camera models: Bayer image -> undistorted RGB of a pinhole camera.

`models/NAME.txt` has `fx fy cx cy` and below it a 4x4 matrix that maps the image's optical frame into the
camera's (x forward, y right, z down). `models/NAME_distortion_lut.bin` has float64 2 x N: for each pixel of
the undistorted image, row after row, first all columns and then all rows in the recorded image, from 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.file_reader import read_file
from mvloc_ros.geometry import se3
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.text_file import read_text
from mvloc_ros.limits import MOST_IMAGE_FILE_BYTES
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.images import read_gray

Array = NDArray[np.float64]

# By names that OpenCV 4.5.4 (Ubuntu 22.04) has: they name the second row of the pattern, from its second column.
_DEMOSAIC = {"gbrg": cv2.COLOR_BayerGR2RGB, "rggb": cv2.COLOR_BayerBG2RGB}


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A camera: the undistorted image's intrinsics, its optical frame in the camera's frame, and the table."""

    camera: PinholeCamera
    T_camera_image: Array
    columns: NDArray[np.float32]
    rows: NDArray[np.float32]
    pattern: str

    def read(self, path: Path) -> NDArray[np.uint8]:
        """The undistorted image `[H, W, 3]` RGB of a recorded file.

        Raises RecordingError where the file is missing, damaged, or of another size.
        """
        raw = read_gray(path)
        if raw.shape != self.columns.shape:
            raise RecordingError(
                f"{path} has {raw.shape[1]}x{raw.shape[0]} pixels, but its camera model is for "
                f"{self.camera.width}x{self.camera.height}: use the model that belongs to the camera."
            )
        rgb = cv2.cvtColor(raw, _DEMOSAIC[self.pattern])
        # What the recorded image does not show stays black.
        return np.asarray(cv2.remap(rgb, self.columns, self.rows, cv2.INTER_LINEAR), dtype=np.uint8)


def read_camera_model(folder: Path, name: str, pattern: str, size: tuple[int, int]) -> CameraModel:
    """The model of images of a size (width, height).

    Raises RecordingError where a file is missing, damaged, or for images of another size.
    """
    path, table = folder / f"{name}.txt", folder / f"{name}_distortion_lut.bin"
    try:
        values = np.array([float(field) for field in read_text(path).split()])
        lut = np.frombuffer(read_file(table, MOST_IMAGE_FILE_BYTES), dtype="<f8")
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise RecordingError(
            f"The camera model {path} and its table cannot be read ({reason}): give the folder of the data set's kit "
            "with --models."
        ) from error
    if values.size != 20 or not se3.is_rigid(values[4:].reshape(4, 4), tolerance=1e-3):
        raise RecordingError(f"{path} must contain fx fy cx cy and a rigid 4x4 matrix.")
    width, height = size
    if lut.size != 2 * width * height:
        raise RecordingError(
            f"{table} has {lut.size} numbers, but images of {width}x{height} pixels need {2 * width * height}: use the "
            "model that belongs to the camera."
        )
    columns, rows = (part.reshape(height, width).astype(np.float32) for part in lut.reshape(2, -1))
    fx, fy, cx, cy = map(float, values[:4])
    return CameraModel(PinholeCamera(width, height, fx, fy, cx, cy), values[4:].reshape(4, 4), columns, rows, pattern)
