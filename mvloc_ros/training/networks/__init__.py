# SPDX-License-Identifier: Apache-2.0
"""The networks of every system, one part a file; `mvloc` is the paper's (section 3.3)."""
