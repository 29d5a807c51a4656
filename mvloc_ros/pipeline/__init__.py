# SPDX-License-Identifier: Apache-2.0
"""Messages in, judged poses out: what the live node and the replay of a recording are both made of."""
