# SPDX-License-Identifier: Apache-2.0
"""The presets of every system, one YAML file each: SYSTEM.small.yaml and SYSTEM.paper.yaml.

`paper` has the published hyper-parameters; `small` has the same values for all systems, for comparisons.
"""

from __future__ import annotations

from mvloc_ros.training.presets.preset_files import NAMES, describe, preset, read_file

# Of mvloc: shown in the help of the command line.
PRESETS = {name: preset("mvloc", name) for name in NAMES}

__all__ = ["NAMES", "PRESETS", "describe", "preset", "read_file"]
