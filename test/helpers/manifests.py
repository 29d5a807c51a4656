# SPDX-License-Identifier: Apache-2.0
"""Manifests that a test changes by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mvloc_ros.model.manifest_digest import DIGEST, bundle_digest


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change a manifest's values in place, and its digest with them, as a forger or another program would."""
    path = bundle / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    if DIGEST in values:
        try:
            values[DIGEST] = bundle_digest(values)
        except ValueError:  # NaN, of which there is none
            del values[DIGEST]
    path.write_text(json.dumps(values))
