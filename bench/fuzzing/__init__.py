# SPDX-License-Identifier: Apache-2.0
"""Hostile inputs for every reader: mutators, kinds of inputs, and the processes that they are tried in."""
