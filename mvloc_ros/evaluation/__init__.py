# SPDX-License-Identifier: Apache-2.0
"""Evaluation of poses and covariances: errors, recall, NEES, sparsification and baselines."""
