# SPDX-License-Identifier: Apache-2.0
"""The paper's tables and trajectory figure, one command each: train what is missing, judge, report."""
