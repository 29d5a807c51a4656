# SPDX-License-Identifier: Apache-2.0
"""The localization node with one frame in work at a time or with two, as the first argument says."""

from __future__ import annotations

import sys

from mvloc_ros.node import localization_node
from mvloc_ros.node.main import main

ONE_BY_ONE, OVERLAPPED = "one-by-one", "overlapped"

if __name__ == "__main__":
    overlaps = {ONE_BY_ONE: False, OVERLAPPED: True}[sys.argv.pop(1)]
    localization_node.may_overlap = lambda threads: overlaps
    sys.exit(main())
