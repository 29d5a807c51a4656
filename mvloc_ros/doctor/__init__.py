# SPDX-License-Identifier: Apache-2.0
"""`mvloc doctor`: what an installation, its models and its camera lack, and what to do about it."""
