# SPDX-License-Identifier: Apache-2.0
"""A synthetic furnished room that makes RGB-D recordings with exact poses on any machine, without downloads."""
