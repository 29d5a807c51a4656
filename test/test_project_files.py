# SPDX-License-Identifier: Apache-2.0
"""What surrounds the project says what is so: limits, versions, commands, pages, forms, hooks and the workflow."""

from __future__ import annotations

import ast
import configparser
import importlib.util
import re
import shlex
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import mvloc_ros
from mvloc_ros import limits
from mvloc_ros.node.status import STATE_NAMES

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
DOCUMENTS = [*(ROOT / f"{name}.md" for name in ("README", "SECURITY", "CONTRIBUTING", "CHANGELOG")), *PAGES]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def text_of(*names: str) -> str:
    return ROOT.joinpath(*names).read_text(encoding="utf-8")


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"mvloc_tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# SECURITY.md


def constants() -> dict[str, Any]:
    return {name: value for name, value in vars(limits).items() if name.isupper() and not name.startswith("_")}


def test_the_table_of_limits_is_the_present_one():
    text = text_of("SECURITY.md")
    assert tool("limits_table").rewritten(text) == text, "run: python tools/limits_table.py"


def test_every_limit_is_in_the_table_with_its_value_and_meaning():
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]*\w", text_of("SECURITY.md"), re.MULTILINE))
    assert set(rows) == set(constants())
    units = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    for name, value in constants().items():
        number, _, unit = rows[name].strip().partition(" ")
        if isinstance(value, int):
            assert int(number.replace(",", "")) * units.get(unit, 1) == value, name


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MOST_BYTES", 4 << 20, "4 MiB"),
        ("MOST_BYTES", 1 << 30, "1 GiB"),
        ("MOST_BYTES", 1000, "1,000"),
        ("MOST_PIXELS", 1 << 26, "67,108,864"),
        ("LONGEST_S", 2.5, "2.5"),
        ("RANGE_M", (1e-3, 10.0), "0.001 to 10"),
        ("SIZES_BYTES", (1 << 10, 1 << 20), "1 KiB to 1 MiB"),
        ("KINDS", ("a",), "`('a',)`"),
    ],
)
def test_values_are_shown_in_units_that_divide_them(name: str, value: object, expected: str):
    assert tool("limits_table").shown(name, value) == expected


def unsafe_calls(source: str) -> list[str]:
    """Calls that execute what they load, or would with other arguments."""
    found = []
    for statement in ast.walk(ast.parse(source)):
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in statement.names] + [getattr(statement, "module", None) or ""]
            found += [name for name in names if name.split(".")[0] in ("pickle", "marshal", "shelve", "dill", "joblib")]
        if not isinstance(statement, ast.Call):
            continue
        called = ast.unparse(statement.func)
        given = {word.arg: ast.unparse(word.value) for word in statement.keywords}
        is_unsafe = (
            called in ("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "eval", "os.system")
            or (called == "exec" and [ast.unparse(argument) for argument in statement.args] != ["''"])
            or (called == "torch.load" and given.get("weights_only") != "True")
            or (called == "np.load" and given.get("allow_pickle") != "False")
            or given.get("allow_pickle") == "True"
            or given.get("shell") == "True"
        )
        found += [ast.unparse(statement)] if is_unsafe else []
    return found


def test_nothing_that_is_read_is_executed():
    for folder in ("mvloc_ros", "bench", "tools", "launch", "pip_ros"):
        for path in (ROOT / folder).rglob("*.py"):
            if path == ROOT / "bench" / "fuzzing" / "kinds" / "checkpoints.py":
                continue  # writes hostile pickles, and reads none
            assert not unsafe_calls(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    "line",
    [
        "import pickle", "from pickle import loads", "yaml.load(text, Loader=yaml.Loader)", "torch.load(path)",
        "torch.load(path, weights_only=False)", "np.load(path)", "np.load(path, allow_pickle=True)", "eval(text)",
        "exec(text)", "subprocess.run(text, shell=True)",
    ],
)  # fmt: skip
def test_what_executes_is_found(line: str):
    assert unsafe_calls(line)


# Versions and the change log


def releases() -> list[tuple[str, str]]:
    return re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\S+)$", text_of("CHANGELOG.md"), re.MULTILINE)


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    newest, day = releases()[0]
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert {newest, citation["version"], package.findtext("version")} == {mvloc_ros.__version__}
    assert citation["date-released"] == date.fromisoformat(day)
    assert 'dynamic = ["version"]' in text_of("pyproject.toml")
    assert f"| {mvloc_ros.__version__.rpartition('.')[0]} | yes |" in text_of("SECURITY.md")


