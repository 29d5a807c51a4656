# SPDX-License-Identifier: Apache-2.0
"""`mvloc learn`: from recordings of a place to a model bundle, and a report of how well it works where."""
