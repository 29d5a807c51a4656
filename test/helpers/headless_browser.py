# SPDX-License-Identifier: Apache-2.0
"""Pages in a Chromium without a window, where one is installed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
WITHOUT_3D = ("--disable-gpu",)
WITH_3D = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""WebGL on the CPU."""
PHONE = 390
"""Width of a phone in pixels."""


def installed_browser() -> str:
    """Its path; the test is skipped where there is none."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no headless browser here: none of {', '.join(BROWSERS)} is installed")
    return found


def run_browser(
    browser: str, profile: Path, *arguments: str, graphics: tuple[str, ...] = WITHOUT_3D
) -> subprocess.CompletedProcess[str]:
    """Open a page; what it says on its console is on stderr with `--enable-logging=stderr`."""
    flags = ("--headless", *graphics, "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}")
    command = [browser, *flags, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


def colors_of(pixels: np.ndarray) -> int:
    """How many different colors an image `[H, W, 3]` has."""
    return len(np.unique(pixels.astype(np.int64) @ np.array([1, 256, 65536])))


def measured(
    browser: str, page: str, folder: Path, graphics: tuple[str, ...] = WITHOUT_3D, height: int = 30_000
) -> dict[str, Any]:
    """What a browser says of the page in a frame as wide as a phone: a window cannot be as narrow everywhere."""
    script = """
      const f = document.getElementById('f'), out = document.getElementById('out');
      f.onload = () => {
        const d = f.contentDocument, root = d.documentElement;
        const all = [...d.querySelectorAll('body *')], texts = [...d.querySelectorAll('p, td, li, figcaption, pre')];
        const wide = all.filter(e => e.getBoundingClientRect().right > root.clientWidth + 1);
        const drawn = [...d.images].filter(i => i.complete && i.naturalWidth > 500 && i.width > 300);
        const sizes = texts.map(e => parseFloat(getComputedStyle(e).fontSize));
        out.textContent = JSON.stringify({scroll: root.scrollWidth, width: root.clientWidth, wide: wide.length,
          images: d.images.length, drawn: drawn.length,
          smallest: Math.min(...sizes)});
      };
      f.srcdoc = document.getElementById('page').textContent;
    """
    wrapper = folder / "phone.html"
    wrapper.write_text(
        f'<meta charset="utf-8"><iframe id="f" style="width:{PHONE}px;height:{height}px;border:0"></iframe>'
        '<pre id="out"></pre>'
        f'<textarea id="page" hidden>{html.escape(page)}</textarea><script>{script}</script>'
    )
    dom = run_browser(
        browser, folder / "profile", "--virtual-time-budget=8000", "--dump-dom", wrapper.as_uri(), graphics=graphics
    ).stdout
    found = re.search(r'<pre id="out">(\{.*?\})</pre>', dom)
    assert found, "the page was not measured"
    return json.loads(found[1])
