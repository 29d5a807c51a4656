# SPDX-License-Identifier: Apache-2.0
"""A recording with images and poses -> a folder to train on (`mvloc bag to-dataset`)."""
