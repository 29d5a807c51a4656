# SPDX-License-Identifier: Apache-2.0
"""The report of a learned place: one HTML page with its pictures inside, and the same figures as JSON."""
