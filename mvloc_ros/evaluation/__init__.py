# SPDX-License-Identifier: Apache-2.0
"""How good poses and covariances are: errors, recall, NEES and trivial baselines, for all that judge."""
