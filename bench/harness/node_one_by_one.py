# SPDX-License-Identifier: Apache-2.0
"""The localization node, held to one frame in work at a time: what overlapping is compared with."""

from __future__ import annotations

import sys

from mvloc_ros.node import localization_node
from mvloc_ros.node.main import main


def _never(_threads: int) -> bool:
    return False


if __name__ == "__main__":
    localization_node.may_overlap = _never  # type: ignore[assignment]
    sys.exit(main())
