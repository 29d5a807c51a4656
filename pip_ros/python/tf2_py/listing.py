# SPDX-License-Identifier: Apache-2.0
"""What is in the buffer, for people."""

from __future__ import annotations

from collections.abc import Mapping

from tf2_py.time_cache import StaticCache, TimeCache, seconds

SHORTEST_SPAN_NS = 100_000  # a single sample has a rate too

Caches = Mapping[str, TimeCache | StaticCache]


def as_lines(caches: Caches) -> str:
    """One line a frame, with its latest parent."""
    latest = {child: cache.latest() for child, cache in caches.items()}
    return "".join(
        f"Frame {child} exists with parent {sample.parent if sample else 'NO_PARENT'}.\n"
        for child, sample in latest.items()
    )


def as_yaml(caches: Caches, authorities: Mapping[str, str]) -> str:
    """A mapping in YAML of the frames that have data; [] when there is none."""
    return "".join(_entry(child, cache, authorities[child]) for child, cache in caches.items()) or "[]"


def _entry(child: str, cache: TimeCache | StaticCache, authority: str) -> str:
    latest = cache.latest()
    if latest is None:
        return ""
    oldest_ns, newest_ns = cache.span_ns()
    values = {
        "parent": f"'{latest.parent}'",
        "broadcaster": f"'{authority}'",
        "rate": f"{len(cache) * 1e9 / max(newest_ns - oldest_ns, SHORTEST_SPAN_NS):.3f}",
        "most_recent_transform": seconds(newest_ns),
        "oldest_transform": seconds(oldest_ns),
        "buffer_length": f"{(newest_ns - oldest_ns) / 1e9:.3f}",
    }
    return f"{child}: \n" + "".join(f"  {key}: {value}\n" for key, value in values.items())
