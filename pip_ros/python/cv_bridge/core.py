# SPDX-License-Identifier: Apache-2.0
"""The bridge itself."""

from __future__ import annotations

import sys
from array import array
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from cv_bridge.colours import convert
from cv_bridge.encodings import NUMPY_NAMES, CvBridgeError, generic_name, parse

PASSTHROUGH = "passthrough"
COMPRESSIONS = frozenset(
    ("bmp", "dib", "jpeg", "jpg", "jpe", "jp2", "png", "pbm", "pgm", "ppm", "sr", "ras", "tiff", "tif", "webp")
)


class CvBridge:
    """Converts between sensor_msgs images and arrays [height, width] or [height, width, channels]."""

    def dtype_with_channels_to_cvtype2(self, dtype: np.dtype, n_channels: int) -> str:
        """The encoding without colour, such as 16UC1."""
        return generic_name(dtype, n_channels)

    def cvtype2_to_dtype_with_channels(self, cvtype: int) -> tuple[str, int]:
        """NumPy's name of the type and the number of channels, from OpenCV's number."""
        return list(NUMPY_NAMES.values())[cvtype & 7], (cvtype >> 3) + 1

    def encoding_to_cvtype2(self, encoding: str) -> int:
        """OpenCV's number for the type of an encoding."""
        return parse(encoding).cvtype

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """NumPy's name of the type and the number of channels; raises CvBridgeError for an unknown encoding."""
        parsed = parse(encoding)
        return parsed.dtype.name, parsed.channels

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = PASSTHROUGH) -> np.ndarray:
        """The pixels of a message, in this machine's byte order, without the padding of the rows.

        :param desired_encoding: "passthrough" keeps the message's own.
        :raises CvBridgeError: for an unknown encoding or a conversion that does not exist.
        """
        source = parse(img_msg.encoding)
        dtype = source.dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
        shape = (img_msg.height, img_msg.width, source.channels)
        strides = (img_msg.step, dtype.itemsize * source.channels, dtype.itemsize)
        if img_msg.step < strides[1] * img_msg.width:
            raise CvBridgeError(
                f"The image is malformed: a row of {img_msg.width} pixels of [{source.name}] needs "
                f"{strides[1] * img_msg.width} bytes, its step is {img_msg.step}"
            )
        data: Any = img_msg.data if not isinstance(img_msg.data, list) else bytes(img_msg.data)
        try:
            pixels = np.ndarray(shape, dtype, buffer=data, strides=strides)
        except (TypeError, ValueError) as error:
            raise CvBridgeError(
                f"The image is malformed: {len(data)} bytes of data for {img_msg.height} rows of {img_msg.step} bytes"
            ) from error
        image = np.ascontiguousarray(pixels[:, :, 0] if source.channels == 1 else pixels, dtype=source.dtype)
        return image if desired_encoding == PASSTHROUGH else convert(image, source, parse(desired_encoding))

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = PASSTHROUGH
    ) -> np.ndarray:
        """The pixels of a compressed message: 8 bits, blue first where it has colour.

        :param desired_encoding: "passthrough" keeps what was decoded; another is converted to from bgr8.
        :raises CvBridgeError: for a conversion that does not exist, or data that is no image.
        """
        buffer = np.frombuffer(cmprs_img_msg.data, dtype=np.uint8)
        image = cv2.imdecode(buffer, cv2.IMREAD_ANYCOLOR) if buffer.size else None
        if image is None:
            raise CvBridgeError(f"The data of a compressed image of format '{cmprs_img_msg.format}' is no image")
        if desired_encoding == PASSTHROUGH:
            return image
        return convert(image, parse("bgr8"), parse(desired_encoding))

    def cv2_to_imgmsg(self, cvim: np.ndarray, encoding: str = PASSTHROUGH, header: Any = None) -> Image:
        """A message that holds a copy of the pixels.

        :param encoding: what the pixels are; "passthrough" says the type without colour, such as 8UC3.
        :raises CvBridgeError: where the pixels' type is not that of the encoding.
        """
        cvtype = self._cvtype_of(cvim)
        if encoding != PASSTHROUGH and parse(encoding).generic != cvtype:
            raise CvBridgeError(f"encoding specified as {encoding}, but image has incompatible type {cvtype}")
        message = Image()
        if header is not None:
            message.header = header
        message.height, message.width = cvim.shape[:2]
        message.encoding = cvtype if encoding == PASSTHROUGH else encoding
        order = cvim.dtype.byteorder
        message.is_bigendian = order == ">" or (order == "=" and sys.byteorder == "big")
        message.data = array("B", cvim.tobytes())
        message.step = cvim.dtype.itemsize * int(np.prod(cvim.shape[1:]))
        return message

    def cv2_to_compressed_imgmsg(self, cvim: np.ndarray, dst_format: str = "jpg") -> CompressedImage:
        """A compressed message.

        :param dst_format: a file ending that OpenCV writes, such as jpg or png.
        :raises CvBridgeError: for a format that is not one, or pixels that it cannot hold.
        """
        self._cvtype_of(cvim)
        if dst_format not in COMPRESSIONS:
            raise CvBridgeError(f"unrecognized format '{dst_format}' of compressed image")
        try:
            ok, data = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as error:
            raise CvBridgeError(f"OpenCV cannot write this image as {dst_format}: {error}") from error
        if not ok:
            raise CvBridgeError(f"OpenCV cannot write this image as {dst_format}")
        message = CompressedImage()
        message.format = dst_format
        message.data = array("B", data.tobytes())
        return message

    def _cvtype_of(self, cvim: np.ndarray) -> str:
        if not isinstance(cvim, np.ndarray):
            raise TypeError("Your input type is not a numpy array")
        return generic_name(cvim.dtype, 1 if cvim.ndim == 2 else cvim.shape[2])
