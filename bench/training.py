#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is training bound by the network? Real steps against the same network on one batch that stays in memory.

A real step gathers its frames, augments them, and goes through network, loss, optimiser and schedule; the
other kind has all but the first two. Both take turns in one process, so that what else the machine does
disturbs both alike, and the ratio is the median over the turns. With --rendered, real steps of recorded frames
alone take turns, too; the views are rendered before (or come from the cache), as in a training.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import repeat
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from mvloc_ros.errors import MvlocError
from mvloc_ros.training.batches import Batches, MicroBatch
from mvloc_ros.training.cache import default_cache_folder
from mvloc_ros.training.checkpoint import seed_everything
from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.normalisation import PoseNormalisation
from mvloc_ros.training.objective import Batch
from mvloc_ros.training.presets import PRESETS, preset
from mvloc_ros.training.processes import SINGLE_PROCESS
from mvloc_ros.training.rendering import Rendering, render_pool
from mvloc_ros.training.systems import build_network
from mvloc_ros.training.train import pick_device, read_data, scaled_cameras
from mvloc_ros.training.train_step import Minimiser
from mvloc_ros.training.views import prepare_views

BAR = 0.9
WARM_UP = 2  # steps of each kind that are not timed
MATRIX_SIDE = {"cpu": 1024, "cuda": 8192}

EXAMPLES = """examples:
  python bench/training.py --data recordings/kitchen --preset small --steps 40
  python bench/training.py --data recordings/kitchen --preset paper --device cuda --steps 200 --out out/speed.json
  python bench/training.py --data recordings/kitchen --system vidloc --steps 20
  python bench/training.py --data recordings/kitchen --views 10 0.2
  python bench/training.py --data recordings/kitchen --rendered 0.5

The bar is a ratio of at least 0.9. Run it on an idle machine: the figures come with its load."""


@dataclass(frozen=True)
class Turn:
    """Some steps of one kind."""

    frames: int
    seconds: float
    processor_seconds: float


