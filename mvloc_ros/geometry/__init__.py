# SPDX-License-Identifier: Apache-2.0
"""Rigid-body geometry: quaternions, transforms, cameras, covariances, trajectories. numpy only."""
