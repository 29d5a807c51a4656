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
    for line in commands:
        name, seed = line.split()
        if name not in made:
            made[name] = kinds.create(name)

        def start() -> None:
            answers.write(json.dumps({"started": True}) + "\n")

        answers.write(json.dumps(try_input(made[name], name, int(seed), folder / "input", start).as_row()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
