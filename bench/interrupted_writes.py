# SPDX-License-Identifier: Apache-2.0
"""Commands that are killed, or find the disk full, at each of their changes to files; and the next run of each.

    python -m bench.interrupted_writes
    python -m bench.interrupted_writes --cases export map --kills 20 --full 5

Every command runs in a process of its own whose calls to the kernel wait for this one (bench/commands). It is killed
with SIGKILL before its n-th change, for each n; and from its n-th demand for room on, each one is refused as by a full
disk (ENOSPC). What it was to write must then be there as it was before or as it is afterwards, the command must say so
in one sentence, and the same command must work when it is given again and leave nothing but its result.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.commands import system_calls, world
from bench.commands.process import HangError, Process
from bench.commands.stage import FaultError, Stage, last_line
from bench.timing import print_table
from mvloc_ros import interrupts

CASES = ("export", "export-new", "map", "calibrate", "train", "train-new", "to-dataset")
_TRACE = re.compile(r"Traceback \(most recent call last\)|^\w*(Error|Exception)\b", re.MULTILINE)
_TEMPORARY = re.compile(r"(^|[\s/])\.\w|/tmp/|\.part\b|\.partial\b|\.staging\b")


@dataclass
class Case:
    """A command, how many changes it makes, and what its target may be while it runs."""

    name: str
    changes: int
    demands: int
    allowed: dict[str, str]
    after: str
    faults: list[str] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)

    def look(self, folder: Path, when: str) -> None:
        """Note what is there, and whether it may be."""
        try:
            seen = world.state(folder, world.command(self.name).target)
        except Exception as error:  # whatever reading something damaged provokes
            raise FaultError(f"{when}: it cannot be read any more ({type(error).__name__}: {error})") from error
        if seen not in self.allowed:
            raise FaultError(f"{when}: neither the old nor the new state, but {seen}")
        self.found[self.allowed[seen]] += 1

    def repeat(self, stage: Stage, folder: Path, when: str) -> None:
        """Give the command again."""
        given = world.command(self.name)
        try:
            stage.give(given.words, folder)
        except FaultError as error:
            raise FaultError(f"{when}, then again: {error}") from error
        seen = world.state(folder, given.target)
        if seen != self.after:
            raise FaultError(f"{when}, then again: it gives {seen} instead of {self.after}")
        if left := world.leftovers(folder):
            raise FaultError(f"{when}, then again: {', '.join(left[:3])} is left over ({len(left)} in all)")


def measure(stage: Stage, name: str) -> Case:
    """Run a command undisturbed, and count."""
    given = world.command(name)
    with stage.copy() as folder:
        before = world.state(folder, given.target)
        process, changes, demands = stage.start(given, folder), 0, 0
        while (call := process.next_call()) is not None:
            changes, demands = changes + call.changes, demands + call.grows
            process.go(call)
        if process.wait() != 0:
            raise FaultError(f"{name} does not work: {last_line(process.text())}")
        after = world.state(folder, given.target)
    if before == after:
        raise FaultError(f"{name} changes nothing: it shows nothing to interrupt it")
    allowed = {before: "old", after: "new"}
    if name == "map":  # calibrates the network first, which is a state of its own
        with stage.copy() as folder:
            stage.give(world.command("calibrate").words, folder)
            allowed[world.state(folder, given.target)] = "calibrated"
    if name == "train-new":  # its first epoch is where the world's run is
        allowed[world.state(stage.world, "run")] = "epoch 1"
    return Case(name, changes, demands, allowed, after)


def kill(stage: Stage, case: Case, number: int) -> None:
    """Kill the command before its change of this number, look, and give it again.

    Raises:
        FaultError: what is there then is wrong.
    """
    with stage.copy() as folder:
        process, made = stage.start(world.command(case.name), folder), 0
        where = "its end"
        while (call := process.next_call()) is not None:
            made += call.changes
            if made == number:
                where = f"change {number} ({call.name} {Path(call.path).relative_to(folder.resolve())})"
                process.kill()
                break
            process.go(call)
        when = f"killed at {where}"
        case.look(folder, when)
        case.repeat(stage, folder, when)


def fill(stage: Stage, case: Case, number: int) -> None:
    """Let the disk be full from the command's demand of this number on, look, and give it again with room.

    Raises:
        FaultError: what it says or what is there then is wrong.
    """
    with stage.copy() as folder:
        process, made, where = stage.start(world.command(case.name), folder), 0, "the end"
        while (call := process.next_call()) is not None:
            made += call.grows
            if made == number and call.grows:
                where = f"demand {number} ({call.name} {Path(call.path).relative_to(folder.resolve())})"
            if call.grows and made >= number:
                process.refuse(call, errno.ENOSPC)
            else:
                process.go(call)
        judge_full(case, process, folder, f"disk full from {where} on")
        case.repeat(stage, folder, f"disk full from {where} on")


def judge_full(case: Case, process: Process, folder: Path, when: str) -> None:
    """What a command said and left that found no room."""
    text, said = process.text(), last_line(process.text())
    case.look(folder, when)
    if process.wait() == 0:
        if world.state(folder, world.command(case.name).target) != case.after:
            raise FaultError(f"{when}: exit code 0, and nothing was done: {said}")
    elif process.code != 2 or _TRACE.search(text):
        raise FaultError(f"{when}: exit code {process.code}, no sentence: {said}")
    elif _TEMPORARY.search(said.replace(str(folder), "")) or world.command(case.name).target not in said:
        raise FaultError(f"{when}: the sentence does not name the target: {said}")
    elif not re.search(r"\b(room|space)\b", said):
        raise FaultError(f"{when}: the sentence does not tell to make room: {said}")
    # A conversion goes on from what it has.
    if left := [name for name in world.leftovers(folder) if not name.startswith(".dataset.partial")]:
        raise FaultError(f"{when}: {', '.join(left[:3])} is left over ({len(left)} in all)")


def fill_really(stage: Stage, case: Case) -> None:
    """The same on a file system that is full, after the first 16 KiB that the command writes.

    Raises:
        FaultError: as `fill`.
        OSError, subprocess.CalledProcessError: this user may not mount one.
    """
    with _small_disk(stage.root / "disk") as (disk, resize):
        folder = world.copy(stage.world, disk / "copy")
        resize(0 if case.name == "calibrate" else 16)  # its manifest is all that it writes
        process = stage.start(world.command(case.name), folder)
        while (call := process.next_call()) is not None:
            process.go(call)
        if process.wait() == 0:
            raise FaultError("really full: it was not, the command worked")
        judge_full(case, process, folder, "really full")
        resize(1 << 16)
        case.repeat(stage, folder, "really full")


@contextmanager
def _small_disk(folder: Path) -> Iterator[tuple[Path, Callable[[int], None]]]:
    """A file system in memory, and what leaves so many KiB of it free."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", folder], check=True, capture_output=True)

    def resize(kib: int) -> None:
        used = int(subprocess.run(["df", "--output=used", folder], check=True, capture_output=True).stdout.split()[1])
        subprocess.run(["mount", "-o", f"remount,size={used + kib}k", folder], check=True, capture_output=True)

    try:
        yield folder, resize
    finally:
        subprocess.run(["umount", folder], check=True, capture_output=True)
        folder.rmdir()


