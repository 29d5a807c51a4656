# SPDX-License-Identifier: Apache-2.0
"""The companion training module: posed RGB-D frames in, a model bundle out.

Importing this package does not import torch: `verbs` (the command line's entry) and `config` work
without it, and say what to install where training itself is asked for.
"""
