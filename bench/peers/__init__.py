# SPDX-License-Identifier: Apache-2.0
"""Nodes to compare with: what most people would write, with care, and with the same weights."""
