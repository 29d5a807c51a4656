# SPDX-License-Identifier: Apache-2.0
"""What a model bundle gets after training: scene map, acceptance threshold and calibrated covariances."""
