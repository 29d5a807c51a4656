# SPDX-License-Identifier: Apache-2.0
"""Names the middleware that rclpy loads, in a process of its own: rclpy ends the process where it does not load."""

from rclpy.utilities import get_rmw_implementation_identifier

if __name__ == "__main__":
    print(get_rmw_implementation_identifier())
