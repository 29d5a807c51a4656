#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a command with ROS, this package and its Python environment set up.
set -e
# shellcheck disable=SC1090,SC1091
source "/opt/ros/${ROS_DISTRO:?is set by the image}/setup.bash"
# shellcheck disable=SC1091
source /opt/mvloc/setup.bash
# shellcheck disable=SC1091
source /opt/venv/bin/activate
exec "$@"
