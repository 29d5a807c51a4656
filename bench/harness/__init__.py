# SPDX-License-Identifier: Apache-2.0
"""What the tests and the benchmarks share. The tests import its modules by their own names (`pythonpath` of pytest)."""
