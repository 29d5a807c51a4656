# SPDX-License-Identifier: Apache-2.0
"""Steps in a row: each is done where its inputs changed or its output is not whole, and says so."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvloc_ros.errors import MvlocError
from mvloc_ros.learn.errors import LearnError
from mvloc_ros.learn.state import Record, State, changed

Values = dict[str, Any]


def _nothing(_changed: Sequence[str]) -> list[Path]:
    return []


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        name, title: in `learn.json`, and for the user.
        inputs: all that determines the result, by name: values of JSON, digests of files. Asked when the steps before
            are done.
        work: does it, or goes on where an interrupted one with the same inputs ended.
        outputs: digests of what it made, as it is now on the disk.
        stale: given the names of the inputs that changed, the files and folders that must not be continued.
        idle: why there is nothing to do; empty where there is.
        verb: the command that does the same, whose options an error may name.
    """

    name: str
    title: str
    inputs: Callable[[], Values]
    work: Callable[[], None]
    outputs: Callable[[], Values]
    stale: Callable[[Sequence[str]], list[Path]] = _nothing
    idle: Callable[[], str] = str
    verb: str = ""


def run_steps(steps: Sequence[Step], state: State, time_left: Callable[[Step], str]) -> None:
    """Do what is not done.

    Args:
        steps: in their order.
        state: of this and earlier runs.
        time_left: what can be said of the time from a step to the end; empty where nothing can.

    Raises:
        LearnError: a step failed; those before it stay done.
    """
    for number, step in enumerate(steps, start=1):
        label = f"[{number}/{len(steps)}] {step.title}"
        try:
            _run(step, label, state, time_left)
        except LearnError:
            raise
        except MvlocError as error:
            by = f", which `{step.verb}` does" if step.verb else ""
            raise LearnError(
                f"Step {number} of {len(steps)}, {step.title}{by}: {str(error).rstrip('.')}. What was finished before "
                "is kept: correct this, and run the same command again."
            ) from error


def _run(step: Step, label: str, state: State, time_left: Callable[[Step], str]) -> None:
    if why := step.idle():
        print(f"{label}: nothing to do ({why})", flush=True)
        return
    inputs, record = step.inputs(), state.get(step.name)
    differing = [] if record is None else changed(record.inputs, inputs)
    if record is not None and not differing and record.outputs:
        if step.outputs() == record.outputs:
            print(f"{label}: done already", flush=True)
            return
        print(f"{label}: its result was changed or is missing, so it is done again{time_left(step)}", flush=True)
    else:
        print(f"{label}{_why(record, differing)}{time_left(step)}", flush=True)
    if record is None or differing:
        for path in step.stale(differing or list(inputs)):
            _delete(path)
    started = time.monotonic()
    before = 0.0 if record is None or differing or record.outputs else record.seconds
    state.begin(step.name, inputs)
    step.work()
    state.finish(step.name, step.outputs(), before + time.monotonic() - started)


def _why(record: Record | None, differing: Sequence[str]) -> str:
    if record is None:
        return ""
    if not differing:
        return ": goes on where it was interrupted"
    names = ", ".join(differing[:4]) + (", ..." if len(differing) > 4 else "")
    return f": done again, since these inputs changed: {names}"


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        print(f"deleting {path}, which an earlier run made of other inputs", flush=True)
        shutil.rmtree(path)
    elif path.exists() or path.is_symlink():
        print(f"deleting {path}, which an earlier run made of other inputs", flush=True)
        path.unlink()
