# SPDX-License-Identifier: Apache-2.0
"""bench.light on the synthetic room: what it counts, and that it can be repeated."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mvloc_ros.mapping.lighting import EVENING, Light
from mvloc_ros.model.frame import ColorImage, DepthImage, Frame

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def from_the_root(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "bench"]:
        del sys.modules[name]


def test_lights_change_colour_alone_and_can_be_repeated():
    from bench.light import LIGHTS, lit

    color = ColorImage(np.full((12, 16, 3), 100, np.uint8), "rgb")
    frames = [Frame(i, "", color, None) for i in range(3)]
    first, again = (lit(frames, lambda _: EVENING, 7) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.color.pixels, other.color.pixels)
    assert not np.array_equal(first[0].color.pixels, first[1].color.pixels), "noise of its own in each frame"
    places = [light.spot.column for light in map(LIGHTS["moving spot"], (0.0, 0.1))]
    assert places[0] != places[1]
    assert {Light(gamma=0.5), Light(gamma=2.5), Light(gain=0.15), Light(gain=2.5)} <= {
        at(0.0) for at in LIGHTS.values()
    }


def test_shares_are_of_the_frames_that_they_name():
    from bench.light import figures

    def estimate(off_m: float, rejection: str) -> SimpleNamespace:
        T = np.eye(4)
        T[0, 3] = off_m
        return SimpleNamespace(pose=SimpleNamespace(T=T), refined=True, rejection=rejection)

    some = [estimate(0.01, ""), estimate(0.02, "no"), estimate(0.08, ""), estimate(0.3, ""), estimate(0.3, "no"), None]
    found = figures(some, np.array([np.eye(4)] * 6))
    assert found["right"] == pytest.approx(2 / 6)
    assert found["accepted_of_right"] == 0.5
    assert found["accepted"] == 0.5
    assert found["accepted_within_10cm_10deg"] == pytest.approx(2 / 3)


def test_a_run_over_two_lights(lookup_bundle, folder, tmp_path):
    from bench.light import main

    out = tmp_path / "light.json"
    words = [str(lookup_bundle.path), "--data", str(folder), "--lights", "recorded", "evening"]
    assert main([*words, "--budget-ms", "5000", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["frames"] == 12
    assert list(found["lights"]) == ["recorded", "evening"]
    assert found["lights"]["recorded"]["accepted_of_right"] > 0.9


def test_one_image_is_degraded_and_the_other_left():
    from bench.degradations import COLOR, DEPTH, LOST, NAMES, degraded

    rng = np.random.default_rng(0)
    color = ColorImage(rng.integers(20, 200, (24, 32, 3), np.uint8), "rgb")
    depth = DepthImage(rng.integers(1000, 3000, (24, 32)).astype(np.uint16), 0.001)
    frames = [Frame(i, "", color, depth) for i in range(2)]
    assert set(NAMES) > {*COLOR, *DEPTH, *LOST}
    for name in NAMES:
        first, again = (degraded(frames, name, 7)[1] for _ in range(2))
        left, changed = ("depth", "color") if name in COLOR or LOST.get(name) == "color" else ("color", "depth")
        if name == "both as recorded":
            assert first is frames[1]
            continue
        assert getattr(first, left) is getattr(frames[1], left), name
        if name in LOST:
            assert getattr(first, changed) is None
        elif changed == "color":
            np.testing.assert_array_equal(first.color.pixels, again.color.pixels)
            assert not np.array_equal(first.color.pixels, color.pixels), name
        else:
            meters = first.depth.values * first.depth.metres_per_unit
            np.testing.assert_array_equal(meters, again.depth.values * again.depth.metres_per_unit)
            assert not np.allclose(meters, 0.001 * depth.values), name
            if name in ("depth mostly too far", "depth mostly too near", "depth with a hole"):
                assert 0.05 < np.mean(meters > 0.0) < 0.15
            assert meters.min() >= 0.0
    without = Frame(0, "", None, depth)
    assert degraded([without], "color dark", 7) == [without], "what a frame lacks cannot be degraded"


def test_the_network_alone_over_degradations(plain_bundle, folder, tmp_path, capsys):
    from bench.degradations import NAMES
    from bench.light import main

    out = tmp_path / "network.json"
    words = [str(plain_bundle), "--data", str(folder), "--lights", "recorded", "evening", "--network"]
    assert main([*words, "--json", str(out)]) == 0
    found = json.loads(out.read_text())["lights"]
    assert list(found) == [*NAMES, "light: evening"]
    for name, row in found.items():
        assert row["prior_share"] + row["color_share"] + row["depth_share"] == pytest.approx(1.0), name
        assert row["times_m"] == pytest.approx(row["median_m"] / found["both as recorded"]["median_m"])
    assert "times both" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words, "--wrong"])
