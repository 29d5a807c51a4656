# SPDX-License-Identifier: Apache-2.0
"""The report of the demo's room as one picture, for the documents: its page in columns, as a browser draws it.

    mvloc demo render --out recordings/demo --split train
    mvloc demo render --out recordings/demo_test --split test
    mvloc bag from-folder recordings/demo_test --out bags/demo
    mvloc replay bags/demo --model models/demo --out out/demo
    python -m bench.report_picture --posed recordings/demo --evaluation out/demo --out docs/images/learn_report.png

Needs a Chromium (`chromium`, `google-chrome`) on the PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mvloc_ros.demo.demo_run import shipped_model
from mvloc_ros.errors import MvlocError
from mvloc_ros.learn.report.report import ReportInputs, make_report

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")
_WIDTH, _MOST_HEIGHT, _COLUMNS, _GAP = 720, 8000, 3, 24
_LINE = 0xCC
"""Gray of the lines between sections."""


class PictureError(MvlocError):
    """The picture cannot be made here."""


def screenshot(page: Path, folder: Path) -> NDArray[np.uint8]:
    """The whole page, BGR, without what is empty below it."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise PictureError(f"No browser was found: install one of {', '.join(BROWSERS)}.")
    flags = [
        "--headless",
        "--disable-gpu",
        "--no-sandbox",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
    ]
    size, out = f"--window-size={_WIDTH},{_MOST_HEIGHT}", folder / "page.png"
    subprocess.run(
        [browser, *flags, size, f"--screenshot={out}", page.as_uri()], check=True, timeout=120, capture_output=True
    )
    image = cv2.imread(str(out), cv2.IMREAD_COLOR)
    used = np.flatnonzero((image < 250).any(axis=(1, 2)))
    return np.asarray(image[: int(used[-1]) + _GAP], np.uint8)


def in_columns(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A tall image cut at lines between its sections, and set side by side."""
    lines = np.flatnonzero((np.abs(image.astype(np.int16) - _LINE) <= 8).all(axis=2).mean(axis=1) > 0.9)
    cuts = [0]
    for column in range(1, _COLUMNS):
        wanted = column * len(image) // _COLUMNS
        cuts.append(int(lines[np.argmin(np.abs(lines - wanted))]))
    parts = [image[start:end] for start, end in zip(cuts, [*cuts[1:], len(image)], strict=True)]
    height = max(len(part) for part in parts)
    padded = [np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)), constant_values=255) for part in parts]
    line = np.full((height, _GAP, 3), 255, np.uint8)
    line[:, _GAP // 2 - 1 : _GAP // 2 + 1] = 200
    joined = [padded[0], *(piece for part in padded[1:] for piece in (line, part))]
    return np.asarray(np.hstack(joined), np.uint8)


def main() -> None:
    """Make the report and the picture of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posed", type=Path, required=True, metavar="FOLDER", help="frames of `mvloc demo render`")
    parser.add_argument("--evaluation", type=Path, required=True, metavar="FOLDER", help="of `mvloc replay`")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png", help="the picture")
    args = parser.parse_args()
    posed, evaluation, out = (path.resolve() for path in (args.posed, args.evaluation, args.out))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The names that the page shows are those of the tutorial, wherever the files are.
        links = {Path("models/demo"): shipped_model(), Path("recordings/demo"): posed}
        for link, target in links.items():
            (folder / link).parent.mkdir()
            (folder / link).symlink_to(target)
        os.chdir(folder)
        page = folder / "report.html"
        make_report(
            ReportInputs(
                name="Demo room",
                recordings=("recordings/demo",),
                posed=Path("recordings/demo"),
                bundle=Path("models/demo"),
                evaluation=evaluation,
                posing=None,
                grid=None,
                out_html=page,
                out_json=folder / "report.json",
            )
        )
        picture = in_columns(screenshot(page, folder))
        os.chdir(out.parent)
    # Of each color 16 levels, for a smaller file.
    cv2.imwrite(str(out), picture & np.uint8(0xF0) | picture >> 4, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    print(f"{out}: {picture.shape[1]}x{picture.shape[0]} pixels, {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