def test_the_change_log_has_its_form():
    text = text_of("CHANGELOG.md")
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    assert len(sections) == len(releases()) + 1
    numbers = [tuple(map(int, version.split("."))) for version, _ in releases()]
    assert numbers == sorted(set(numbers), reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


def test_the_citation_names_the_paper_and_the_licence():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert citation["authors"] == [{"name": package.findtext("maintainer")}]
    assert citation["license"] == package.findtext("license")
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Zhou", "Chen", "Wang", "Markham", "Trigoni"]
    assert paper["url"] in text_of("README.md")


# Pages


def test_every_page_is_in_the_index_and_says_for_whom_it_is():
    index = set(
        re.findall(r"^\| \[(\S+)\]\(\1\) \| \S[^|]* \| \S[^|]* \|$", text_of("docs", "README.md"), re.MULTILINE)
    )
    # The pages of a folder are in the table of the page of that name.
    assert index == {path.name for path in PAGES if path.parent.name == "docs"} - {"README.md"}
    for path in PAGES:
        title, empty, first, *_ = path.read_text(encoding="utf-8").splitlines()
        assert title.startswith("# "), path.name
        assert not empty, path.name
        assert re.search(r"(^|\. )For ", first), path.name


def slugs(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_links_to_headings_lead_to_headings():
    looked_at = 0
    for path in DOCUMENTS:
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text(encoding="utf-8")):
            looked_at += 1
            assert anchor in slugs(path.parent / target if target else path), f"{path.name}: {target}#{anchor}"
    assert looked_at


def test_files_that_the_documents_of_the_project_name_exist():
    folders = r"(?:mvloc_ros|test|tools|docs|config|requirements|\.github|models)"
    for path in [*DOCUMENTS[:4], ROOT / "docs" / "README.md"]:
        for target in re.findall(rf"`({folders}/[\w./*-]*)`", path.read_text(encoding="utf-8")):
            assert list(ROOT.glob(target)), f"{path.name}: {target}"


def test_the_glossary_has_every_state():
    section = text_of("docs", "glossary.md").split("## States of the node")[1].split("\n## ")[0]
    assert re.findall(r"^\| ([A-Z]+) \|", section, re.MULTILINE) == list(STATE_NAMES.values())


def terms() -> list[str]:
    rows = re.findall(r"^\| ([^|]+) \| [^|-]", text_of("docs", "glossary.md"), re.MULTILINE)
    return [term.strip() for row in rows for term in row.split(", ") if row not in ("term", "state")]


def test_a_term_is_explained_once():
    assert len(terms()) == len(set(terms())) > 60


def test_the_glossary_has_what_readers_look_up():
    assert {
        "map", "odom", "base_link", "optical frame", "pose", "T_map_camera", "network pose", "refined pose",
        "starting pose", "registration", "inlier ratio", "residual", "observability", "degenerate direction",
        "verification", "accepted", "rejected", "score", "threshold", "tracker", "gate", "hint", "bundle", "manifest",
        "scene map", "keyframe", "covariance", "calibration", "NEES", "ANEES", "RMSE", "modality", "expert",
        "Product of Experts", "latent", "train step", "micro-batch", "evaluation", "warm start", "checkpoint", "preset",
        "system", "folder", "recording", "truth",
    } <= set(terms())  # fmt: skip


# Commands


def shell_lines(path: Path) -> list[str]:
    blocks = re.findall(r"```\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    return [line.split("  #")[0] for block in blocks for line in block.replace("\\\n", " ").splitlines() if line]


@pytest.mark.parametrize("line", shell_lines(ROOT / "CONTRIBUTING.md"))
def test_commands_for_contributors_exist(line: str):
    program, *words = shlex.split(line)
    if program == "make":
        assert {word for word in words if "=" not in word} <= TARGETS
        return
    assert program in (".venv/bin/pytest", ".venv/bin/python")
    files = [word for word in words if "/" in word]
    assert files
    for word in files:
        assert (ROOT / word).exists(), word


def test_what_is_tested_with_the_oldest_libraries_exists():
    """pytest runs nothing at all where one of the paths that it is given is not there."""
    module = tool("test_oldest")
    assert [name for name in module.TESTS if not (ROOT / "test" / name).exists()] == []
    for python, ubuntu in module.DISTRIBUTIONS.values():
        text = text_of("requirements", "oldest", f"{ubuntu}.txt")
        assert f"Python {python[0]}.{python[1]}" in text.splitlines()[0]
        assert f"DISTRO={ubuntu}" in text.splitlines()[0]


def test_libraries_of_another_python_or_distribution_are_refused(capsys: pytest.CaptureFixture[str]):
    main = tool("test_oldest").main
    assert main(["noetic"]) == 1
    assert "DISTRO is one of humble, jazzy, kilted, lyrical, not noetic" in capsys.readouterr().err
    other = "humble" if sys.version_info[:2] != (3, 10) else "lyrical"
    assert main([other]) == 1
    assert f"DISTRO={other} test-oldest" in capsys.readouterr().err


def test_make_targets_that_are_named_exist():
    for path in DOCUMENTS:
        for words in re.findall(r"`make ([^`]+)`", path.read_text(encoding="utf-8")):
            assert {word for word in words.split() if "=" not in word} <= TARGETS, f"{path.name}: make {words}"


def test_documentation_without_its_tool_says_what_installs_it():
    command = [sys.executable, "-I", "-S", str(ROOT / "tools" / "api_docs.py")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert (
        result.stderr == "api_docs: pdoc is not installed; `make docs` installs what the pages need and writes them.\n"
    )


# Forms, hooks, the editor's settings


def test_the_bug_report_asks_for_what_tells_most():
    form = yaml.safe_load(text_of(".github", "ISSUE_TEMPLATE", "bug_report.yml"))
    asked = yaml.safe_dump(form["body"])
    for words in ("mvloc doctor", "mvloc bag info", "/mvloc/status", "mvloc --version", "SECURITY.md"):
        assert words in " ".join(asked.split()), words


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_forms_have_fields_with_names_of_their_own(name: str):
    form = yaml.safe_load(text_of(".github", "ISSUE_TEMPLATE", f"{name}.yml"))
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({field["id"] for field in fields}) == len({field["attributes"]["label"] for field in fields})
    assert len({field["id"] for field in fields}) == len(fields) > 0


def test_hooks_run_what_lint_runs_with_the_same_tools():
    (local,) = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    hooks = {" ".join(word for word in hook["entry"].split() if word[0] != "-") for hook in local["hooks"]}
    recipe = re.search(r"^lint:\n((?:\t.*\n)+)", text_of("Makefile"), re.MULTILINE)[1]
    lint = {
        " ".join(
            word for word in line.strip("\t@").replace("$(RUN)", ".venv/bin").split() if word[0] != "-" and word != "."
        )
        for line in recipe.splitlines()
    }
    assert hooks == lint
    assert local["repo"] == "local"


def test_editors_and_ruff_agree_about_the_width():
    editors = configparser.ConfigParser()
    editors.read_string("[top]\n" + text_of(".editorconfig"))
    assert f"line-length = {editors['*.{py,pyi}']['max_line_length']}\n" in text_of("pyproject.toml")


# The workflow


def steps(job: str) -> list[dict[str, Any]]:
    return WORKFLOW["jobs"][job]["steps"]


def test_the_workflow_tests_the_python_versions_that_are_supported():
    bootstrap = tool("bootstrap")
    supported = [f"3.{minor}" for minor in range(bootstrap.OLDEST[1], bootstrap.NEWEST[1] + 1)]
    assert WORKFLOW["jobs"]["pip"]["strategy"]["matrix"]["python"] == supported
    assert f'requires-python = ">={supported[0]}"' in text_of("pyproject.toml")
    oldest = tool("test_oldest").DISTRIBUTIONS
    cells = WORKFLOW["jobs"]["oldest"]["strategy"]["matrix"]["include"]
    assert {cell["distribution"]: cell["python"] for cell in cells} == {
        ubuntu: f"{python[0]}.{python[1]}" for python, ubuntu in oldest.values()
    }
    assert cells[0]["python"] == supported[0]


def test_the_workflow_tests_the_distributions_that_have_requirements():
    cells = WORKFLOW["jobs"]["ros"]["strategy"]["matrix"]["include"]
    files = {path.stem for path in (ROOT / "requirements" / "ros").glob("*.txt")}
    assert {cell["distribution"] for cell in cells} == files | {"rolling"}
    assert all(cell["requirements"] == cell["distribution"] for cell in cells if cell["distribution"] != "rolling")
    assert set(tool("check_distributions").PYTHON) == set(tool("test_oldest").DISTRIBUTIONS) == files


def test_the_workflow_runs_what_exists():
    runs = "\n".join(step.get("run", "") for job in WORKFLOW["jobs"] for step in steps(job))
    targets = {
        word for line in re.findall(r"^make (.*)$", runs, re.MULTILINE) for word in line.split() if "=" not in word
    }
    assert {"test", "lint", "docs", "test-oldest"} <= targets <= TARGETS
    for path in re.findall(r"\btest/[\w./]+", runs):
        assert (ROOT / path).exists(), path


def test_the_workflow_may_read_only_and_pins_what_it_uses():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [job for job, content in WORKFLOW["jobs"].items() if "permissions" in content]
    text = text_of(".github", "workflows", "ci.yml")
    assert "secrets" not in text
    assert "pull_request_target" not in text
    used = re.findall(r"uses: (.*)$", text, re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action
    # One version of each action.
    assert len({action.split("@")[0] for action in used}) == len(set(used))
    checkouts = [step for job in WORKFLOW["jobs"] for step in steps(job) if "checkout" in step.get("uses", "")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
