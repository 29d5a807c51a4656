# SPDX-License-Identifier: Apache-2.0
"""Builds the scene map of a model bundle out of posed depth images, and finds when a pose is to be accepted."""