class Kind:
    """A network, its optimiser, and an endless supply of parts of steps."""

    def __init__(self, config: TrainingConfig, parts: Iterator[MicroBatch], device: torch.device, steps: int) -> None:
        seed_everything(config.seed)
        network = build_network(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.minimiser = Minimiser(config, network, steps, device)
        self.minimiser.begin_epoch()
        self.parts, self.device, self.turns = parts, device, list[Turn]()

    def step(self) -> int:
        """One optimiser step; its frames."""
        frames = 0
        for part in self.parts:
            self.minimiser.add(part)
            frames += len(part.batch.target)
            if part.last:
                break
        return frames

    def take_turn(self, steps: int) -> None:
        """Time some steps, to the end of what they started on the device."""
        wait(self.device)
        began, began_processor = time.perf_counter(), time.process_time()
        frames = sum(self.step() for _ in range(steps))
        wait(self.device)
        self.turns.append(Turn(frames, time.perf_counter() - began, time.process_time() - began_processor))

    def frames_per_second(self) -> float:
        """Median over the turns."""
        return statistics.median(turn.frames / turn.seconds for turn in self.turns)


def wait(device: torch.device) -> None:
    """Until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def real_parts(batches: Batches) -> Iterator[MicroBatch]:
    """Epoch after epoch."""
    while True:
        yield from batches.epoch()


def random_part(like: Batch) -> MicroBatch:
    """A whole step of noise, of the sizes of a real one."""
    color, depth = torch.randint_like(like.color, 256), 0.5 + 4.0 * torch.rand_like(like.depth)
    return MicroBatch(Batch(color, depth, torch.ones_like(like.present), torch.randn_like(like.target)), 1.0, True)


def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large product of square matrices: the best of several."""
    side = MATRIX_SIDE[device.type]
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(12):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        seconds.append(time.perf_counter() - began)
    return 2.0 * side**3 / min(seconds)


def operations_of_step(kind: Kind) -> int:
    """Multiplications and additions of a step's products and convolutions, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        kind.step()
    return int(counter.get_total_flops())


def ratio_to_recorded(real: Kind, recorded: Kind | None) -> dict[str, float]:
    """Speed with rendered views relative to recorded frames alone: median over the turns."""
    if recorded is None:
        return {}
    pairs = zip(recorded.turns, real.turns, strict=True)
    ratios = [(b.frames / b.seconds) / (a.frames / a.seconds) for a, b in pairs]
    return {"ratio_to_recorded": statistics.median(ratios), "recorded_frames_per_second": recorded.frames_per_second()}


def measure(config: TrainingConfig, root: Path, device: torch.device, steps: int, per_turn: int) -> dict[str, object]:
    """All kinds in turn; what a report says of them."""
    data = read_data(config, root, 0.2)
    frames, normalisation = data.training, PoseNormalisation.fit(data.training.poses)
    cameras, share = scaled_cameras(data.folder, config), config.augmentation.rendered
    views = prepare_views(config, cameras, frames, normalisation)
    rendered = None
    if share > 0.0:
        count = config.augmentation.rendered_views or 2 * len(frames)
        rendered = render_pool(Rendering(count, config.seed, cameras), frames, device, default_cache_folder())
    batches = Batches(frames, normalisation, config, device, SINGLE_PROCESS, views, rendered)
    planned = steps + WARM_UP + 1
    fixed = random_part(next(batches.epoch()).batch)
    real, random = (Kind(config, parts, device, planned) for parts in (real_parts(batches), repeat(fixed)))
    kinds, recorded = [real, random], None
    if rendered is not None:
        alone = Batches(frames, normalisation, config, device, SINGLE_PROCESS, views)
        recorded = Kind(config, real_parts(alone), device, planned)
        kinds.append(recorded)
    for kind in kinds:
        for _ in range(WARM_UP):
            kind.step()
    dtype = random.minimiser.dtype or torch.float32
    operations, peak = operations_of_step(random), matrix_peak(device, dtype)
    for _ in tqdm(range(steps // per_turn), desc="measuring", unit="turn"):
        for kind in kinds:
            kind.take_turn(per_turn)
    pairs = list(zip(real.turns, random.turns, strict=True))
    ratios = [b.seconds / a.seconds for a, b in pairs]
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
    speed = real.frames_per_second()
    return {
        "data": root.resolve().name,
        "system": config.system,
        "preset": config.preset,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"cpu, {torch.get_num_threads()} threads",
        "arithmetic": str(dtype).removeprefix("torch."),
        "views": [config.augmentation.turn, config.augmentation.shift],
        "rendered": share,
        **ratio_to_recorded(real, recorded),
        "frames_a_step": len(fixed.batch.target),
        "turns": len(pairs),
        "steps_a_turn": per_turn,
        "real_frames_per_second": speed,
        "random_frames_per_second": random.frames_per_second(),
        "ratio": quartiles[1],
        "ratio_quartiles": [quartiles[0], quartiles[2]],
        "ratio_of_processor_time": statistics.median(b.processor_seconds / a.processor_seconds for a, b in pairs),
        "operations_a_step": operations,
        "matrix_peak_per_second": peak,
        "share_of_matrix_peak": operations * speed / len(fixed.batch.target) / peak,
        "load_average": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "real_turns": [asdict(turn) for turn in real.turns],
        "random_turns": [asdict(turn) for turn in random.turns],
    }


def report(found: dict[str, object]) -> str:
    """The figures for people."""
    verdict = "holds" if float(str(found["ratio"])) >= BAR else "is missed"
    low, high = found["ratio_quartiles"]  # type: ignore[misc]
    of_rendered = []
    if "ratio_to_recorded" in found:
        holds = "holds" if float(str(found["ratio_to_recorded"])) >= BAR else "is missed"
        of_rendered = [
            "  recorded frames only:{recorded_frames_per_second:8.1f} frames/s",
            f"  with {{rendered:g}} rendered views: {{ratio_to_recorded:.3f}} of that speed (the bar of {BAR} {holds})",
        ]
    return "\n".join(
        [
            "{data}, {system}, preset {preset}, {frames_a_step} frames a step, {device}, {arithmetic}",
            "  new views by up to {views[0]:g} degrees and {views[1]:g} m",
            "  real steps:          {real_frames_per_second:8.1f} frames/s",
            *of_rendered,
            "  fixed random batch:  {random_frames_per_second:8.1f} frames/s",
            f"  ratio:               {{ratio:8.3f}} (quartiles {low:.3f} to {high:.3f}; the bar of {BAR} {verdict})",
            "  by processor time:   {ratio_of_processor_time:8.3f}",
            "  share of the matrix peak: {share_of_matrix_peak:.1%} of {matrix_peak_per_second:.3g} operations/s",
            "  load average {load_average:.1f} on {cores} cores",
        ]
    ).format(**found)


def main() -> int:
    """0 when measured, 2 after one sentence about bad input."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="posed RGB-D frames")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small", help="default: %(default)s")
    parser.add_argument("--system", choices=list(SYSTEMS), default="mvloc", help="default: %(default)s")
    parser.add_argument("--stage", choices=("1", "2"), default="1", help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=40, metavar="N", help="of each kind (default: %(default)s)")
    parser.add_argument("--turn", type=int, default=4, metavar="N", help="steps in a row (default: %(default)s)")
    parser.add_argument(
        "--views", type=float, nargs=2, default=(0.0, 0.0), metavar=("TURN", "SHIFT"), help="new views: degrees, metres"
    )
    parser.add_argument(
        "--rendered", type=float, default=0.0, metavar="SHARE", help="share of rendered views in a step"
    )
    parser.add_argument("--rendered-views", type=int, default=0, metavar="N", help="number of them, as in mvloc train")
    parser.add_argument("--short-side", type=int, metavar="PIXELS", help="of the input (default: the preset's)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures here as JSON")
    args = parser.parse_args()
    if not 1 <= args.turn <= args.steps:
        parser.error("--turn must be at least 1 and at most --steps")
    try:
        options = {"stage": args.stage, "turn": args.views[0], "shift": args.views[1], "rendered": args.rendered}
        options |= {"rendered_views": args.rendered_views}
        if args.short_side is not None:
            options["short_side"] = args.short_side
        config = preset(args.system, args.preset).with_options(options)
        found = measure(config, args.data, pick_device(args.device), args.steps, args.turn)
    except MvlocError as error:
        print(f"bench/training.py: {error}", file=sys.stderr)
        return 2
    print(report(found))
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
