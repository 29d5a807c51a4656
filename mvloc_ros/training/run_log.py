# SPDX-License-Identifier: Apache-2.0
"""The logs of a run: `metrics.csv`, `config.json`, TensorBoard scalars."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from mvloc_ros.storage import StorageError, write_file

METRICS_FILE = "metrics.csv"
CONFIG_FILE = "config.json"


class RunLog:
    """Writes one row per epoch.

    The rows are in the checkpoint; the CSV file is rewritten from them, so that after a crash it has no epoch that the
    checkpoint lacks.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], history: Sequence[Mapping[str, float]]) -> None:
        self._folder = folder
        self.history: list[dict[str, float]] = [dict(row) for row in history]
        write_file(folder / CONFIG_FILE, json.dumps(config, indent=2) + "\n")
        # Events after the checkpoint are of a killed process: TensorBoard hides them.
        self._writer = SummaryWriter(str(folder), purge_step=len(self.history) + 1)

    def add(self, row: Mapping[str, float]) -> None:
        """Log an epoch to TensorBoard; `write_metrics` writes the CSV file after the checkpoint."""
        self.history.append(dict(row))
        try:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, int(row["epoch"]))
            self._writer.flush()
        except OSError as error:
            raise StorageError(self._folder, error) from error

    def write_metrics(self) -> None:
        """Write `metrics.csv`."""
        if not self.history:
            return
        text = io.StringIO()
        # A run that another version began may have rows without a column of this one.
        names = list(dict.fromkeys(name for row in self.history for name in row))
        table = csv.DictWriter(text, fieldnames=names, restval="nan", lineterminator="\n")
        table.writeheader()
        table.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in self.history)
        write_file(self._folder / METRICS_FILE, text.getvalue())

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()
