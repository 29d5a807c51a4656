# SPDX-License-Identifier: Apache-2.0
"""One input of a kind, made from its seed and given to the readers, in this process."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from bench.fuzzing import outcome
from bench.fuzzing.kind import Kind, SenselessError
from bench.fuzzing.outcome import Outcome
from mvloc_ros.errors import MvlocError

ROOT = Path(__file__).resolve().parents[2]
_HEADROOM = 3 << 30
"""Address space that one input may ask for; more is refused, so that the machine lives on, and is a fault."""
_LONGEST = 2000
_FRAMES = 6


def try_input(kind: Kind, name: str, seed: int, folder: Path, on_start: Callable[[], object] = lambda: None) -> Outcome:
    """Make the input of a seed in `folder`, an empty or absent one, and give it to the readers.

    `on_start` is called when it is made: from then on its time counts.
    """
    empty(folder)
    if hasattr(kind, "seed"):
        kind.seed = seed
    made = kind.make(Random(f"{name}:{seed}"), folder)
    on_start()
    result, exception, stack = outcome.ACCEPTED, "", ()
    _reset_peak()
    started = time.perf_counter()
    with _limited():
        try:
            made.feed()
            if made.must_refuse:
                result, exception = outcome.ALTERED, f"accepted: {made.must_refuse}"
        except SenselessError as error:
            result, exception = outcome.ALTERED, f"accepted: {error}"
        except MvlocError as error:
            unclear = _unclear(str(error))
            result = outcome.WORDS if unclear else outcome.REFUSED
            if unclear:
                exception, stack = f"{type(error).__name__}: {unclear}: {str(error)[:300]!r}", _stack(error)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit among them: whatever a reader lets out
            result, exception, stack = outcome.EXCEPTION, f"{type(error).__name__}: {str(error)[:300]}", _stack(error)
    seconds, peak = time.perf_counter() - started, _peak_mib()
    if seconds > outcome.HANG_S and result != outcome.EXCEPTION:
        result, exception = outcome.HANG, f"{seconds:.1f} s"
    elif peak > outcome.MOST_MIB and result in (outcome.ACCEPTED, outcome.REFUSED, outcome.WORDS):
        result, exception = outcome.MEMORY, f"{peak:.0f} MiB"
    return Outcome(name, seed, made.what[:300], result, exception, stack, round(seconds, 4), round(peak, 1))


def empty(folder: Path) -> None:
    """Make a folder, or an empty one of what is there."""
    if folder.exists():
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
    folder.mkdir(parents=True, exist_ok=True)


def _unclear(text: str) -> str:
    """Why a sentence could disturb a log or a terminal; empty if it could not."""
    if len(text) > _LONGEST:
        return f"{len(text)} characters"
    odd = [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    return f"control character {odd[0]!r}" if odd else ""


def _stack(error: BaseException) -> tuple[str, ...]:
    """File, line and function of the last frames, down to the last one of this project."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = []
    for frame in frames:
        inside = frame.filename.startswith(str(ROOT)) and "/.venv/" not in frame.filename
        name = os.path.relpath(frame.filename, ROOT) if inside else "/".join(Path(frame.filename).parts[-3:])
        lines.append((inside and not name.startswith("bench"), f"{name}:{frame.lineno} {frame.name}"))
    last = max((i for i, (ours, _) in enumerate(lines) if ours), default=len(lines) - 1)
    return tuple(line for _, line in lines[max(0, last + 1 - _FRAMES) : last + 1])


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Let nothing reserve more address space than the headroom."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _HEADROOM
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _reset_peak() -> None:
    """Let the kernel begin again with the largest resident set (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
