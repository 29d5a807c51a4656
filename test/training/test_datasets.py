# SPDX-License-Identifier: Apache-2.0
"""Frames in memory, the held-out frames, and the augmentation."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mvloc_ros.geometry.camera import PinholeCamera
from mvloc_ros.model.preprocessing import resize_color, resize_depth
from mvloc_ros.recordings import FrameRecord, open_folder, read_color, read_depth
from mvloc_ros.training.augmentation import augment
from mvloc_ros.training.datasets import load_frames, network_size
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.frame_selection import hold_out
from mvloc_ros.training.options import AugmentationConfig


def records(lengths: list[int]) -> list[FrameRecord]:
    return [
        FrameRecord(f"seq-{number:02d}", index, index * 10, None, None, np.eye(4))
        for number, length in enumerate(lengths)
        for index in range(length)
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.floats(0.02, 0.5), st.integers(0, 8), st.randoms())
def test_the_split_never_leaks(lengths: list[int], fraction: float, gap: int, random: Random) -> None:
    shuffled = records(lengths)
    random.shuffle(shuffled)
    try:
        training, validation = hold_out(shuffled, fraction, gap)
    except TrainingError:
        assert all(round(n * fraction) < 1 or n - round(n * fraction) - gap < 1 for n in lengths)
        return
    for number, length in enumerate(lengths):
        name = f"seq-{number:02d}"
        trained = [r.index for r in training if r.sequence == name]
        held = [r.index for r in validation if r.sequence == name]
        assert trained == list(range(len(trained))), "one block from the start"
        if held:
            assert held == list(range(length - len(held), length)), "one block at the end"
            assert held[0] - trained[-1] == gap + 1
            assert len(held) == round(length * fraction)
        else:
            assert len(trained) == length


def test_frames_are_resized_as_at_run_time(tiny_folder: Path) -> None:
    folder = open_folder(tiny_folder)
    chosen = folder.train[:3]
    frames = load_frames(chosen, 32, 43, folder.depth_units_per_metre, "some")
    for i, record in enumerate(chosen):
        np.testing.assert_array_equal(frames.color[i], resize_color(read_color(record.color), 32, 43))
        np.testing.assert_array_equal(frames.depth[i], resize_depth(read_depth(record.depth, 1000.0), 32, 43))
        np.testing.assert_array_equal(frames.poses[i], record.T_map_camera)
    assert frames.color.dtype == np.uint8
    assert frames.depth.dtype == np.float32
    assert np.all(frames.present == 1.0)
    assert frames.depth[:, 0].max() == 0.0, "65535 is no depth"
    assert frames.depth.max() < 3.0


def test_a_frame_without_depth_is_marked_and_a_changed_one_changes_the_digest(tiny_folder: Path) -> None:
    first, second = open_folder(tiny_folder).train[:2]
    complete = load_frames([first, second], 32, 43, 1000.0, "some")
    partial = load_frames([replace(first, depth=None), second], 32, 43, 1000.0, "some")
    assert partial.present.tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert np.all(partial.depth[0] == 0.0)
    assert partial.digest() != complete.digest()
    with pytest.raises(TrainingError, match="no some frames"):
        load_frames([], 32, 43, 1000.0, "some")


@pytest.mark.parametrize(
    ("camera", "short", "expected"),
    [
        ((640, 480), 120, (120, 160)),
        ((640, 480), 256, (256, 341)),
        ((1280, 720), 120, (120, 213)),
        ((480, 640), 120, (160, 120)),
    ],
)
def test_network_size_keeps_the_aspect(camera: tuple[int, int], short: int, expected: tuple[int, int]) -> None:
    assert network_size(PinholeCamera(*camera, 500.0, 500.0, 1.0, 1.0), short) == expected


OFF = AugmentationConfig(**{item.name: 0.0 for item in fields(AugmentationConfig)})


def batch(size: int = 16) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    color = torch.randint(0, 256, (size, 20, 30, 3), dtype=torch.uint8, generator=generator)
    depth = torch.rand(size, 20, 30, generator=generator) * 4 + 0.5
    depth[:, :3] = 0.0
    return color, depth, torch.ones(size, 2)


def test_augmentation_keeps_shapes_types_and_its_input() -> None:
    torch.manual_seed(0)
    inputs = batch()
    copies = [value.clone() for value in inputs]
    outputs = augment(*inputs, AugmentationConfig())
    for before, copy, after in zip(inputs, copies, outputs, strict=True):
        assert torch.equal(before, copy)
        assert (after.shape, after.dtype) == (before.shape, before.dtype)
    assert not torch.equal(outputs[0], inputs[0])
    assert torch.all(outputs[1][:, :3] == 0.0), "invalid depth stays invalid"
    assert torch.isfinite(outputs[1]).all()


def test_augmentation_of_strength_zero_changes_nothing() -> None:
    inputs = batch()
    outputs = augment(*inputs, OFF)
    for before, after in zip(inputs, outputs, strict=True):
        assert torch.equal(before, after)


def test_augmentation_moves_no_pixel() -> None:
    """A spot stays where it is under every change of colour and noise."""
    torch.manual_seed(0)
    color, depth, present = batch()
    color[:] = 40
    color[:, 7, 11] = 220
    changed, _, _ = augment(color, depth, present, replace(OFF, brightness=0.3, contrast=0.3, saturation=0.3, tint=0.1))
    brightest = changed.float().sum(dim=3).flatten(1).argmax(dim=1)
    assert brightest.tolist() == [7 * 30 + 11] * len(color)


def test_erasing_is_a_rectangle_in_some_frames() -> None:
    torch.manual_seed(0)
    color, depth, present = batch(200)
    depth[:] = 2.0
    _, erased, _ = augment(color, depth, present, replace(OFF, depth_erasing=0.5, erasing_size=0.5))
    touched = 0
    for image in (erased == 0.0).numpy():
        if image.any():
            rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
            assert image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            assert len(rows) <= 11
            assert len(columns) <= 16
            touched += 1
    assert 60 <= touched <= 140


def test_dropping_a_modality_never_drops_both() -> None:
    torch.manual_seed(0)
    present = torch.ones(4000, 2)
    present[:1000, 0] = 0.0
    config = replace(OFF, drop_color=0.2, drop_depth=0.3)
    color, depth, _ = batch(1)
    _, _, dropped = augment(color, depth, present, config)
    assert torch.all(dropped.sum(dim=1) >= 1.0)
    assert torch.equal(dropped[:1000], present[:1000]), "the only modality is kept"
    rates = 1.0 - dropped[1000:].mean(dim=0)
    assert rates.tolist() == pytest.approx([0.2, 0.3], abs=0.03)
