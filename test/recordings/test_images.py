# SPDX-License-Identifier: Apache-2.0
"""Image files: all 16 bits, the right channel order, and nothing damaged taken for an image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvloc_ros.recordings import RecordingError, read_color, read_depth


def test_color_is_rgb(tmp_path: Path, color_of):
    cv2.imwrite(str(tmp_path / "a.png"), color_of(3)[:, :, ::-1])
    np.testing.assert_array_equal(read_color(tmp_path / "a.png"), color_of(3))


def test_depth_keeps_16_bits_and_marks_invalid_pixels(tmp_path: Path):
    raw = np.array([[0, 65535, 1], [1000, 40001, 65534]], np.uint16)
    cv2.imwrite(str(tmp_path / "d.png"), raw)
    metres = read_depth(tmp_path / "d.png", 1000.0)
    assert metres.dtype == np.float32
    np.testing.assert_allclose(metres, [[0, 0, 0.001], [1.0, 40.001, 65.534]], rtol=1e-6)
    np.testing.assert_allclose(read_depth(tmp_path / "d.png", 5000.0)[1, 0], 0.2)


def test_a_depth_image_of_8_bits_is_refused(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "d.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(RecordingError, match=r"d\.png holds uint8.*16 bits"):
        read_depth(tmp_path / "d.png", 1000.0)


def test_a_missing_image_is_named(tmp_path: Path):
    with pytest.raises(RecordingError, match=r"none\.png cannot be read \(No such file"):
        read_color(tmp_path / "none.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.6, 0.95])
def test_an_image_that_was_cut_short_is_refused(tmp_path: Path, suffix: str, kept: float):
    path = tmp_path / f"cut.{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(RecordingError, match=rf"cut\.{suffix} is damaged"):
        read_color(path)


def test_text_is_no_image(tmp_path: Path):
    (tmp_path / "a.png").write_text("<html>not found</html>")
    with pytest.raises(RecordingError, match="not a PNG, a JPEG"):
        read_color(tmp_path / "a.png")


@given(position=st.integers(8, 10_000), flip=st.integers(1, 255))
def test_no_changed_byte_of_a_png_goes_unnoticed(tmp_path_factory: pytest.TempPathFactory, position: int, flip: int):
    path = tmp_path_factory.getbasetemp() / "flipped.png"
    cv2.imwrite(str(path), np.arange(12 * 16, dtype=np.uint16).reshape(12, 16) * 300)
    data = bytearray(path.read_bytes())
    data[8 + position % (len(data) - 8)] ^= flip
    path.write_bytes(data)
    with pytest.raises(RecordingError):
        read_depth(path, 1000.0)
