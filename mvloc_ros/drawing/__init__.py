# SPDX-License-Identifier: Apache-2.0
"""Pictures of a place in axes of metres, and HTML pages that need nothing but themselves."""
