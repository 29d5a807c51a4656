# SPDX-License-Identifier: Apache-2.0
"""`pytest -n 2`: who runs which tests, with a ROS domain and a cache of its own, and what is said at the end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEST = """
import json, os
from pathlib import Path
import pytest

MARK

@pytest.mark.parametrize("number", range(3))
def test_of_it(number, record_property):
    record_property("note", f"noted by NAME {number}")
    names = ("PYTEST_XDIST_WORKER", "ROS_DOMAIN_ID", "MVLOC_CACHE")
    Path(f"NAME{number}.json").write_text(json.dumps([os.environ[name] for name in names]))
"""
DIES = "import os\ndef test_dies():\n    os._exit(3)\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A small suite with the options, the `conftest.py` and the command of this one; a process of it dies."""
    folder = tmp_path_factory.mktemp("suite")
    for name in ("a_plain", "b_talks", "d_hears"):
        mark = "" if name == "a_plain" else "pytestmark = pytest.mark.dds"
        (folder / f"test_{name}.py").write_text(TEST.replace("NAME", name).replace("MARK", mark))
    (folder / "test_c_dies.py").write_text(DIES)
    shutil.copy(ROOT / "test" / "conftest.py", folder)
    options = ("-n", "2", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=folder, env={**environment, "ROS_DOMAIN_ID": "7"}, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    return folder, done


def seen(folder: Path, name: str) -> list[list[str]]:
    return [json.loads((folder / f"{name}{number}.json").read_text()) for number in range(3)]


def test_all_tests_over_dds_run_in_one_process_and_the_others_in_the_other(run):
    folder, done = run
    assert "9 passed" in done.stdout, done.stdout + done.stderr
    (worker, *_), *others = seen(folder, "b_talks") + seen(folder, "d_hears")
    assert all(other == worker for other, *_ in others)
    assert all(other != worker for other, *_ in seen(folder, "a_plain"))


def test_each_process_has_a_domain_and_a_cache_of_its_own(run, wait_for):
    folder, _ = run
    (_, domain, cache), (_, other_domain, other_cache) = seen(folder, "b_talks")[0], seen(folder, "a_plain")[0]
    assert len({domain, other_domain, os.environ["ROS_DOMAIN_ID"], "7"}) == 4
    assert cache != other_cache
    wait_for(lambda: not Path(cache).exists(), 30, "the process to end, which removes its cache")


def test_a_process_that_dies_is_a_failure_and_its_other_tests_run_elsewhere(run):
    _, done = run
    assert done.returncode == 1
    assert "crashed while running 'test_c_dies.py::test_dies'" in done.stdout
    assert "1 failed, 9 passed" in done.stdout


def test_what_tests_note_is_said_once_at_the_end(run):
    _, done = run
    _, _, notes = done.stdout.partition("faults injected")
    for name in ("a_plain", "b_talks", "d_hears"):
        for number in range(3):
            assert notes.count(f"noted by {name} {number}\n") == 1
