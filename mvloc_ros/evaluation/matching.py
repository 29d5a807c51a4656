# SPDX-License-Identifier: Apache-2.0
"""Which pose belongs to which frame: by the nearest stamp within a tolerance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def match(frames_ns: NDArray[np.int64], stamps_ns: NDArray[np.int64], tolerance_ns: int) -> NDArray[np.int64]:
    """For each frame the index of the nearest stamp within the tolerance, or -1; no index twice.

    Both are sorted. Of frames that want the same stamp, the nearer one gets it.
    """
    found = np.full(len(frames_ns), -1, dtype=np.int64)
    if not len(stamps_ns):
        return found
    after = np.clip(np.searchsorted(stamps_ns, frames_ns), 1, max(len(stamps_ns) - 1, 1))
    candidates = np.stack([after - 1, np.minimum(after, len(stamps_ns) - 1)])
    gaps = np.abs(stamps_ns[candidates] - frames_ns)
    best = np.argmin(gaps, axis=0)
    nearest, gap = np.take_along_axis(candidates, best[None], 0)[0], np.take_along_axis(gaps, best[None], 0)[0]
    taken: set[int] = set()
    for i in np.argsort(gap, kind="stable"):
        if gap[i] <= tolerance_ns and int(nearest[i]) not in taken:
            found[i] = nearest[i]
            taken.add(int(nearest[i]))
    return found
