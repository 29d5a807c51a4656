# SPDX-License-Identifier: Apache-2.0
"""Two commands at once on one run folder and one bundle, for every pair of those that write, a command with itself too.

    python -m bench.races --rounds 500
    python -m bench.races --rounds 20 --pairs export+map engine+export

Both run in processes of their own whose calls to the kernel wait for this one (bench/commands). The first is held at a
random call that opens or changes a file; the second then comes as far as another random call, or to its end; from there
both run free. Seeded, so that a round can be repeated.

Whatever comes of it must be what comes of the commands one after the other, those left out that ended with an exit
code other than 0, and these must have said that the folder is in use or was changed. Everything must read, and both
commands must work when they are given once more and leave nothing but their results.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import re
import select
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.commands import system_calls, world
from bench.commands.process import HangError, Process
from bench.commands.stage import FaultError, Stage, last_line
from bench.timing import print_table
from mvloc_ros import interrupts

COMMANDS = ("train", "export", "map", "calibrate", "engine")
PAIRS = tuple("+".join(pair) for pair in itertools.combinations_with_replacement(COMMANDS, 2))
_TARGETS = ("run", "bundle", "engines")
_REFUSED = re.compile(r"is in use by|Another command has changed|has changed while")


def states(folder: Path) -> tuple[str, ...]:
    """What run folder, bundle and engines hold.

    Raises:
        FaultError: one cannot be read.
    """
    try:
        return tuple(world.state(folder, target) for target in _TARGETS)
    except Exception as error:  # whatever reading something damaged provokes
        raise FaultError(f"damaged: {type(error).__name__}: {error}") from error


@dataclass
class Pair:
    """Two commands, and what comes of them one after the other."""

    names: tuple[str, str]
    calls: dict[str, int]
    expected: dict[tuple[str, ...], set[tuple[str, ...]]]
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    rounds: int = 0


def prepare(stage: Stage, names: Sequence[tuple[str, str]]) -> list[Pair]:
    """Run every command alone, its calls counted, and the two of each pair one after the other, either way."""
    calls, alone = {}, {}
    for name in dict.fromkeys(itertools.chain(*names)):
        with stage.copy() as folder:
            stage.give(world.command(name).words, folder)  # imports what it needs
            alone[name] = states(folder)
        with stage.copy() as folder:
            process, count = stage.start(world.command(name), folder, watched="calls"), 0
            while (call := process.next_call()) is not None:
                count += 1
                process.go(call)
        calls[name] = count
    pairs = []
    for pair in names:
        expected = {(): {states(stage.world)}, tuple(sorted(pair)): set()}
        for order in {pair, pair[::-1]}:
            expected[order[:1]] = {alone[order[0]]}
            with stage.copy() as folder:
                for name in order:
                    stage.give(world.command(name).words, folder)
                expected[tuple(sorted(pair))].add(states(folder))
        pairs.append(Pair(pair, calls, expected))
    return pairs


def race(stage: Stage, pair: Pair, chance: random.Random) -> None:
    """One round.

    Raises:
        FaultError, HangError: what comes of it is wrong.
    """
    first, second = pair.names if chance.random() < 0.5 else pair.names[::-1]
    hold, reach = _place(pair.calls[first], chance), _place(pair.calls[second], chance)
    when = f"{first} held at call {hold}, {second} come to call {reach}"
    with stage.copy() as folder:
        processes = [stage.start(world.command(first), folder, "-first", "calls")]
        try:
            processes.append(_interleave(stage, processes[0], second, folder, hold, reach))
            _run_free(processes)
            won = []
            for name, process in zip((first, second), processes, strict=True):
                if process.wait() == 0:
                    won.append(name)
                elif process.code != 2 or not _REFUSED.search(process.text()):
                    raise FaultError(f"{when}: {name} ended with {process.code}: {last_line(process.text())}")
            pair.outcomes["both" if len(won) == 2 else "none" if not won else "one"] += 1
            _judge(stage, pair, folder, tuple(sorted(won)), when)
        finally:
            for process in processes:
                process.kill()


def _place(calls: int, chance: random.Random) -> int:
    """A call's number; every other one among the last, where the results are written."""
    return chance.randint(1, calls) if chance.random() < 0.5 else max(1, calls - chance.randint(0, 40))


