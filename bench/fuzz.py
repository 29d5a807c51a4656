# SPDX-License-Identifier: Apache-2.0
"""Hostile inputs, by the thousand, for every reader of this project: does any of them end in anything but a word?

    python -m bench.fuzz --inputs 20000 --out out/fuzz
    python -m bench.fuzz --seconds 600 --only bundles graphs --seed 100000
    python -m bench.fuzz --only bags --seed 1234 --inputs 1

Valid inputs of each kind are made and damaged: by bits, by values, by files exchanged for links, pipes and folders.
Each is given to the readers in a worker process. An input is good if it is accepted or refused with one of the
package's errors, in 5 s and 1 GiB of resident memory. Bars, each of which makes the exit code 1:

    exceptions   another exception came out of a reader; `died`: the process did not survive
    hangs        it took more than 5 s, also when it was tried again alone
    memory       more than 1 GiB was resident
    altered      numbers were accepted that a check of sense can see to be wrong: bench/fuzzing/sense.py has the rules

`words` counts refusals whose text has control characters or more than 2000 characters; no bar, but told.

Input number i of a kind has the seed SEED + i, and the same seed gives the same input. Writes OUT/findings.jsonl (kind,
seed, exception, last lines of the stack), the inputs of the first findings of each fault under OUT/inputs, and
OUT/summary.json. With --resume a run that was interrupted goes on after the seeds that it has done.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from bench.fuzzing import kinds, outcome
from bench.fuzzing.outcome import Outcome, Tally, groups, outcome_from, table
from bench.fuzzing.pool import Pool, Task

_KEPT = 3
"""Inputs of each fault that are kept."""
_SAVE_S = 5.0


class Record:
    """The findings and the progress of a run, in a folder."""

    def __init__(self, out: Path, chosen: tuple[str, ...], seed: int, resume: bool) -> None:
        """Begin again in `out`, or go on with what is there."""
        self.out, self.seed = out, seed
        self.tallies = {name: Tally() for name in chosen}
        self.findings: list[Outcome] = []
        self._done: dict[str, set[int]] = {name: set() for name in chosen}
        self._first = dict.fromkeys(chosen, seed)
        self._groups = Counter[str]()
        self._saved = time.monotonic()
        out.mkdir(parents=True, exist_ok=True)
        if resume:
            self._resume()
        else:
            shutil.rmtree(out / "inputs", ignore_errors=True)
            (out / "findings.jsonl").write_text("")

    def tasks(self, most: int | None) -> Iterator[Task]:
        """The kinds in turns, each from its first seed that is not done; `most` of each."""
        for n in itertools.count() if most is None else range(most):
            for name in self.tallies:
                seed = self.seed + n
                if seed >= self._first[name] and seed not in self._done[name]:
                    yield name, seed

    def take(self, found: Outcome) -> None:
        """Count one outcome."""
        self.tallies[found.kind].add(found)
        self._done[found.kind].add(found.seed)
        while self._first[found.kind] in self._done[found.kind]:
            self._done[found.kind].remove(self._first[found.kind])
            self._first[found.kind] += 1
        if found.result not in (outcome.ACCEPTED, outcome.REFUSED):
            self.findings.append(found)
            with (self.out / "findings.jsonl").open("a") as stream:
                stream.write(json.dumps(found.as_row()) + "\n")
        if time.monotonic() - self._saved > _SAVE_S:
            self.save()

    def keep(self, found: Outcome, folder: Path) -> None:
        """Copy the input of a finding, of each fault the first ones."""
        self._groups[found.group] += 1
        if self._groups[found.group] <= _KEPT and folder.is_dir():
            copy_odd(folder, self.out / "inputs" / f"{found.kind}-{found.seed}")

    def save(self) -> None:
        """What is needed to go on."""
        self._saved = time.monotonic()
        content = {
            "seed": self.seed,
            "kinds": {
                name: {
                    "first": self._first[name],
                    "done": sorted(self._done[name]),
                    "results": tally.results,
                    "peak_mib": tally.peak_mib,
                    "slowest_s": tally.slowest_s,
                }
                for name, tally in self.tallies.items()
            },
        }
        temporary = self.out / "summary.json.part"
        temporary.write_text(json.dumps(content, indent=1))
        temporary.replace(self.out / "summary.json")

    def _resume(self) -> None:
        try:
            content = json.loads((self.out / "summary.json").read_text())
            rows = [json.loads(line) for line in (self.out / "findings.jsonl").read_text().splitlines()]
        except (OSError, ValueError) as error:
            raise SystemExit(f"--resume: {self.out} holds no run that can go on ({error}).") from None
        if content["seed"] != self.seed:
            raise SystemExit(f"--resume: the run in {self.out} began with --seed {content['seed']}.")
        for name in self.tallies:
            row = content["kinds"].get(name)
            if row:
                self.tallies[name] = Tally(Counter(row["results"]), row["peak_mib"], row["slowest_s"])
                self._first[name], self._done[name] = row["first"], set(row["done"])
        # What was found after the last save is tried, and found, again.
        known = [outcome_from(row) for row in rows if row["kind"] in self.tallies]
        self.findings = [f for f in known if f.seed < self._first[f.kind] or f.seed in self._done[f.kind]]
        self._groups.update(finding.group for finding in self.findings)
        lines = (json.dumps(finding.as_row()) + "\n" for finding in self.findings)
        (self.out / "findings.jsonl").write_text("".join(lines))


def copy_odd(folder: Path, target: Path) -> None:
    """A copy in which links stay links and pipes pipes; holes of large files stay holes."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted(folder.rglob("*")):
        into = target / path.relative_to(folder)
        if path.is_symlink():
            into.symlink_to(os.readlink(path))
        elif path.is_dir():
            into.mkdir(exist_ok=True)
        elif path.is_file():
            with path.open("rb") as source, into.open("wb") as stream:
                stream.write(source.read(64 << 20))
                stream.truncate(path.stat().st_size)
        else:
            os.mkfifo(into)


