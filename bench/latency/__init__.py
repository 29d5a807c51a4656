# SPDX-License-Identifier: Apache-2.0
"""How old a pose is when it is published: a camera, a node and a listener in processes of their own, over DDS."""
