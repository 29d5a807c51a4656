# SPDX-License-Identifier: Apache-2.0
"""Messages in, accepted or rejected poses out: what the live node and the replay of a recording are both made of."""