def run(record: Record, inputs: int | None, seconds: float | None, workers: int) -> None:
    """Until all inputs are tried, or the time is over."""
    most = None if inputs is None else -(-inputs // len(record.tallies))
    started = time.monotonic()

    def timely() -> Iterator[Task]:
        for task in record.tasks(most):
            if seconds is not None and time.monotonic() - started > seconds:
                return
            yield task

    total = None if most is None else most * len(record.tallies)
    before = sum(sum(tally.results.values()) for tally in record.tallies.values())
    faults = sum(tally.faults for tally in record.tallies.values())
    with Pool(workers, record.keep) as pool, tqdm(total=total, initial=before, unit="input", mininterval=1.0) as bar:
        try:
            for found in pool.run(timely()):
                record.take(found)
                faults += found.result in outcome.FAULTS
                bar.set_postfix(faults=faults, refresh=False)
                bar.update()
        except KeyboardInterrupt:
            bar.write(f"interrupted; go on with --resume --out {record.out}")
        finally:
            record.save()


def report(record: Record) -> int:
    """Print the table and the faults; 1 when a bar is missed."""
    print(table(record.tallies))
    found = groups(record.findings)
    for first, count in found:
        print(f"\n{count} x {first.kind}: {first.result}, {first.exception[:200]}")
        print(f"  --only {first.kind} --seed {first.seed} --inputs 1: {first.what[:160]}")
        for line in first.stack:
            print(f"    {line}")
    missed = sum(tally.faults for tally in record.tallies.values())
    print(f"\n{missed} inputs miss a bar" if missed else "\nall bars are met")
    return int(missed > 0)


def main(arguments: list[str] | None = None) -> int:
    """0 when every input was accepted or refused as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    much = parser.add_mutually_exclusive_group()
    much.add_argument("--inputs", type=int, help="of all kinds together (default: 20000)")
    much.add_argument("--seconds", type=float, help="instead: as many as can be tried in this time")
    parser.add_argument("--seed", type=int, default=0, help="of the first input of each kind (default: %(default)s)")
    which = f"of {', '.join(kinds.NAMES)}, or {kinds.SELF_TEST}, which shows what faults look like"
    parser.add_argument("--only", nargs="+", default=list(kinds.NAMES), metavar="KIND", help=which)
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--resume", action="store_true", help="go on with the run in DIR")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="default: %(default)s")
    args = parser.parse_args(arguments)
    chosen = tuple(dict.fromkeys(name for word in args.only for name in word.split(",") if name))
    if unknown := set(chosen) - {*kinds.NAMES, kinds.SELF_TEST}:
        parser.error(f"there is no kind {sorted(unknown)[0]!r}; choose of {', '.join(kinds.NAMES)}")
    if not chosen or args.workers < 1 or (args.inputs is not None and args.inputs < 1):
        parser.error("there must be a kind, an input and a worker at least")
    record = Record(args.out, chosen, args.seed, args.resume)
    inputs = args.inputs if args.inputs or args.seconds else 20_000
    run(record, inputs, args.seconds, args.workers)
    return report(record)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the workers and their files go too
    sys.exit(main())
