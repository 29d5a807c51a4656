# SPDX-License-Identifier: Apache-2.0
"""How often the log says what is wrong."""

from __future__ import annotations

from mvloc_ros.node.findings import Finding, FindingLog, Level


def test_the_log_backs_off_and_tells_the_end():
    lines: list[tuple[int, str]] = []
    now = 0
    log = FindingLog(lambda text: lines.append((now, text)), lambda text: lines.append((now, text)))
    wrong = Finding("colour", "no colour images", Level.ERROR, "nothing publishes")
    known = Finding("colour", "no colour camera_info", Level.OK, "no camera_info")
    for now in range(100):
        log.update([wrong, known] if now < 80 else [known], float(now))
    assert [when for when, text in lines if text == "nothing publishes"] == [0, 5, 15, 35, 75]
    assert [when for when, text in lines if text == "no camera_info"] == [0]
    assert (80, "no longer: no colour images") in lines
