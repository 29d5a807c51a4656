# SPDX-License-Identifier: Apache-2.0
"""A folder in which every command finds its input, small enough that each takes a second, and what it holds then.

data/       posed frames, which nobody changes
bag/        the same as a recording
run/        a training that was killed after the first of its two epochs
bundle/     exported from it, with float16 weights and a coarse map, so that each command that follows changes it
engines/    TensorRT's engines, of the fakes that the tests have
dataset/    of `bag to-dataset`
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
_FRAMES, _WIDTH, _HEIGHT = 24, 40, 32
_NETWORK = {
    "short_side": 32, "width": 0.125, "latent_size": 32, "dropout": 0.0, "epochs": 2, "batch_size": 24,
    "learning_rate": 5e-3, "erasing_size": 0.2, "validation_gap": 1, "validation_fraction": 0.5,
}  # fmt: skip
_COARSE, _FINE = 0.08, 0.06


@dataclass(frozen=True)
class Command:
    """A verb, and which folder of the world it changes."""

    words: tuple[str, ...]
    target: str


def command(name: str) -> Command:
    """The command of this name; `export-new` and `train-new` write where nothing is yet."""
    train = ("train", "--data", "data", "--no-cache", "--device", "cpu", "--force")
    options = tuple(word for option, value in _NETWORK.items() for word in (_flag(option), str(value)))
    export = ("export", "run", "--data", "data", "--no-cache", "--out")
    return {
        "train": Command((*train, "--out", "run", *options), "run"),
        "train-new": Command((*train, "--out", "run-new", *options), "run-new"),
        "export": Command((*export, "bundle"), "bundle"),
        "export-new": Command((*export, "bundle-new"), "bundle-new"),
        "map": Command((*_MAP, "--resolution", str(_FINE)), "bundle"),
        "calibrate": Command(("calibrate", "bundle", "--data", "data", "--force"), "bundle"),
        "engine": Command(("engine", "build", "bundle", "--cache", "engines"), "engines"),
        "to-dataset": Command(("bag", "to-dataset", "bag", "--out", "dataset", "--force"), "dataset"),
    }[name]


_MAP = ("map", "bundle", "--data", "data", "--without-threshold", "--force", "--min-frames", "1")


def work(words: tuple[str, ...], folder: Path, graphs: Path) -> Callable[[], int]:
    """What a process does that gives this command in a world.

    Networks become ONNX graphs by torch's exporter the first time alone, kept in `graphs` by their weights: it takes
    ten times as long as all the rest, and writes nothing but that graph.
    """

    def run() -> int:
        import torch

        from mvloc_ros.cli import main
        from mvloc_ros.training import export

        torch.set_num_threads(1)
        os.chdir(folder)
        os.environ |= {"TMPDIR": str(folder / "tmp"), "XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "80"}
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(graphs)  # a folder that torch makes for itself
        os.environ.pop("MVLOC_CACHE", None)
        tempfile.tempdir = str(folder / "tmp")  # instead of what the process found that this one is a fork of
        export.write_onnx = _kept_graphs(export.write_onnx, graphs)
        if words[0] == "engine":
            _fake_tensorrt()
        return main(list(words))

    return run


def make_world(folder: Path, graphs: Path, give: Callable[..., None], half_trained: Callable[..., None]) -> None:
    """Make the world by its own commands.

    Args:
        folder: of the world, a new one.
        graphs: as `work` has it.
        give: runs words of a command to its end.
        half_trained: runs words and kills them when their second epoch begins.
    """
    (folder / "tmp").mkdir(parents=True)
    _write_frames(folder / "data")
    give("bag", "from-folder", "data", "--out", "bag")
    half_trained(*command("train").words)
    give("export", "run", "--data", "data", "--half-weights", "--no-cache", "--out", "bundle")
    give(*_MAP, "--resolution", str(_COARSE), "--no-calibration")


def copy(world: Path, folder: Path) -> Path:
    """A world like that one; what nobody changes is the same."""
    (folder / "tmp").mkdir(parents=True)
    for path in world.iterdir():
        if path.name in ("data", "bag"):
            (folder / path.name).symlink_to(path)
        elif path.name not in ("tmp", "cache"):
            shutil.copytree(path, folder / path.name)
    return folder


def leftovers(folder: Path) -> list[str]:
    """Names of what is there for the time of a write alone."""
    found = [path for path in folder.rglob("*") if path.name.startswith(".") or path.parent == folder / "tmp"]
    bundles = [path for name in ("bundle", "bundle-new") for path in (folder / name).glob("scene_map-*")]
    named = {_manifest(path.parent).get("scene_map", {}).get("file") for path in bundles}
    found += [path for path in bundles if path.name not in named]
    return sorted(str(path.relative_to(folder)) for path in found)


def state(folder: Path, target: str) -> str:
    """What a target holds, in a line that is the same for the same content; "none" where it is not there.

    Raises:
        Exception: it cannot be read, whatever the reader says then.
    """
    path = folder / target
    if not path.exists():
        return "none"
    return {"run": _run_state, "bundle": _bundle_state, "engines": _engines_state, "dataset": _dataset_state}[
        target.removesuffix("-new")
    ](path)


def _run_state(path: Path) -> str:
    from mvloc_ros.training import checkpoint

    if not (path / checkpoint.LAST).exists():
        return "none"  # a training that has not ended its first epoch
    last, best = checkpoint.load(path / checkpoint.LAST), checkpoint.load(path / checkpoint.BEST)
    json.loads((path / "config.json").read_text())
    # The best is written before the last, the table after it: a kill between them is made good by the next run.
    assert best["epoch"] in (last["progress"]["best_epoch"], last["epoch"] + 1), (best["epoch"], last["progress"])
    if (path / "metrics.csv").exists():
        assert (path / "metrics.csv").read_text().count("\n") - 1 in (last["epoch"], last["epoch"] - 1)
    return f"epoch {last['epoch']} {_weights_digest(last['network'])}"


def _bundle_state(path: Path) -> str:
    from mvloc_ros.backends.backend_choice import create_backend
    from mvloc_ros.localization.scene_map import read_scene_map
    from mvloc_ros.model.bundle import read_bundle

    bundle = read_bundle(path)
    if bundle.manifest.scene_map is not None:
        read_scene_map(bundle)
    create_backend("onnxruntime", bundle).close()
    manifest = _manifest(path)
    manifest["training"].pop("seconds")
    refined = bundle.manifest.scene_map
    words = [
        f"epoch {manifest['training']['epoch']}",
        "no map" if refined is None else f"map of {refined.resolution_m} m",
        "uncalibrated" if bundle.manifest.calibration is None else "calibrated",
    ]
    return f"{', '.join(words)}, {_digest(json.dumps(manifest, sort_keys=True).encode())}"


def _engines_state(path: Path) -> str:
    from mvloc_ros.backends.tensorrt.sealed_file import read_sealed

    found = []
    for file in sorted(path.glob("*.engine")):
        sealed = read_sealed(file)
        # The fake's engine is the ONNX file behind the version: under the key of another file it would be wrong.
        digest = hashlib.sha256(sealed.content.partition(b"\n")[2]).hexdigest()
        assert digest == sealed.about["onnx"], f"{file.name} is of another network than its key says"
        found.append(digest[:12])
    return f"{len(found)} engines, {_digest(' '.join(sorted(found)).encode())}"


def _dataset_state(path: Path) -> str:
    from mvloc_ros.recordings import open_folder

    frames = list(open_folder(path).frames())
    files = sorted(file for file in path.rglob("*") if file.is_file())
    content = b"".join(str(file.relative_to(path)).encode() + file.read_bytes() for file in files)
    return f"{len(frames)} frames, {_digest(content)}"


def _manifest(bundle: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((bundle / "manifest.json").read_text())
    return values


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def _weights_digest(network: dict[str, Any]) -> str:
    return _digest(b"".join(name.encode() + network[name].numpy().tobytes() for name in sorted(network)))


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _kept_graphs(write_onnx: Callable[..., None], graphs: Path) -> Callable[..., None]:
    def write(deployed: Any, size: tuple[int, int], path: Path, further: Sequence[Any] = ()) -> None:
        kept = graphs / f"{_weights_digest(deployed.state_dict())}.onnx"
        if not kept.exists():
            write_onnx(deployed, size, path, further)
            partial = kept.with_suffix(f".{os.getpid()}")
            shutil.copyfile(path, partial)
            partial.rename(kept)
        else:
            shutil.copyfile(kept, path)

    return write


def _fake_tensorrt() -> None:
    """A GPU and TensorRT as Python sees them."""
    sys.path.insert(0, str(ROOT / "test" / "backends" / "tensorrt"))
    from fake_cuda import make_cuda
    from fake_tensorrt import make_tensorrt

    from mvloc_ros.backends.gpu import Gpu
    from mvloc_ros.backends.tensorrt import engines

    runtime, cuda = make_cuda()
    trt, _ = make_tensorrt("10.16.1.11", cuda)
    bindings, package = ModuleType("cuda.bindings"), ModuleType("cuda")
    bindings.runtime, package.bindings = runtime, bindings  # type: ignore[attr-defined]
    modules = {"tensorrt": trt, "cuda": package, "cuda.bindings": bindings, "cuda.bindings.runtime": runtime}
    sys.modules.update(modules)
    engines.find_gpu = lambda: Gpu("Orin (nvgpu)", "8.7", "12.6", 16)


def _write_frames(root: Path) -> None:
    """A camera that slides along a textured wall: colour tells where it is, depth how far the wall is."""
    random = np.random.default_rng(3)
    wall = cv2.resize(random.integers(0, 256, (24, 32, 3), dtype=np.uint8), (256, 192), interpolation=cv2.INTER_CUBIC)
    for number in (1, 2, 3):
        folder = root / f"seq-{number:02d}"
        folder.mkdir(parents=True)
        for i in range(_FRAMES):
            phase = 2 * np.pi * i / 12 + number
            x, y, z = np.cos(phase), 0.5 * np.sin(2 * phase), 0.4 * np.sin(phase)
            left, top = round(107 + 90 * x), round(79 + 75 * y)
            depth = np.full((_HEIGHT, _WIDTH), round(1000 * (2.0 + z)), dtype=np.uint16)
            pose = np.eye(4)
            pose[:3, 3] = (x, y, -z)
            cv2.imwrite(str(folder / f"frame-{i:06d}.color.png"), wall[top : top + _HEIGHT, left : left + _WIDTH])
            cv2.imwrite(str(folder / f"frame-{i:06d}.depth.png"), depth)
            np.savetxt(folder / f"frame-{i:06d}.pose.txt", pose)
    camera = {"width": _WIDTH, "height": _HEIGHT, "fx": 38.0, "fy": 38.0, "cx": 19.5, "cy": 15.5}
    settings = {
        "color": camera, "depth": camera, "depth_registered": True, "pose_of": "color", "rate_hz": 10,
        "depth_units_per_metre": 1000, "licence": "CC0-1.0",
    }  # fmt: skip
    (root / "camera.json").write_text(json.dumps(settings))
    (root / "TrainSplit.txt").write_text("sequence1\nsequence2\n")
    (root / "TestSplit.txt").write_text("sequence3\n")
