# SPDX-License-Identifier: Apache-2.0
"""Which descriptors find keyframes from which registration reaches a frame: of images, of one of them, of the network.

    python -m bench.descriptors models/kitchen --data recordings/kitchen

On training frames alone: each keyframe is looked for among those that were not taken beside it (0.3 m and 12 degrees),
as `mvloc map` does for `keyframes.reach`. Figures are shares of the frames that have another keyframe within 0.5 m and
20 degrees, by how many distinct poses are retrieved. The network has seen these frames in training, the descriptors of
images have not.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bench.timing import print_table
from mvloc_ros.backends.backend import Backend
from mvloc_ros.backends.backend_choice import create_backend
from mvloc_ros.errors import MvlocError
from mvloc_ros.localization.descriptors import Descriptor
from mvloc_ros.localization.localizer import Localizer
from mvloc_ros.mapping.build import Cameras, depth_image
from mvloc_ros.mapping.keyframes import Described, choose_frames, describe_frames, reach_of
from mvloc_ros.model.bundle import Bundle, read_bundle
from mvloc_ros.model.frame import ColorImage
from mvloc_ros.model.preprocessing import prepare_color, prepare_depth
from mvloc_ros.recordings import FrameRecord, open_folder, read_color

Kind = Callable[[Described], Descriptor]


def latent_of(record: FrameRecord, bundle: Bundle, backend: Backend, cameras: Cameras) -> NDArray[np.float32]:
    """The network's joint latent mean of a frame with both images, of unit length."""
    assert record.color is not None
    size = bundle.manifest.input.height, bundle.manifest.input.width
    color = prepare_color(ColorImage(read_color(record.color), "rgb"), *size)
    depth = prepare_depth(depth_image(record, cameras), *size)
    latent = backend.run(color, depth, np.ones(2, np.float32)).latent_mean
    return np.asarray(latent / max(float(np.linalg.norm(latent)), 1e-6), dtype=np.float32)


def kinds_of(latents: dict[int, NDArray[np.float32]]) -> dict[str, Kind]:
    """What frames are compared by; `latents` by the identity of the frame's record."""
    return {
        "color and depth": lambda frame: frame.descriptor,
        "color": lambda frame: Descriptor(frame.descriptor.color, None),
        "depth": lambda frame: Descriptor(None, frame.descriptor.depth),
        "latent mean": lambda frame: Descriptor(latents[id(frame.record)], None),
    }


def measure(bundle: Bundle, backend: Backend, data: Path) -> dict[str, list[float]]:
    """Kind -> shares by number of retrieved poses."""
    if bundle.manifest.T_color_depth is not None:
        raise MvlocError(f"{bundle.path} registers depth before its network sees it, which this bench does not.")
    folder = open_folder(data)
    cameras = Cameras.of(folder)
    records = [
        record for record in choose_frames(folder.train) if record.color is not None and record.depth is not None
    ]
    frames = describe_frames(records, cameras, Localizer(bundle, backend), "keyframes")
    latents = {
        id(frame.record): latent_of(frame.record, bundle, backend, cameras)
        for frame in tqdm(frames, desc="latent means", unit="frame")
    }
    found = {}
    for name, kind in kinds_of(latents).items():
        described = [replace(frame, descriptor=kind(frame)) for frame in frames]
        found[name] = [float(share) for share in np.cumsum(reach_of(described))]
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="bundle")
    parser.add_argument("--data", type=Path, required=True, help="what it was trained on")
    parser.add_argument("--threads", type=int, default=1, help="of the network (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="file to write all figures to")
    args = parser.parse_args(arguments)
    bundle = read_bundle(args.model)
    backend = create_backend("auto", bundle, args.threads)
    try:
        found = measure(bundle, backend, args.data)
    finally:
        backend.close()
    count = max(len(shares) for shares in found.values())
    head = ("descriptor", *(f"first {number}" for number in range(1, count + 1)))
    print_table(head, [(name, *(f"{share:.0%}" for share in shares)) for name, shares in found.items()])
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except MvlocError as problem:
        raise SystemExit(f"bench.descriptors: {problem}") from None
