# SPDX-License-Identifier: Apache-2.0
"""`mvloc demo run`: render a recording, localize it live over DDS, evaluate.

Path, light and sensor noise differ from those of the training data of `models/demo`.
"""

from __future__ import annotations

from pathlib import Path

from mvloc_ros.demo.write_folder import write_folder
from mvloc_ros.errors import MvlocError
from mvloc_ros.model.bundle import read_pair_bundle
from mvloc_ros.recordings import open_folder
from mvloc_ros.recordings.from_folder import select_frames, write_bag
from mvloc_ros.replay.evaluation import EvaluationResult, evaluate
from mvloc_ros.replay.live import NodeOptions, run_live
from mvloc_ros.replay.recorded_run import LiveOptions, read_live_run
from mvloc_ros.replay.report import write_report


def run_demo(out: Path, model: Path | None = None) -> tuple[EvaluationResult, str]:
    """Render (once), play, localize, evaluate.

    Args:
        out: folder of recording, report and plots.
        model: bundle; None: the one of the package.

    Returns:
        The evaluation, and the table for the terminal.
    """
    model = model or shipped_model()
    read_pair_bundle(model)  # checked before minutes of rendering
    frames, bag = out / "frames", out / "recording"
    rendered = write_folder(frames, split="test")
    if rendered or not bag.exists():
        folder = open_folder(frames)
        write_bag(folder, select_frames(folder), bag, force=True)
    result = evaluate(read_live_run(run_live(bag, model, out, NodeOptions()), model, LiveOptions(played_bag=bag)))
    return result, write_report(result, out)


def shipped_model() -> Path:
    """`models/demo` of the checkout or of the installed package."""
    candidates = [Path(__file__).resolve().parents[2] / "models" / "demo"]
    try:
        from ament_index_python.packages import get_package_share_directory

        candidates.append(Path(get_package_share_directory("mvloc_ros")) / "models" / "demo")
    except (ImportError, LookupError, OSError):
        pass  # a machine without ROS
    for path in candidates:
        if path.is_dir():
            return path
    raise MvlocError(
        f"The demo model is missing at {candidates[0]}; get models/demo from the repository, or train it with `make "
        "demo-model`."
    )
