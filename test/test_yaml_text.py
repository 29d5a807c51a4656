# SPDX-License-Identifier: Apache-2.0
"""YAML from outside: what a text may not do to its reader."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from mvloc_ros.limits import MOST_DIGITS, MOST_NESTING, MOST_YAML_CHARACTERS
from mvloc_ros.yaml_text import parse_yaml

ROOT = Path(__file__).resolve().parents[1]
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
)


def test_values_are_those_of_yaml_except_for_dates() -> None:
    text = """
# a comment
a: [1, -2.5, 1.0e-4, 0x1F, yes, off, ~, null, '1', "two\\n"]
b: {c: plain text, "d e": |
    lines
    }
f:
- g: 1_000
- []
"""
    text = text.replace(', "d e": |\n    lines\n    }', "}")
    assert parse_yaml(text) == yaml.safe_load(text)
    assert parse_yaml("when: 2024-02-30\nthen: 2001-12-14t21:59:43.10-05:00") == {
        "when": "2024-02-30",
        "then": "2001-12-14t21:59:43.10-05:00",
    }
    assert parse_yaml("") is None
    assert parse_yaml("# nothing") is None


def test_words_without_quotation_marks_can_be_read_otherwise() -> None:
    text = "1: [1, '2', \"3\"]\nb: {c: ~}\n"
    assert parse_yaml(text, plain=lambda word: f"<{word}>") == {"1": ["<1>", "2", "3"], "b": {"c": "<~>"}}

    def refuse(word: str) -> str:
        raise ValueError(f"{word} is no word")

    with pytest.raises(ValueError, match=r"^x is no word in line 2$"):
        parse_yaml("a:\n- x", plain=refuse)


def test_the_files_of_this_package_read_the_same() -> None:
    files = [*ROOT.glob("config/**/*.yaml"), *ROOT.glob("mvloc_ros/training/presets/*.yaml")]
    assert len(files) > 20
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert parse_yaml(text) == yaml.safe_load(text), path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "line 1 has an anchor or alias .& or .*; write the values out"),
        ("a: 1\nb: *a", "line 2 has an anchor or alias"),
        ("a: !!python/object/apply:os.system [ls]", "line 1 has the tag 'tag:yaml.org,2002:python/"),
        ("a: !!str 1", "line 1 has the tag 'tag:yaml.org,2002:str'; remove it"),
        ("a: !own 1", "line 1 has the tag '!own'"),
        ("<<: {a: 1}", "line 1 merges mappings .<<.; write the values out"),
        ("a: 1\nb: 2\na: 3", "the name 'a' occurs twice, again in line 3"),
        ("1: 2", "the name 1 in line 1 is not a text"),
        ("null: 2", "the name null in line 1 is not a text"),
        ("[a]: 2", "a name in line 1 is a list or mapping and not a text"),
        ("a: .inf", "'.inf' in line 1 is not a finite number"),
        ("a: .nan", "'.nan' in line 1 is not a finite number"),
        ("a: 1.0e+999", "'1.0e.999' in line 1 is not a finite number"),
        ("a: 0x_", "'0x_' in line 1 is not a finite number"),
        (f"a: {'9' * 399}", "in line 1 is not a finite number"),
        (f"a: {'9' * (MOST_DIGITS + 1)}", f"a number in line 1 has {MOST_DIGITS + 1} digits"),
        ("a: 1\n---\nb: 2", "it has several documents, separated by ---"),
        ("a: b: c", "mapping values are not allowed (here|in this context) in line 1"),
        ("a:\n\t- b", "found character .*that cannot start any token in line 2"),
        ("a: [", "expected (the )?node content"),
        ("a: \x07", "unacceptable character #x0007"),
        ('a: "\\ud800"', "a text in line 1 has half a character|invalid Unicode character escape"),
        ('a: "\\UFFFFFFFF"', "escaped character|chr|invalid Unicode character escape"),
        ("%YAML 99999999999.1\n--- a", "found incompatible YAML document|extremely long version"),
        (" " * (MOST_YAML_CHARACTERS + 1), "it has 262145 characters, at most 262144 are accepted"),
    ],
)
def test_what_is_refused_is_said_with_its_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        parse_yaml(text)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)


def test_nesting_is_bounded_and_takes_no_time() -> None:
    deep = "[" * MOST_NESTING + "]" * MOST_NESTING
    assert parse_yaml(deep) == yaml.safe_load(deep)
    started = time.monotonic()
    for text in (f"[{deep}]", "[" * 200_000, "{a: " * 60_000, "- " * 100_000, "? " * 100_000, "[{" * 100_000):
        with pytest.raises(ValueError, match=r"nested deeper than 64 in line 1|is a list or mapping"):
            parse_yaml(text)
    assert time.monotonic() - started < 5.0


def test_changed_texts_are_read_or_refused_and_nothing_else() -> None:
    random, refused = np.random.default_rng(11), list[type]()
    start = "base: small\nepochs: 80\nlearning_rate: 1e-3\nlist: [1, 2.5, {a: b}]\n- x\n"[:-4]
    pieces = [
        *"[]{}:-?,&*!|>'\"%@`#\t\n ~=<.",
        "<<: ",
        "&a ",
        "*a",
        "!!int ",
        "0x",
        "1:2",
        "---\n",
        "\\u",
        "\0",
        "9" * 500,
    ]
    for _ in range(2000):
        text = start
        for _ in range(random.integers(1, 5)):
            place = int(random.integers(len(text)))
            text = text[:place] + pieces[random.integers(len(pieces))] + text[place + int(random.integers(3)) :]
        try:
            parse_yaml(text)
        except ValueError as error:
            refused.append(type(error))
    assert set(refused) == {ValueError}
    assert 200 < len(refused) < 2000


def test_there_is_no_other_reader_of_yaml() -> None:
    files = [*(ROOT / "mvloc_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]
    importing = re.compile(r"^\s*(import|from) yaml\b", re.MULTILINE)
    found = {path.relative_to(ROOT).as_posix() for path in files if importing.search(path.read_text(encoding="utf-8"))}
    assert found == {"mvloc_ros/yaml_text.py"}
