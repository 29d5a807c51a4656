# SPDX-License-Identifier: Apache-2.0
"""HTML's building blocks: every text is escaped here, and nothing refers to anything outside of the page."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from mvloc_ros.foreign_text import shown

_MOST_CHARACTERS = 600

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 62rem; padding: 1rem; background: #fff; color: #1a1a1a;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: .2rem 0 1rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; padding-top: .6rem; border-top: 1px solid #ccc; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .5rem 0; }
.verdict { border-left: .5rem solid #555; background: #f3f3f3; padding: .7rem 1rem; }
.verdict strong { font-size: 1.2rem; }
.good { border-color: #0072B2; } .partly { border-color: #E69F00; } .bad { border-color: #D55E00; }
.warnings { border: 2px solid #D55E00; padding: .3rem 1rem; margin: 1rem 0; }
.warnings h2 { border: 0; margin: .3rem 0; padding: 0; font-size: 1.05rem; }
ul { margin: .4rem 0; padding-left: 1.3rem; }
figure { margin: 1rem 0; }
img { display: block; max-width: 100%; max-height: 60rem; height: auto; margin: 0 auto; }
figcaption, .small { color: #444; font-size: .92rem; }
table { border-collapse: collapse; width: 100%; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .5rem; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 1rem 0; }
.numbers div { border: 1px solid #ccc; border-radius: .3rem; padding: .5rem .7rem; }
.numbers b { display: block; font-size: 1.35rem; line-height: 1.2; }
pre { background: #f3f3f3; border: 1px solid #ccc; padding: .6rem .8rem; white-space: pre-wrap; margin: .4rem 0;
  font: .9rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
pre span { display: inline-block; max-width: 100%; }
@media (max-width: 30rem) { body { padding: .7rem; } th, td { padding: .25rem .3rem; font-size: .9rem; } }
@media print { body { max-width: none; } figure, table, pre { break-inside: avoid; } img { max-height: 22cm; } }
"""


def text(value: object) -> str:
    """A text from anywhere as HTML's: one line of bounded length, escaped."""
    return escape(shown(value, _MOST_CHARACTERS), quote=True)


def paragraph(value: object, kind: str = "") -> str:
    """A paragraph, of a class of the style."""
    return f"<p{_class(kind)}>{text(value)}</p>"


def listed(items: Iterable[object]) -> str:
    """A list of texts; empty without any."""
    found = "".join(f"<li>{text(item)}</li>" for item in items)
    return f"<ul>{found}</ul>" if found else ""


def table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table of texts, whose first column names the rows; `head` may be empty."""
    top = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    top = f"<thead><tr>{top}</tr></thead>" if top else ""
    body = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{top}<tbody>{body}</tbody></table>"


def figure(png: bytes, alternative: str, caption: str) -> str:
    """A picture inside of the page, with words for those who do not see it, and a caption."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{text(alternative)}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def numbers(pairs: Iterable[tuple[object, object]]) -> str:
    """A row of large figures with what they are."""
    return '<div class="numbers">' + "".join(f"<div><b>{text(v)}</b>{text(name)}</div>" for v, name in pairs) + "</div>"


def commands(lines: Iterable[str]) -> str:
    """Lines of a shell to be copied; they may be long and are not cut. A phone breaks them between words."""
    words = (" ".join(f"<span>{escape(word)}</span>" for word in shown(line, 20_000).split(" ")) for line in lines)
    return "<pre>" + "\n".join(words) + "</pre>"


def section(title: str, *parts: str) -> str:
    """A heading and what belongs to it."""
    return f"<section><h2>{text(title)}</h2>{''.join(parts)}</section>"


def document(title: str, body: str, *, has_scripts: bool = False) -> str:
    """The page; its policy forbids everything that is not in the file, and scripts unless it `has_scripts` of its own.

    Those may make code of text and images of bytes, as libraries for WebGL do, but still reach no network.
    """
    scripts = "script-src 'unsafe-inline' 'unsafe-eval'; worker-src blob:; " if has_scripts else ""
    images = "data: blob:" if has_scripts else "data:"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; {scripts}img-src {images}; '
        "style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{text(title)}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
