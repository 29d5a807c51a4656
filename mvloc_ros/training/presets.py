# SPDX-License-Identifier: Apache-2.0
"""The recipes of every system: `paper`, the published hyper-parameters, and `small`.

`small` is one recipe for all, so that systems can be compared; it trains on two CPU cores in minutes
and runs in about 10 ms. Where a publication is silent (schedule, augmentation), `paper` takes the
defaults of the lineage. The images keep their aspect ratio where AtLoc's authors crop squares.
"""

from __future__ import annotations

from typing import Any

from mvloc_ros.training.config import SYSTEMS, TrainingConfig
from mvloc_ros.training.errors import TrainingError
from mvloc_ros.training.options import InputConfig, NetworkConfig, OptimiserConfig, StageConfig

SMALL = TrainingConfig(preset="small")

# The paper's section 4.2. k = 20; it gives neither lambda nor the epochs.
PAPER = TrainingConfig(
    preset="paper",
    input=InputConfig(short_side=256, max_depth=10.0),
    network=NetworkConfig(backbone="resnet34", width=1.0, latent_size=2048, dropout=0.5),
    optimiser=OptimiserConfig(
        epochs=100,
        batch_size=64,
        optimiser="adam",
        learning_rate=5e-5,
        weight_decay=5e-5,
        scale_rate=1.0,
        schedule="constant",
    ),
    stages=StageConfig(stage="both", stage2_epochs=100, stage2_learning_rate=5e-5, samples=20),
)
PRESETS: dict[str, TrainingConfig] = {"small": SMALL, "paper": PAPER}

# What a system changes in the preset of that name ("" = in each).
CHANGES: dict[tuple[str, str], dict[str, Any]] = {
    ("mvloc-v", "paper"): {"stage": "1"},
    ("mvloc-c", "paper"): {"stage": "1"},
    ("mvloc-p", ""): {"stage": "both", "estimator": "elbo", "samples": 1},
    ("posenet", "paper"): {"stage": "1", "epochs": 300, "learning_rate": 1e-4, "weight_decay": 5e-4},
    ("mapnet", ""): {"clip_length": 3, "clip_skip": 10},
    # 300 passes over all clips, 20 a step; an epoch shows as many frames as there are, a third of the clips.
    ("mapnet", "paper"): {
        "stage": "1",
        "epochs": 900,
        "batch_size": 60,
        "learning_rate": 1e-4,
        "weight_decay": 5e-4,
    },
    ("vidloc", "small"): {"clip_length": 8, "clip_skip": 5},
    ("vidloc-causal", "small"): {"clip_length": 8, "clip_skip": 5},
    # Its authors give clips of 20 frames; the rest is MVLoc's recipe.
    ("vidloc", "paper"): {"stage": "1", "clip_length": 20, "clip_skip": 1},
    ("vidloc-causal", "paper"): {"stage": "1", "clip_length": 20, "clip_skip": 1},
    ("atloc", "paper"): {"stage": "1", "weight_decay": 5e-4},
}


def preset(system: str, name: str) -> TrainingConfig:
    """The recipe of that name for a system.

    Raises:
        TrainingError: there is no such system or preset.
    """
    if system not in SYSTEMS:
        raise TrainingError(f"--system {system!r} is unknown; choose one of {', '.join(SYSTEMS)}.")
    if name not in PRESETS:
        raise TrainingError(f"--preset {name!r} is unknown; choose one of {', '.join(PRESETS)}.")
    changes = CHANGES.get((system, ""), {}) | CHANGES.get((system, name), {})
    if not SYSTEMS[system].uses_depth:
        changes = {"drop_color": 0.0, "drop_depth": 0.0} | changes
    return PRESETS[name].with_options(changes, system=system)
