# SPDX-License-Identifier: Apache-2.0
"""The tables and the trajectory figure of the paper: train the missing runs, evaluate, report."""
