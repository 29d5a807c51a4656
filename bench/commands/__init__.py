# SPDX-License-Identifier: Apache-2.0
"""Whole commands, each in a process of its own whose changes to files can be held, refused or be its last."""
