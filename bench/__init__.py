# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: commands that print figures, not tests with bars. `python -m bench.NAME --help`."""
