# SPDX-License-Identifier: Apache-2.0
"""Folders of posed frames, 7-Scenes with and without camera.json and TUM: texts, images, sizes, links."""

from __future__ import annotations

import json
import os
import tempfile
from functools import partial
from pathlib import Path
from random import Random

import numpy as np

from bench.fuzzing import values
from bench.fuzzing.image_damage import damaged_image
from bench.fuzzing.kind import Input, require, require_finite, require_rigid
from bench.fuzzing.mutators import copy_links, damaged, damaged_text, odd_file, replace_bytes
from bench.fuzzing.scene import CAMERA, FRAMES, PERIOD_NS, START_NS, color_of, depth_of, encoded, pose_of, tum_text
from mvloc_ros.errors import MvlocError
from mvloc_ros.recordings import open_folder, read_color, read_depth
from mvloc_ros.recordings.agreement import check_agreement
from mvloc_ros.recordings.contents import contents_text

_SETTINGS = {
    "color": CAMERA.to_dict(),
    "depth": CAMERA.to_dict(),
    "depth_registered": True,
    "pose_of": "color",
    "rate_hz": 10.0,
    "depth_units_per_metre": 1000.0,
    "licence": "CC0-1.0",
    "max_depth": 5.0,
    "T_color_depth": np.eye(4).tolist(),
}


class Folders:
    """See the module."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="mvloc-fuzz-folders-")
        self.home = Path(self._home.name)
        _write_seven_scenes(self.home / "own")
        _write_seven_scenes(self.home / "plain", with_settings=False)
        _write_tum(self.home / "tum")
        self.forms = ("own", "plain", "tum")

    def plain(self, folder: Path) -> list[Input]:
        """One folder of each form."""
        for form in self.forms:
            copy_links(self.home / form, folder / form)
        return [Input(form, partial(_feed, folder / form)) for form in self.forms]

    def make(self, random: Random, folder: Path) -> Input:
        """One folder with a file or a few changed."""
        form = random.choice(("own", "own", "plain", "tum"))
        root = folder / "recording"
        copy_links(self.home / form, root)
        done = []
        for _ in range(random.choice((1, 1, 2, 4))):
            # Frames are many, and each is one of many; what all depend on is a file or two.
            # What an earlier change made too large to be read stays as it is.
            files = sorted(path for path in root.rglob("*") if not path.is_symlink() and _is_small_file(path))
            tops = [path for path in files if path.parent == root]
            if not files:
                break
            path = random.choice(tops if tops and random.random() < 0.5 else files)
            done.append(f"{path.relative_to(root)} {_change(path, random)}")
        return Input(f"{form}: {', '.join(done)}", partial(_feed, root))


def create() -> Folders:
    """The kind."""
    return Folders()


def _is_small_file(path: Path) -> bool:
    return path.is_file() and path.stat().st_size < 1 << 20


def _change(path: Path, random: Random) -> str:
    change = random.randrange(12)
    if change == 0:
        return f"is {odd_file(path, random)}"
    if change == 1:
        return _odd_place(path, random)
    if path.suffix == ".json":
        if change < 8:
            text, what = values.mutated(_SETTINGS, random)
            data = text.encode("utf-8", "surrogatepass")
        else:
            data, what = damaged(path.read_bytes(), random)
    elif path.suffix == ".txt":
        data, what = damaged_text(path.read_text(errors="replace"), random)
    elif change < 4:
        image = color_of(1) if change == 2 else depth_of(1)
        data, what = (
            encoded(image[: random.choice((1, 24)), : random.choice((1, 32))], ".png"),
            "of another size or kind",
        )
    else:
        data, what = damaged_image(path.read_bytes(), random)
    replace_bytes(path, data)
    return what


def _odd_place(path: Path, random: Random) -> str:
    """The file under another name, twice, or its folder linked into itself."""
    change = random.randrange(4)
    if change == 0:
        name = random.choice(
            ("frame-999999999999.color.png", "frame-000000.color.jpg", "frame-x.pose.txt", "a\nb", "\u202ex")
        )
        if not (path.parent / name).exists():
            os.link(path, path.parent / name)
        return f"also called {name!r}"
    if change == 1:
        (path.parent / f"seq-{random.randrange(90, 99)}").symlink_to(path.parent, target_is_directory=True)
        return "with its folder linked into itself"
    if change == 2:
        number = random.choice(("999999999999999999999", "4294967296", "2147483647"))
        path.rename(path.with_name(f"frame-{number}{''.join(path.suffixes)}"))
        return f"of number {number}"
    path.rename(path.with_name(path.name.upper()))
    return "in capitals"


def _write_seven_scenes(root: Path, with_settings: bool = True) -> None:
    for sequence in (1, 2):
        folder = root / f"seq-{sequence:02d}"
        folder.mkdir(parents=True)
        for index in range(4):
            stem = f"frame-{index:06d}"
            (folder / f"{stem}.color.png").write_bytes(encoded(color_of(index), ".png"))
            (folder / f"{stem}.depth.png").write_bytes(encoded(depth_of(index), ".png"))
            np.savetxt(folder / f"{stem}.pose.txt", pose_of(4 * sequence + index))
    if with_settings:
        (root / "camera.json").write_text(json.dumps(_SETTINGS))
        (root / "TrainSplit.txt").write_text("sequence1\n")
        (root / "TestSplit.txt").write_text("sequence2\n")


def _write_tum(root: Path) -> None:
    lists: dict[str, list[str]] = {"rgb": [], "depth": []}
    for name in lists:
        (root / name).mkdir(parents=True)
    for index in range(FRAMES):
        stamp = START_NS + index * PERIOD_NS
        text = f"{stamp // 10**9}.{stamp % 10**9 // 1000:06d}"
        for name, image in (("rgb", color_of(index)), ("depth", depth_of(index))):
            (root / name / f"{text}.png").write_bytes(encoded(image, ".png"))
            lists[name].append(f"{text} {name}/{text}.png")
    for name, lines in lists.items():
        (root / f"{name}.txt").write_text("# timestamp filename\n" + "\n".join(lines) + "\n")
    (root / "groundtruth.txt").write_text(tum_text())


def _feed(root: Path) -> None:
    """As every command opens a folder; then all images of it, each of which may be refused alone."""
    folder = open_folder(root)
    contents_text(folder)
    require_finite(
        "the cameras", list(folder.color_camera.to_dict().values()), list(folder.depth_camera.to_dict().values())
    )
    require_finite("the depth's unit and the rate", folder.depth_units_per_metre, folder.rate_hz)
    if folder.T_color_depth is not None:
        require_rigid("T_color_depth", folder.T_color_depth)
    refusal: MvlocError | None = None
    for frame in folder.frames():
        if frame.T_map_camera is not None:
            require_rigid("a pose", frame.T_map_camera)
            require(np.abs(frame.T_map_camera[:3, 3]).max() < 1e8, "a pose that is not on the Earth")
        require(0 <= frame.stamp_ns < 2**63, "a stamp that no clock has")
        try:
            if frame.color is not None:
                read_color(frame.color)
            if frame.depth is not None:
                depth = read_depth(frame.depth, folder.depth_units_per_metre)
                require_finite("a depth image", depth)
        except MvlocError as error:
            refusal = refusal or error
    check_agreement(folder)
    if refusal is not None:
        raise refusal
