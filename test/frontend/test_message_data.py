# SPDX-License-Identifier: Apache-2.0
"""The data of messages in a vendor's memory, by the documented interface of rosidl_buffer.Buffer."""

from __future__ import annotations

import array
import struct
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from mvloc_ros.frontend.clouds import decode_cloud
from mvloc_ros.frontend.compressed import decode_compressed_color, decode_compressed_depth
from mvloc_ros.frontend.decode import DecodeError, decode_color, decode_depth
from mvloc_ros.frontend.image_reader import ImageReader
from mvloc_ros.frontend.message_data import data_of
from mvloc_ros.model.bundle import read_bundle
from mvloc_ros.parameters.table import NodeParameters

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
DEPTH = np.random.default_rng(1).integers(300, 60000, (6, 8), dtype=np.uint16)
POINTS = np.random.default_rng(2).uniform(0.5, 5.0, (7, 3)).astype(np.float32)


class VendorBuffer:
    """Has what `rosidl_buffer.Buffer` has, and no buffer protocol, as that has none."""

    def __init__(self, data: bytes, backend_type: str = "cuda", fault: str = "") -> None:
        self._data, self.backend_type, self._fault = data, backend_type, fault

    @property
    def is_cpu(self) -> bool:
        return self.backend_type == "cpu"

    def to_bytes(self) -> bytes:
        if self._fault:
            raise RuntimeError(self._fault)
        return self._data

    def __len__(self) -> int:
        return len(self._data)


def image(pixels: np.ndarray, encoding: str) -> SimpleNamespace:
    pixels = np.ascontiguousarray(pixels)
    header = SimpleNamespace(frame_id="camera", stamp=SimpleNamespace(sec=1, nanosec=0))
    shape = {"height": pixels.shape[0], "width": pixels.shape[1], "step": pixels.strides[0], "is_bigendian": 0}
    return SimpleNamespace(header=header, encoding=encoding, data=pixels.tobytes(), **shape)


def compressed(pixels: np.ndarray, name: str, header: bytes = b"") -> SimpleNamespace:
    return SimpleNamespace(format=name, data=header + cv2.imencode(".png", pixels)[1].tobytes())


def cloud() -> SimpleNamespace:
    fields = [SimpleNamespace(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")]
    size = {"height": 1, "width": len(POINTS), "point_step": 12, "row_step": POINTS.nbytes, "is_bigendian": 0}
    return SimpleNamespace(fields=fields, is_dense=True, data=POINTS.tobytes(), **size)


KINDS = {
    "color": (image(RGB, "rgb8"), lambda message: decode_color(message).pixels),
    "color that cv_bridge converts": (image(RGB[..., 0], "bayer_rggb8"), lambda message: decode_color(message).pixels),
    "depth": (image(DEPTH, "16UC1"), lambda message: decode_depth(message).values),
    "compressed color": (
        compressed(RGB, "rgb8; png compressed bgr8"),
        lambda message: decode_compressed_color(message).pixels,
    ),
    "compressed mosaic": (
        compressed(RGB[..., 0], "bayer_rggb8; png compressed bayer_rggb8"),
        lambda message: decode_compressed_color(message).pixels,
    ),
    "compressed depth": (
        compressed(DEPTH, "16UC1; compressedDepth png", struct.pack("<iff", 0, 0.0, 0.0)),
        lambda message: decode_compressed_depth(message).values,
    ),
    "cloud": (cloud(), decode_cloud),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend_type", ["cpu", "cuda"])
def test_what_a_vendors_memory_holds_is_read_as_what_the_cpus_holds(kind: str, backend_type: str):
    message, decode = KINDS[kind]
    elsewhere = SimpleNamespace(**vars(message) | {"data": VendorBuffer(message.data, backend_type)})
    np.testing.assert_array_equal(decode(elsewhere), decode(message))


@pytest.mark.parametrize("kind", KINDS)
def test_memory_that_cannot_be_read_here_is_told_in_one_sentence(kind: str):
    message, decode = KINDS[kind]
    elsewhere = SimpleNamespace(**vars(message) | {"data": VendorBuffer(message.data, "cuda", "no CUDA device\nat 0")})
    with pytest.raises(DecodeError, match="memory of the kind 'cuda', which cannot be read here: no CUDA") as caught:
        decode(elsewhere)
    assert str(caught.value).isprintable()


def test_the_images_reader_copies_from_a_vendors_memory_only_when_the_frame_is_processed(tiny_bundle: Path):
    """In the executor's thread a copy would hold up all messages."""
    manifest = read_bundle(tiny_bundle).manifest
    reader = ImageReader(NodeParameters(), lambda: manifest, None)
    for pixels, encoding, read in ((RGB, "rgb8", reader.read_color), (DEPTH, "16UC1", reader.read_depth)):
        message = image(pixels, encoding)
        message.data = VendorBuffer(message.data, "cuda", "it must not be asked for")
        content = read(message)
        assert callable(content)
        with pytest.raises(DecodeError, match="it must not be asked for"):
            content()


def test_a_copy_of_another_length_is_not_taken_for_the_image():
    buffer = VendorBuffer(b"12345")
    buffer.to_bytes = lambda: b"1234"  # type: ignore[method-assign]
    with pytest.raises(DecodeError, match="has 5 bytes, of which 4 could be read"):
        data_of(SimpleNamespace(data=buffer))


@pytest.mark.parametrize("data", [b"", b"123", array.array("B", b"123"), np.frombuffer(b"123", np.uint8)])
def test_what_the_cpus_memory_holds_is_not_copied(data):
    found = data_of(SimpleNamespace(data=data))
    assert found.tobytes() == bytes(data)
    assert not len(data) or np.shares_memory(found, np.frombuffer(data, np.uint8))
