# SPDX-License-Identifier: Apache-2.0
"""The recipes of every system, one YAML file each: SYSTEM.small.yaml and SYSTEM.paper.yaml.

`paper` has the published hyper-parameters, `small` is one recipe for all, so that systems can be compared.
"""

from __future__ import annotations

from mvloc_ros.training.presets.reader import NAMES, describe, preset, read_file

# Of the paper's own system: what the command line's help names.
PRESETS = {name: preset("mvloc", name) for name in NAMES}

__all__ = ["NAMES", "PRESETS", "describe", "preset", "read_file"]
