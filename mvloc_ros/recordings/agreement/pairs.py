# SPDX-License-Identifier: Apache-2.0
"""Which frames are compared: some spread over the recording, each with later ones and with one of another time there.

Later frames are chosen by time alone, so that poses of a wrong unit, which seem never to overlap, cannot hide. Frames
of another time, or of another sequence, are those that are near by the poses, whatever their unit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mvloc_ros.geometry import se3
from mvloc_ros.recordings.agreement.pose_tracks import PoseTracks

ANCHORS = 16
LATER_NS = (300_000_000, 1_000_000_000, 3_000_000_000)
_ANOTHER_TIME_NS = 10_000_000_000
_ANGLE_RAD, _EXTENT_SHARE = 0.5, 0.1
"""A turn, and a distance as a share of how far the poses spread, that make two poses equally far apart."""


def choose_pairs(tracks: PoseTracks) -> NDArray[np.intp]:
    """Numbers of the frames of each pair, `[pairs, 2]`, without repetition."""
    pairs = set()
    for anchor in np.unique(np.linspace(0, len(tracks.frames) - 1, ANCHORS).round().astype(int)):
        partners = [*_later(tracks, anchor), *_revisits(tracks, anchor)]
        pairs |= {(min(anchor, partner), max(anchor, partner)) for partner in partners if partner != anchor}
    return np.array(sorted(pairs), dtype=np.intp).reshape(-1, 2)


def _later(tracks: PoseTracks, anchor: int) -> list[int]:
    """Frames of its sequence at the times of `LATER_NS`, at least one, two and three frames on; earlier at the end."""
    own = np.flatnonzero(tracks.sequence == tracks.sequence[anchor])
    place = int(np.searchsorted(own, anchor))
    times = tracks.depth_ns[own]
    found = []
    for least, later in enumerate(LATER_NS, start=1):
        after = max(int(np.searchsorted(times, times[place] + later)), place + least)
        before = min(int(np.searchsorted(times, times[place] - later, side="right")) - 1, place - least)
        if after < len(own):
            found.append(int(own[after]))
        elif before >= 0:
            found.append(int(own[before]))
    return found


def _revisits(tracks: PoseTracks, anchor: int) -> list[int]:
    """The nearest frame, by its pose, of another time or sequence; none where there is none in a similar direction."""
    away = np.abs(tracks.depth_ns - tracks.depth_ns[anchor]) > _ANOTHER_TIME_NS
    others = np.flatnonzero(away | (tracks.sequence != tracks.sequence[anchor]))
    if not len(others):
        return []
    positions = tracks.T_map_camera[:, :3, 3]
    extent = float(np.linalg.norm(np.std(positions, axis=0)))
    turn = se3.rotation_error(tracks.T_map_camera[others], tracks.T_map_camera[anchor]) / _ANGLE_RAD
    distance = np.linalg.norm(positions[others] - positions[anchor], axis=1)
    apart = np.hypot(turn, distance / max(_EXTENT_SHARE * extent, 1e-12))
    nearest = int(np.argmin(apart))
    return [int(others[nearest])] if turn[nearest] < 1.0 else []
