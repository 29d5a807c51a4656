# SPDX-License-Identifier: Apache-2.0
"""MVLoc for ROS 2: camera localization from colour and depth, and the training behind it."""

from pkgutil import extend_path

# The generated messages (mvloc_ros.msg) are installed by colcon, while this package may be imported
# from a checkout: both folders make up one package.
__path__ = extend_path(__path__, __name__)

__version__ = "0.2.0"