def _interleave(stage: Stage, first: Process, second: str, folder: Path, hold: int, reach: int) -> Process:
    """Bring both to their places; the second process. A first that ended before is left as it is."""
    held = _bring(first, hold)
    process = stage.start(world.command(second), folder, "-second", "calls")
    waiting = _bring(process, reach)
    if held is not None:
        first.go(held)
    if waiting is not None:
        process.go(waiting)
    return process


def _bring(process: Process, number: int) -> system_calls.Call | None:
    """Let a process come to its call of this number, which waits; None: it has ended before."""
    for _ in range(number - 1):
        call = process.next_call()
        if call is None:
            return None
        process.go(call)
    return process.next_call()


def _run_free(processes: list[Process], seconds: float = 120.0) -> None:
    """Let everything happen at once until all have ended."""
    watch, end = select.poll(), time.monotonic() + seconds
    running = {process.listener: process for process in processes if process.code is None}
    for listener in running:
        watch.register(listener, select.POLLIN)
    while running:
        for listener, events in watch.poll(1000.0):
            process = running[listener]
            if events & select.POLLIN:
                call = process.pick_up()
                if call is not None:
                    process.go(call)
            elif events & select.POLLHUP:
                watch.unregister(listener)
                del running[listener]
                process.wait()
        if time.monotonic() > end:
            raise HangError(f"after {seconds:g} s {len(running)} of the commands have not ended")


def _judge(stage: Stage, pair: Pair, folder: Path, won: tuple[str, ...], when: str) -> None:
    found = states(folder)
    if found not in pair.expected[won]:
        raise FaultError(f"{when}: {' and '.join(won) or 'nobody'} won, and there is {found} instead of "
                         f"{' or '.join(map(str, pair.expected[won]))}")  # fmt: skip
    for name in dict.fromkeys(pair.names):
        try:
            stage.give(world.command(name).words, folder)
        except FaultError as error:
            raise FaultError(f"{when}, then once more: {error}") from error
    states(folder)
    if left := world.leftovers(folder):
        raise FaultError(f"{when}, then once more: {', '.join(left[:3])} is left over ({len(left)} in all)")


def race_pair(stage: Stage, pair: Pair, number: int, seed: int) -> None:
    """The round of this number of a pair, whose faults are noted."""
    try:
        race(stage, pair, random.Random(f"{seed} {pair.names} {number}"))
        pair.rounds += 1
    except (FaultError, HangError) as fault:
        pair.rounds += 1
        pair.faults.append(str(fault))
        print(f"FAULT {'+'.join(pair.names)}, round {number}: {fault}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run it; 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500, help="of each pair (default: %(default)s)")
    parser.add_argument("--pairs", nargs="+", choices=PAIRS, default=PAIRS, metavar="A+B", help=", ".join(PAIRS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first round, to go on or to repeat one")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="end after the round in which they are over"
    )
    parser.add_argument("--scratch", type=Path, help="keep the world in this folder for the next time")
    args = parser.parse_args(arguments)
    if not system_calls.is_possible():
        print("This system does not hand calls over to another process (seccomp user notification).")
        return 2
    interrupts.unwind_once()
    with tempfile.TemporaryDirectory() as temporary:
        stage = Stage((args.scratch or Path(temporary)).resolve())
        stage.prepare()
        pairs = prepare(stage, [(name.split("+")[0], name.split("+")[1]) for name in args.pairs])
        started = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):  # the table is of what was done
            for number in range(args.first, args.first + args.rounds):
                for pair in pairs:
                    race_pair(stage, pair, number, args.seed)
                if time.monotonic() - started > 60.0 * args.minutes:
                    break
        seconds = time.monotonic() - started
    rows = [
        (
            "+".join(pair.names),
            pair.rounds,
            *(pair.outcomes[what] for what in ("both", "one", "none")),
            len(pair.faults),
        )
        for pair in pairs
    ]
    print_table(("pair", "rounds", "both won", "one", "none", "faults"), rows)
    print(f"{seconds / max(1, sum(pair.rounds for pair in pairs)):.2f} s a round")
    return 1 if any(pair.faults for pair in pairs) else 0


if __name__ == "__main__":
    sys.exit(main())
