# SPDX-License-Identifier: Apache-2.0
"""Replay: play and record over DDS, run the localizer offline, and evaluate either run the same way."""
