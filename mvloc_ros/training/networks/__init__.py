# SPDX-License-Identifier: Apache-2.0
"""The paper's network (section 3.3), one part a file."""
