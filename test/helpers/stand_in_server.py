# SPDX-License-Identifier: Apache-2.0
"""A server with the real front end, whose frames a test takes in place of the localizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mvloc_ros.frontend.decode import decode_color, decode_depth
from mvloc_ros.frontend.front_end import FrontEnd, FrontEndOptions, PairedFrame
from mvloc_ros.model.frame import Frame
from mvloc_ros.pipeline.server import SeenFrame

MS = 1_000_000


def nothing(*_: object) -> None:
    """Takes whatever it is told."""


class StandInServer:
    """What `node.pipeline.Pipeline` uses of a `LocalizationServer`; `process` gets each frame that was read."""

    def __init__(
        self,
        put: Callable[[PairedFrame], None],
        process: Callable[[Frame], Any],
        options: FrontEndOptions | None = None,
        read_color: Callable[[Any], Any] = decode_color,
        read_depth: Callable[[Any], Any] = decode_depth,
        check_stamp: Callable[[str, int], None] = nothing,
        on_problem: Callable[[str, int, str], None] = nothing,
    ) -> None:
        options = FrontEndOptions("color", 20 * MS) if options is None else options
        self.front = FrontEnd(options, read_color, read_depth, check_stamp, put, on_problem)
        self._process = process

    def see(self, paired: PairedFrame) -> SeenFrame:
        """Reads a frame and takes it, as the network would."""
        localizer: Any = None
        frame = None
        try:
            frame, paired = self.front.read(paired)
            return SeenFrame(paired, localizer, frame, self._process(frame))
        except Exception as error:
            return SeenFrame(paired, localizer, frame, error)

    def judge(self, seen: SeenFrame) -> Any:
        """What `process` returned or raised."""
        if isinstance(seen.seen, Exception):
            raise seen.seen
        return seen.seen
