# SPDX-License-Identifier: Apache-2.0
"""The images and clouds of a recording -> the files of the folder, with the node's own decoders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.frontend.clouds import project_cloud
from mvloc_ros.frontend.compressed import decode_compressed_color, decode_compressed_depth
from mvloc_ros.frontend.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.geometry.projection import register_depth
from mvloc_ros.image_header import JPEG_START, PNG_SIGNATURE
from mvloc_ros.model.frame import DepthImage
from mvloc_ros.model.preprocessing import prepare_color, prepare_depth, prepare_gray
from mvloc_ros.recordings import topics
from mvloc_ros.recordings.bag_reader import BagReader, RawMessage
from mvloc_ros.recordings.errors import RecordingError
from mvloc_ros.recordings.folder_writer import FolderWriter, FrameName
from mvloc_ros.recordings.to_dataset.topic_selection import CLOUD

Array = NDArray[np.float64]
_FILE_ORDERS = ("bgr", "bgra", "mono")
"""What files are read as; in another order the file alone would be read as other colours."""
ToDepthMap = Callable[[Any], NDArray[np.float32]]


def write_color(
    writer: FolderWriter,
    name: FrameName,
    message: Any,
    camera: PinholeCamera,
    suffix: str,
    modality: str = "color",
    *,
    is_gray: bool = False,
) -> None:
    """Store a message of the colour camera or of another one; a JPEG or PNG as it came, so that it loses nothing.

    As a new PNG where the message's format says what no file can: that it is a mosaic, or has red and blue exchanged;
    and where one channel is wanted (`is_gray`) and the file has several. `modality` is `color` or a sensor's name.

    Raises:
        DecodeError: the image cannot be read, or has not the size of its camera_info.
    """
    compressed = not hasattr(message, "encoding")
    image = decode_compressed_color(message) if compressed else decode_color(message)
    _check_size(image.pixels, camera, "colour" if modality == "color" else modality)
    data = bytes(message.data) if compressed else b""
    if image.order in (("mono",) if is_gray else _FILE_ORDERS) and data.startswith((PNG_SIGNATURE, JPEG_START)):
        writer.write_color_file(name, data, "png" if data.startswith(PNG_SIGNATURE) else "jpg", modality)
        return
    pixels = (prepare_gray if is_gray else prepare_color)(image, camera.height, camera.width)
    writer.write_color(name, pixels, "png" if compressed else suffix, modality)


def image_to_depth_map(
    message_type: str,
    camera: PinholeCamera,
    register: tuple[PinholeCamera, Array] | None,
    unit_m: float,
    modality: str = "depth",
) -> ToDepthMap:
    """A function from depth messages to metres `[H, W]`, registered to a colour camera where that is given.

    `unit_m` are the metres of one unit of the messages' values; 0 takes REP 118's. `modality` is the sensor, for words.
    """

    def convert(message: Any) -> NDArray[np.float32]:
        image = _decode_depth(message, message_type, unit_m)
        _check_size(image.values, camera, modality)
        metres = prepare_depth(image, camera.height, camera.width)
        return metres if register is None else register_depth(metres, camera, register[0], register[1])

    return convert


def unit_of(message: Any, message_type: str, unit_m: float) -> float:
    """The metres of one unit of a depth message or cloud: `unit_m`, or REP 118's where that is 0."""
    if unit_m or message_type == CLOUD:
        return unit_m or 1.0
    return _decode_depth(message, message_type, 0.0).metres_per_unit


def _decode_depth(message: Any, message_type: str, unit_m: float) -> DepthImage:
    if message_type == topics.COMPRESSED_IMAGE:
        return decode_compressed_depth(message, unit_m)
    return decode_depth(message, unit_m)


def cloud_to_depth_map(camera: PinholeCamera, T_camera_cloud: Array, splat: float, unit_m: float) -> ToDepthMap:
    """A function from clouds to metres `[H, W]` in a camera; `unit_m` as in `image_to_depth_map`."""

    def convert(message: Any) -> NDArray[np.float32]:
        return project_cloud(message, camera, T_camera_cloud, splat, unit_m)

    return convert


def _check_size(image: NDArray[Any], camera: PinholeCamera, kind: str) -> None:
    if image.shape[:2] != (camera.height, camera.width):
        raise DecodeError(
            f"A {kind} image has {image.shape[1]}x{image.shape[0]} pixels, but its camera_info is for "
            f"{camera.width}x{camera.height}; name the camera_info that belongs to it."
        )


def decoded(reader: BagReader, raw: RawMessage) -> Any:
    """The message; a damaged one loses its frame, as a damaged image does."""
    try:
        return reader.decode(raw)
    except RecordingError as error:
        raise DecodeError(str(error)) from error
