# SPDX-License-Identifier: Apache-2.0
"""The page: one file that needs nothing else, escaped, and drawn by a browser at the width of a phone."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from headless_browser import PHONE, colors_of, installed_browser, measured, run_browser

from mvloc_ros.learn.report.report import make_report

Report = tuple[str, dict[str, Any], Path]


class Reader(HTMLParser):
    """Collects tags, attributes and text; complains of tags that do not close."""

    VOID = frozenset(("meta", "link", "img", "br"))

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    @staticmethod
    def of(page: str) -> Reader:
        reader = Reader()
        reader.feed(page)
        assert not reader._open
        return reader


def test_the_page_needs_nothing_but_itself(whole: Report):
    page, _, path = whole
    reader = Reader.of(page)
    assert "script" not in {tag for tag, _ in reader.tags}
    for tag, attributes in reader.tags:
        for name in ("src", "href"):
            if name in attributes:
                assert str(attributes[name]).startswith("data:"), tag
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"https?://|url\(|@import", page)
    assert path.stat().st_size < 5_000_000
    assert {file.name for file in path.parent.iterdir()} == {"report.html", "report.json"}


def test_the_pictures_can_be_decoded_and_are_in_words_too(whole: Report):
    images = [attributes for tag, attributes in Reader.of(whole[0]).tags if tag == "img"]
    assert len(images) == 4
    for image in images:
        assert len(image["alt"] or "") > 20
        data = base64.b64decode((image["src"] or "").removeprefix("data:image/png;base64,"))
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert pixels.shape[1] > 500
        assert colors_of(pixels) > 50


def test_text_from_outside_is_escaped(whole: Report):
    page = whole[0]
    for foreign in ("<1> & co", "<i>depth", "<script>", "<b>note", "<b>co</b>"):
        assert foreign not in page
    text = " ".join(Reader.of(page).text)
    for shown in (
        "Room <1> & co",
        "no <i>depth</i>",
        "it says <script>alert(N)</script>",
        "A <b>note</b>.",
        "drive & <b>co</b>",
    ):
        assert shown in text


def test_the_page_says_what_the_figures_say(whole: Report):
    text, figures = " ".join(Reader.of(whole[0]).text), whole[1]
    for sentence in (*figures["verdict"]["sentences"], *figures["verdict"]["warnings"]):
        assert sentence in text
    for command in figures["next_commands"]:
        for line in command["lines"]:
            assert re.sub(r"\s+", " ", line) in re.sub(r"\s+", " ", text)
    for heading in ("from above", "held-out parts", "would be lost", "left out", "Loop closures", "What comes next"):
        assert heading in text


def test_the_same_files_give_the_same_report(whole: Report, inputs, evaluation: Path, posing: Path):
    pages = []
    for _ in range(2):
        made = inputs(evaluation=evaluation, posing=posing)
        make_report(made)
        pages.append((made.out_html.read_bytes(), made.out_json.read_bytes()))
    assert pages[0] == pages[1]


@pytest.fixture(scope="module")
def browser() -> str:
    return installed_browser()


def test_a_browser_opens_it_without_a_word_on_its_console(browser: str, whole: Report, tmp_path: Path):
    picture = tmp_path / "page.png"
    arguments = ("--enable-logging=stderr", f"--screenshot={picture}", "--window-size=1000,1400", whole[2].as_uri())
    found = run_browser(browser, tmp_path / "profile", *arguments)
    assert "CONSOLE" not in found.stderr
    pixels = cv2.imread(str(picture))
    assert pixels.shape[:2] == (1400, 1000)
    assert colors_of(pixels) > 500


def test_the_console_would_be_heard(browser: str, tmp_path: Path):
    """The check above can fail: an error of a page is on stderr."""
    (tmp_path / "bad.html").write_text("<script>console.error('here')</script>")
    arguments = ("--enable-logging=stderr", "--dump-dom", (tmp_path / "bad.html").as_uri())
    assert "CONSOLE" in run_browser(browser, tmp_path / "profile", *arguments).stderr


def test_it_fits_a_phone(browser: str, whole: Report, tmp_path: Path):
    found = measured(browser, whole[0], tmp_path)
    assert found["width"] == PHONE
    assert found["scroll"] <= PHONE
    assert found["wide"] == 0
    assert found["images"] == found["drawn"] == 4
    assert found["smallest"] >= 14.0


def test_a_page_that_is_too_wide_for_a_phone_would_be_noticed(browser: str, whole: Report, tmp_path: Path):
    page = whole[0].replace("<main>", '<main><div style="width:500px">wide</div>')
    assert measured(browser, page, tmp_path)["scroll"] > PHONE
