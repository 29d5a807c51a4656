# SPDX-License-Identifier: Apache-2.0
"""One renderer for all tests of the demo's room: it takes seconds to build."""

from __future__ import annotations

import pytest

from mvloc_ros.demo.renderer import Renderer, demo_renderer


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    return demo_renderer()
