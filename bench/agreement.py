# SPDX-License-Identifier: Apache-2.0
"""What the check of poses against depth says of a folder, and of the same folder with every kind of mistake.

python -m bench.agreement recordings/kitchen
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from mvloc_ros.geometry import se3
from mvloc_ros.geometry.trajectory import Interpolation, NoPose, Trajectory
from mvloc_ros.recordings import FrameRecord, PosedFolder, open_folder
from mvloc_ros.recordings.agreement import check_agreement
from mvloc_ros.recordings.agreement.explanations import T_BODY_OPTICAL, T_OPENGL_OPTICAL

Spoil = Callable[[np.ndarray], np.ndarray]


def scaled(factor: float) -> Spoil:
    """Positions times a factor."""
    return lambda T: T @ np.eye(4) * np.array([[1.0, 1.0, 1.0, factor]] * 3 + [[1.0] * 4])


def with_poses(folder: PosedFolder, spoil: Spoil) -> PosedFolder:
    """The folder with other poses of its frames."""

    def changed(frames: tuple[FrameRecord, ...]) -> tuple[FrameRecord, ...]:
        return tuple(replace(f, T_map_camera=spoil(f.T_map_camera)) for f in frames if f.T_map_camera is not None)

    return replace(folder, train=changed(folder.train), test=changed(folder.test))


BETWEEN = Interpolation(250_000_000)
"""Poses are interpolated between images that are at most this far apart (ns)."""


def with_offset(folder: PosedFolder, seconds: float) -> PosedFolder:
    """The folder with poses of later images; frames that have none are left out."""
    tracks: dict[str, list[FrameRecord]] = {}
    for frame in folder.frames():
        if frame.T_map_camera is not None:
            tracks.setdefault(frame.sequence, []).append(frame)
    of = {
        name: Trajectory(np.array([f.stamp_ns for f in frames]), np.stack([f.T_map_camera for f in frames]))
        for name, frames in tracks.items()
    }

    def changed(frames: tuple[FrameRecord, ...]) -> tuple[FrameRecord, ...]:
        moved = ((f, of[f.sequence].sample(f.stamp_ns + round(1e9 * seconds), BETWEEN)) for f in frames)
        return tuple(replace(frame, T_map_camera=T) for frame, T in moved if not isinstance(T, NoPose))

    return replace(folder, train=changed(folder.train), test=changed(folder.test))


def mistakes(folder: PosedFolder) -> dict[str, PosedFolder]:
    """The folder as it is and with mistakes, by name."""
    first = next(frame.T_map_camera for frame in folder.frames())
    spoils: dict[str, Spoil] = {
        "inverse poses": se3.inverse,
        "positions in millimetres": scaled(1e3),
        "positions in kilometres": scaled(1e-3),
        "one constant pose": lambda _: first,
        "body axes (x forward)": lambda T: T @ se3.inverse(T_BODY_OPTICAL),
        "OpenGL axes": lambda T: T @ T_OPENGL_OPTICAL,
    }
    units = folder.depth_units_per_metre
    return {
        "as it is": folder,
        **{name: with_poses(folder, spoil) for name, spoil in spoils.items()},
        "depth 5 times too far": replace(folder, depth_units_per_metre=units / 5.0),
        "depth 5 times too near": replace(folder, depth_units_per_metre=units * 5.0),
        **{f"poses {seconds:g} s late": with_offset(folder, seconds) for seconds in (0.1, 0.2, 0.5, 1.0)},
    }


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="posed RGB-D folder whose poses are right")
    folder = open_folder(parser.parse_args().data)
    logging.disable(logging.WARNING)
    for name, spoilt in mistakes(folder).items():
        start = time.perf_counter()
        found = check_agreement(spoilt)
        verdict = "refused" if found.refused else "warning" if found.questionable else "accepted"
        print(
            f"{name:26} {found.share:6.1%} of {found.points:6} points, {found.pairs:3} pairs: {verdict}, "
            f"{time.perf_counter() - start:.2f} s; {found.skipped or found.suspicion()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
