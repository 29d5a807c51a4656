# SPDX-License-Identifier: Apache-2.0
"""The presets of every system, one YAML file each: SYSTEM.small.yaml and SYSTEM.paper.yaml; mvloc has `robust`, too.

`paper` has what the authors of each system published and nothing beside it; `small` is this project's own recipe, with
the same values for all systems, for comparisons; `robust` is the recipe for robots.
"""

from __future__ import annotations

from mvloc_ros.training.presets.preset_files import NAMES, describe, names_of, preset, read_file

SUMMARIES = {
    "small": "this project's own values, the same for all systems: half-width ResNet-18 at 120 pixels, new colors, "
    "erased rectangles and frames without a modality; minutes on a CPU",
    "paper": "what the paper states (sections 3.3 and 4.2) and nothing beside it: no augmentation, no frames without a "
    "modality, float32; values that it does not give are marked in the file",
    "robust": "for robots: a smaller network that is trained longer, half of it on views rendered from all frames, "
    "with each sensor alone as a task, so that one may fail; mvloc only",
}

# Of mvloc: shown in the help of the command line.
PRESETS = {name: preset("mvloc", name) for name in names_of("mvloc")}

__all__ = ["NAMES", "PRESETS", "SUMMARIES", "describe", "names_of", "preset", "read_file"]
