# SPDX-License-Identifier: Apache-2.0
"""Training: from posed RGB-D frames to a model bundle.

Importing this package does not import torch: `verbs` (the command line) and `config` work without it, and training
reports what to install.
"""
