# SPDX-License-Identifier: Apache-2.0
"""Whether the poses and depth images of a folder are consistent: one check for every command that reads both."""

from __future__ import annotations

from mvloc_ros.recordings.agreement.agreement_report import add_force_argument, require_agreement
from mvloc_ros.recordings.agreement.check import Agreement, check_agreement

__all__ = ["Agreement", "add_force_argument", "check_agreement", "require_agreement"]
