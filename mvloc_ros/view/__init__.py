# SPDX-License-Identifier: Apache-2.0
"""`mvloc view`: pictures and an interactive page of the scene map in a bundle."""
