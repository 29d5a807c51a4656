# SPDX-License-Identifier: Apache-2.0
"""Training frames -> keyframes: frames of distinct poses, described as the localizer describes what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from mvloc_ros.localization.descriptors import Descriptor
from mvloc_ros.localization.keyframes import Keyframes
from mvloc_ros.localization.local_features import MOST_OF_KEYFRAME, ImageFeatures
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.localization.retrieval import Retrieval, near
from mvloc_ros.localization.scene_map import SceneMap
from mvloc_ros.localization.starts import REACH_M, REACH_RAD
from mvloc_ros.mapping.build import Cameras, depth_image, further_images
from mvloc_ros.mapping.feature_places import places_of
from mvloc_ros.model.frame import ColorImage, Frame, FrameError
from mvloc_ros.model.keyframes_spec import KeyframesSpec
from mvloc_ros.recordings import FrameRecord, read_color

Array = NDArray[np.float64]

MOST_FRAMES = 600
"""Of a bundle: about 16 megabytes."""
_APART_M, _APART_RAD = 0.08, np.radians(5.0)
_COARSER = 1.2
_BESIDE_M, _BESIDE_RAD = 0.3, np.radians(12.0)
RANKS = 5
"""Of retrieved poses whose reach is measured."""


@dataclass(frozen=True, eq=False)
class Described:
    """One frame, its pose (4x4), its descriptor and its local features."""

    record: FrameRecord
    T: Array
    descriptor: Descriptor
    features: ImageFeatures


def describe_frames(
    records: Sequence[FrameRecord],
    cameras: Cameras,
    localizer: Localizer,
    label: str,
    most_features: int = MOST_OF_KEYFRAME,
) -> list[Described]:
    """Describe frames with a progress bar named `label`; those without pose or without usable images are left out."""
    return list(_described(records, cameras, localizer, label, most_features))


def _described(
    records: Sequence[FrameRecord], cameras: Cameras, localizer: Localizer, label: str, most_features: int
) -> Iterator[Described]:
    for record in tqdm(records, desc=label, unit="frame"):
        if record.T_map_camera is None:
            continue
        color = None if record.color is None else ColorImage(read_color(record.color), "rgb")
        depth = None if record.depth is None else depth_image(record, cameras)
        frame = Frame(record.stamp_ns, "", color, depth, further=further_images(record, cameras.sensors))
        try:
            descriptor, features = localizer.described(frame), localizer.features(frame, most_features)
        except FrameError:
            continue
        yield Described(record, np.asarray(record.T_map_camera, dtype=np.float64), descriptor, features)


def choose_frames(records: Sequence[FrameRecord], most: int = MOST_FRAMES) -> list[FrameRecord]:
    """Frames of distinct poses, at most `most`; each sequence has its own, as it may have another light."""
    posed = [record for record in records if record.T_map_camera is not None]
    metres, radians = _APART_M, _APART_RAD
    while len(kept := _thinned(posed, metres, radians)) > most:
        metres, radians = _COARSER * metres, _COARSER * radians
    return kept


def _thinned(records: Sequence[FrameRecord], metres: float, radians: float) -> list[FrameRecord]:
    kept: list[FrameRecord] = []
    poses: dict[str, list[Array]] = {}
    for record in records:
        T, mine = np.asarray(record.T_map_camera, dtype=np.float64), poses.setdefault(record.sequence, [])
        if not mine or not near(np.stack(mine), T, metres, radians).any():
            mine.append(T)
            kept.append(record)
    return kept


def keyframes_from(frames: Sequence[Described], scene_map: SceneMap, cameras: Cameras) -> Keyframes:
    """The stored form; `scene_map` of the place tells where features lie that are beyond the depth sensor's range."""
    poses = np.stack([frame.T for frame in frames])
    places = places_of([frame.features for frame in frames], poses, scene_map, cameras.color)
    return Keyframes.of(poses, [frame.descriptor for frame in frames], places)


def reach_of(frames: Sequence[Described]) -> tuple[float, ...]:
    """See `KeyframesSpec.reach`; empty where no keyframe has another one in reach.

    Each keyframe is looked for among those that are not next to it (0.3 m and 12 degrees). The ends of the training
    sequences, which the trials hold out, tell nothing of it: often no other frame was taken there.
    """
    keyframes = Keyframes.of(np.stack([frame.T for frame in frames]), [frame.descriptor for frame in frames])
    retrieval, poses = Retrieval(keyframes), keyframes.poses()
    first, count = np.zeros(RANKS), 0
    for frame in frames:
        beside = near(poses, frame.T, _BESIDE_M, _BESIDE_RAD)
        if not np.any(near(poses, frame.T, REACH_M, REACH_RAD) & ~beside):
            continue
        count += 1
        for rank, T in enumerate(retrieval.nearest(frame.descriptor, RANKS, without=beside)):
            if near(T[None], frame.T, REACH_M, REACH_RAD)[0]:
                first[rank] += 1.0
                break
    return tuple(round(float(share), 4) for share in first / count) if count else ()


def make_keyframes(
    frames: Sequence[Described], scene_map: SceneMap, cameras: Cameras
) -> tuple[bytes, KeyframesSpec] | None:
    """The file's content and what the manifest says of it; None without frames. Arguments as of `keyframes_from`."""
    if not frames:
        return None
    spec = KeyframesSpec(file="keyframes.npz", sha256="", frames=len(frames), reach=reach_of(frames))
    return keyframes_from(frames, scene_map, cameras).to_bytes(), spec
