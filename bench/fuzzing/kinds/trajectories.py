# SPDX-License-Identifier: Apache-2.0
"""Trajectories as text: TUM's and KITTI's form, with header, comments and times."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from bench.fuzzing.kind import Input, require, require_rigid
from bench.fuzzing.mutators import damaged_text, odd_file, replace_bytes
from bench.fuzzing.scene import FRAMES, pose_of, tum_text
from mvloc_ros.geometry.trajectory import read_tum


class Trajectories:
    """See the module."""

    def plain(self, folder: Path) -> list[Input]:
        """One of each form."""
        return [Input(name, partial(_feed, _write(folder / name, name), False)) for name in ("tum", "named", "kitti")]

    def make(self, random: Random, folder: Path) -> Input:
        """One of them, damaged."""
        path = _write(folder, random.choice(("tum", "tum", "named", "kitti")))
        files = [path, *folder.glob("times.txt")]
        chosen = random.choice(files)
        if random.random() < 0.06:
            what = odd_file(chosen, random)
        else:
            data, what = damaged_text(chosen.read_text(), random)
            replace_bytes(chosen, data)
        return Input(f"{chosen.name}: {what}", partial(_feed, path, random.random() < 0.4))


def create() -> Trajectories:
    """The kind."""
    return Trajectories()


def _write(folder: Path, form: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "poses.txt"
    if form == "kitti":
        rows = (pose_of(index)[:3].reshape(-1) for index in range(FRAMES))
        path.write_text("".join(" ".join(repr(float(value)) for value in row) + "\n" for row in rows))
        (folder / "times.txt").write_text("".join(f"{100 + 0.1 * index:.3f}\n" for index in range(FRAMES)))
    elif form == "named":
        lines = tum_text().splitlines()[1:]
        path.write_text("#t,x,y,z,qx,qy,qz,qw\n" + "".join(",".join(line.split()) + "\n" for line in lines))
    else:
        path.write_text(tum_text())
    return path


def _feed(path: Path, tolerant: bool) -> None:
    trajectory = read_tum(path, [] if tolerant else None)
    require(len(trajectory) > 0, "a trajectory without poses")
    require((np.diff(trajectory.stamps_ns) > 0).all(), "stamps that do not increase")
    for T in trajectory.poses:
        require_rigid("a pose of a trajectory", T)