def spread(last: int, most: int) -> list[int]:
    """At most so many of 1 to `last`, evenly spread, with both ends."""
    return sorted({round(value) for value in np.linspace(1, last, min(last, most))}) if most > 0 else []


def try_case(stage: Stage, name: str, kills: int, full: int, really: bool) -> tuple[object, ...]:
    """All of one command; a row of the table, with the faults at its end."""
    started = time.monotonic()
    case = measure(stage, name)
    killed, filled = spread(case.changes, kills), spread(case.demands, full)
    trials: list[tuple[str, Callable[[], None]]] = [("full", lambda n=n: fill(stage, case, n)) for n in filled]
    trials += [("really full", lambda: fill_really(stage, case))] if really else []
    trials += [("killed", lambda n=n: kill(stage, case, n)) for n in killed]
    done: Counter[str] = Counter()
    with contextlib.suppress(KeyboardInterrupt):  # the table is of what was done
        for kind, trial in trials:
            try:
                trial()
            except (FaultError, HangError) as fault:
                case.faults.append(str(fault))
                print(f"FAULT {name}: {fault}", flush=True)
            done[kind] += 1
    states = ", ".join(f"{count} {what}" for what, count in sorted(case.found.items()))
    seconds = time.monotonic() - started
    counts = f"{done['killed']} of {case.changes}", f"{done['full']} of {case.demands}", done["really full"]
    return (name, *counts, states, f"{seconds:.0f}", len(case.faults))


def may_mount(folder: Path) -> bool:
    """Whether this user may mount a small file system."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError), _small_disk(folder):
        return True
    with contextlib.suppress(OSError):
        folder.rmdir()
    return False


def main(arguments: list[str] | None = None) -> int:
    """Run it; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--kills", type=int, default=400, help="most points per command (default: %(default)s)")
    parser.add_argument("--full", type=int, default=100, help="most points per command (default: %(default)s)")
    parser.add_argument("--scratch", type=Path, help="keep the world in this folder for the next time")
    parser.add_argument("--no-mount", action="store_true", help="leave out the file system that is really full")
    args = parser.parse_args(arguments)
    if not system_calls.is_possible():
        print("This system does not hand calls over to another process (seccomp user notification).")
        return 2
    interrupts.unwind_once()  # so that nothing stays mounted
    with tempfile.TemporaryDirectory() as temporary:
        stage = Stage((args.scratch or Path(temporary)).resolve())
        stage.prepare()
        really = not args.no_mount and may_mount(stage.root / "disk")
        if not really:
            print("No file system is mounted: none is really full, calls are refused alone.")
        rows = [try_case(stage, name, args.kills, args.full, really) for name in args.cases]
    print_table(("command", "killed at", "full at", "really full", "found then", "seconds", "faults"), rows)
    return 1 if any(row[-1] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
