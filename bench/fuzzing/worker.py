# SPDX-License-Identifier: Apache-2.0
"""A process that tries inputs: reads `KIND SEED` lines, answers with JSON lines. Started by `pool`.

python -m bench.fuzzing.worker FOLDER
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from bench.fuzzing import kinds
from bench.fuzzing.kind import Kind
from bench.fuzzing.trial import try_input


def main() -> int:
    """Until the input ends."""
    folder = Path(sys.argv[1])
    # What a library prints must not get among the answers; nor must anything wait for the terminal.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    commands = os.fdopen(os.dup(0), "r")
    said = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(said, number)
    log = os.open(str(folder / "stderr.txt"), os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.INFO, filename=os.devnull)  # formatted, but heard by nobody
    os.setsid()  # no terminal that a device's file could lead to
    made: dict[str, Kind] = {}

    def answer(row: dict[str, Any]) -> None:
        answers.write(json.dumps(row) + "\n")

    for line in commands:
        name, seed = line.split()
        try:
            if name not in made:
                made[name] = kinds.create(name)
            found = try_input(made[name], name, int(seed), folder / "input", lambda: answer({"started": True}))
        except Exception as error:  # of making, since those of readers are outcomes
            answer({"broken": f"{name} {seed} cannot be made: {type(error).__name__}: {error}"})
            raise
        answer(found.as_row())
    return 0


if __name__ == "__main__":
    sys.exit(main())
