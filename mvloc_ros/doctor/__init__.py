# SPDX-License-Identifier: Apache-2.0
"""`mvloc doctor`: checks an installation, its models and its camera, with a remedy for each problem."""
