# SPDX-License-Identifier: Apache-2.0
"""The scenes of a data folder, their frames, and the parts of their test frames, which are rows of a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.experiments import published
from mvloc_ros.experiments.errors import ExperimentError
from mvloc_ros.recordings import FrameRecord, PosedFolder
from mvloc_ros.recordings.seven_scenes import is_seven_scenes
from mvloc_ros.recordings.tum import is_tum
from mvloc_ros.training.config import TrainingConfig
from mvloc_ros.training.datasets import PosedFrames, ReadOptions, open_usable_folder, read_frames
from mvloc_ros.training.depth_range import with_folder_depth
from mvloc_ros.training.frame_selection import usable_records

# Training or test, number of frames, and the values of `InputConfig` that determine their arrays.
FramesKey = tuple[str, int, int, bool, bool]


@dataclass(frozen=True)
class Part:
    """Test frames of one row of a table: of a scene, or of one traversal of RobotCar.

    `paper` is their name in the paper, None if there is none; `official`: whether the training and the test sequences
    are those of the paper. `trained` are the training sequences of the folder. `frames` are the numbers of training and
    of test frames.
    """

    label: str
    sequences: tuple[str, ...]
    paper: str | None = None
    official: bool = False
    trained: tuple[str, ...] = ()
    frames: tuple[int, int] = (0, 0)


@dataclass(frozen=True, eq=False)
class Truth:
    """Frames without their images: poses `[N, 4, 4]`, stamps `[N]`, sequence of each frame."""

    poses: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    sequences: tuple[str, ...]

    @staticmethod
    def of(frames: PosedFrames) -> Truth:
        """The truth of frames, without keeping their images in memory."""
        return Truth(frames.poses, frames.stamps_ns, frames.sequences)


class Scene:
    """One folder of posed frames; the images are read on first use.

    `given` are the names of the values of the command line, which override those of the folder.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        test_fraction: float,
        reading: ReadOptions | None = None,
        given: Collection[str] = (),
    ) -> None:
        self.name, self.root, self.test_fraction = name, root, test_fraction
        self.given = given
        self.reading = reading or ReadOptions()
        self._frames: dict[FramesKey, PosedFrames] = {}
        self._digests: dict[FramesKey, str] = {}

    @cached_property
    def folder(self) -> PosedFolder:
        """The opened folder. Raises MvlocError if it cannot be used."""
        return open_usable_folder(self.root, self.test_fraction, self.reading)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The rows of its test frames: one for all, or one for each traversal of the splits of RobotCar."""
        trained, sequences = (
            tuple(sorted({record.sequence for record in records})) for records in (self.folder.train, self.folder.test)
        )
        names = {published.OFFICIAL_SPLITS[name].test[0]: name for name in published.GROUPS[1].scenes}
        if sequences and all(sequence in names for sequence in sequences):
            return tuple(
                Part(
                    f"{names[s]} ({s.removeprefix('seq-')})",
                    (s,),
                    names[s],
                    published.OFFICIAL_SPLITS[names[s]].train == trained,
                    trained,
                )
                for s in sorted(sequences, key=lambda sequence: names[sequence])
            )
        paper = published.paper_name(self.name)
        official = paper is not None and published.OFFICIAL_SPLITS[paper] == (trained, sequences)
        frames = len(self.folder.train), len(self.folder.test)
        return (Part(paper or self.name, sequences, paper, official, trained, frames),)

    def adapt(self, config: TrainingConfig) -> TrainingConfig:
        """The configuration with the depth settings of the folder, as in `mvloc train`."""
        return with_folder_depth(config, self.root, self.given)

    def training_frames(self, config: TrainingConfig) -> PosedFrames:
        """All training frames that the system can use, at the size of its network input."""
        return self._load("training", config)

    def test_frames(self, config: TrainingConfig) -> PosedFrames:
        """All test frames that the system can use, at the size of its network input."""
        return self._load("test", config)

    def digest(self, config: TrainingConfig) -> str:
        """`PosedFrames.digest` of the training frames, computed once, without keeping the frames in memory."""
        records, key = self._records("training", config)
        if key not in self._digests:
            frames = self._frames.get(key)
            if frames is None:
                frames = read_frames(config.input, self.folder, records, "training", self.reading)
            self._digests[key] = frames.digest()
        return self._digests[key]

    def release_images(self) -> None:
        """Release the memory of all images."""
        self._frames.clear()

    def _load(self, which: str, config: TrainingConfig) -> PosedFrames:
        records, key = self._records(which, config)
        if key not in self._frames:
            self._frames[key] = read_frames(config.input, self.folder, records, which, self.reading)
        return self._frames[key]

    def _records(self, which: str, config: TrainingConfig) -> tuple[tuple[FrameRecord, ...], FramesKey]:
        """The records that the system uses, and the key of their frames, which systems with equal inputs share.

        It does not include the depth range: frames have all measured depth.
        """
        records = usable_records(config, self.folder.train if which == "training" else self.folder.test)
        seen = config.input
        return records, (which, len(records), seen.short_side, seen.register_depth, seen.depth_of_points)


def find_scenes(
    data: Path,
    names: Sequence[str] | None,
    test_fraction: float,
    reading: ReadOptions | None = None,
    given: Collection[str] = (),
) -> list[Scene]:
    """The folder itself if it has posed frames, else its subfolders with posed frames, or the named ones.

    `given`: see `Scene`.

    Raises:
        ExperimentError: there is no such folder, or no scene in it.
    """
    if not data.is_dir():
        raise ExperimentError(f"The data folder {data} does not exist; check --data.")
    if names:
        missing = [name for name in names if not (data / name).is_dir()]
        if missing:
            raise ExperimentError(f"There is no scene {missing[0]} in {data}; check --scenes.")
        return [Scene(name, data / name, test_fraction, reading, given) for name in dict.fromkeys(names)]
    if is_seven_scenes(data) or is_tum(data):
        return [Scene(data.resolve().name, data, test_fraction, reading, given)]
    roots = sorted(path for path in data.iterdir() if path.is_dir() and (is_seven_scenes(path) or is_tum(path)))
    if not roots:
        raise ExperimentError(f"Neither {data} nor a folder in it has posed frames (7-Scenes or TUM); check --data.")
    return [Scene(path.name, path, test_fraction, reading, given) for path in roots]


def check_labels(scenes: Sequence[Scene]) -> None:
    """Raise ExperimentError if two parts would be the same row of a table."""
    labels = Counter(part.label for scene in scenes for part in scene.parts)
    twice = [label for label, count in labels.items() if count > 1]
    if twice:
        raise ExperimentError(f"Two scenes would be the same row {twice[0]} of the table; select one with --scenes.")


def members(frames: Truth, part: Part) -> NDArray[np.int64]:
    """Frame indices of a part, sequence by sequence in the order of time."""
    names = np.array(frames.sequences)
    picked = np.flatnonzero(np.isin(names, part.sequences))
    return picked[np.lexsort((frames.stamps_ns[picked], names[picked]))]
